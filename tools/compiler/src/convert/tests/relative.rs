use super::*;

/// A filter bank whose power goes through `functions` to a layer: filters differ in gain, and so do the sounds. Its floor
/// is one of each filter, so that power and functions are no single table.
fn spectrum(functions: &[&str]) -> ModelBuilder {
    let mut random = Random(9);
    let mut filters = random.array(&[16, 1, 32, 1], 0.3);
    let gain = |filter: usize| 4f32.powi(-(filter as i32 % 6));
    let scaled = filters.to_f32().iter().enumerate().map(|(i, v)| v * gain(i / 32)).collect();
    filters = Array::f32(filters.shape.clone(), scaled);
    let mut model = ModelBuilder::new(13)
        .input("x", &[1, 1, 128, 1])
        .weight("w1", filters)
        .weight("floor", Array::f32(vec![16, 1, 1], vec![1e-6; 16]))
        .weight("w2", random.array(&[8, 16, 5, 1], 0.1))
        .node("Conv", &["x", "w1"], &["bands"], &[])
        .node("Mul", &["bands", "bands"], &["power"], &[])
        .node("Add", &["power", "floor"], &["p0"], &[]);
    let names: Vec<String> = (0..=functions.len()).map(|i| format!("p{i}")).collect();
    for (function, name) in functions.iter().zip(names.windows(2)) {
        model = model.node(function, &[&name[0]], &[&name[1]], &[]);
    }
    model.node("Conv", &[&names[functions.len()], "w2"], &["y"], &[]).output("y")
}

fn sounds() -> Array {
    let mut random = Random(21);
    let mut sounds = random.array(&[40, 1, 128, 1], 1.0);
    let loudness = |i: usize| 2f32.powi(-(i as i32 % 8));
    let scaled = sounds.to_f32().iter().enumerate().map(|(i, v)| v * loudness(i / 128)).collect();
    sounds = Array::f32(sounds.shape.clone(), scaled);
    sounds
}

#[test]
fn a_logarithm_gets_small_numbers_as_they_are() {
    let model = Prepared::new(&spectrum(&["Log"]), sounds());
    let calibrated = model.calibrated(AccuracyTools::default());
    let search = model.search(&calibrated);
    let options = QuantizeOptions::default();
    for (default, least_db) in [(Level::Int8, 20.0), (Level::Int16, 25.0)] {
        let sqnr_db = |precisions: &Precisions| {
            search.score(&QuantizeOptions { precisions: precisions.clone(), ..options.clone() }, 40).unwrap().sqnr_db
        };
        let plain = Choice::all(default);
        let without_db = sqnr_db(&plain.precisions);
        let choice = search.spare_relative(plain, &options).unwrap();
        let with_db = sqnr_db(&choice.precisions);
        assert!(without_db < 20.0 && with_db > least_db, "{default:?}: {without_db:.1} dB, {with_db:.1} dB");
        let log = choice.raised.iter().find(|r| r.operator == "Log").expect("the logarithm is raised");
        assert!(log.precision == "float32" && log.reason.contains("Log tells small numbers apart"), "{log:?}");
        // What is behind it stays as asked for.
        assert!(!choice.raised.iter().any(|r| r.layer == "y_node"), "{:#?}", choice.raised);
    }
}

#[test]
fn other_models_stay_as_they_are() {
    for functions in [&["Relu"][..], &["Relu", "Tanh"]] {
        let model = Prepared::new(&spectrum(functions), sounds());
        let calibrated = model.calibrated(AccuracyTools::default());
        let choice = model.search(&calibrated).spare_relative(Choice::default(), &QuantizeOptions::default()).unwrap();
        assert_eq!(choice.raised, [], "{functions:?}");
    }
}
