//! Masks before Softmax.

use super::*;

/// `x` masked by a constant; columns 1 and 3 are excluded.
fn masked(by: impl FnOnce(&mut Builder, TensorId) -> TensorId) -> (Builder, TensorId, TensorId) {
    let (mut b, x) = Builder::new(71, &[1, 4, 4, 3]);
    let scores = b.conv("scores", x, 1, 4, OPEN);
    let masked = by(&mut b, scores);
    let softmax = b.node("softmax", Operator::Softmax, &[masked], &[1, 4, 4, 4]);
    (b, masked, softmax)
}

fn added(value: f32) -> impl FnOnce(&mut Builder, TensorId) -> TensorId {
    move |b, scores| {
        let mask = b.graph.add_constant("mask", vec![4], Constant::F32(vec![0.0, value, 0.0, value]));
        b.binary("masked", Binary::Add, scores, mask)
    }
}

fn selected(b: &mut Builder, scores: TensorId) -> TensorId {
    let condition = b.graph.add_constant("condition", vec![4], Constant::Bool(vec![1, 0, 1, 0]));
    let value = b.graph.add_constant("value", vec![1], Constant::F32(vec![f32::NEG_INFINITY]));
    b.node("masked", Operator::Where, &[condition, scores, value], &[1, 4, 4, 4])
}

fn quantized(graph: &Graph) -> Graph {
    let samples = samples(&graph.inputs[0].shape, 16);
    quantize(graph.clone(), &observed(graph, &samples), &QuantizeOptions::default()).unwrap()
}

#[test]
fn excluded_elements_have_no_share_and_cost_no_resolution() {
    for by in [-1e9, -10_000.0, f32::MIN, f32::NEG_INFINITY] {
        let (b, _, softmax) = masked(added(by));
        let graph = b.finish(&[softmax]);
        let int8 = quantized(&graph);
        assert_eq!(count(&int8, &Operator::MaskedSoftmax), 1, "{by}");
        let [scores, masked] = ["scores", "masked"].map(|name| quantization(&int8, name).scales[0]);
        assert!(masked < scores * 1.02, "{by}: steps of {masked} for scores in steps of {scores}");
        run(&int8, &samples(&[1, 4, 4, 3], 3), &mut |_, shares| {
            let shares = shares.to_f32();
            assert!(shares.chunks(4).all(|row| row[1] == 0.0 && row[3] == 0.0), "{by}: {shares:?}");
            assert!(shares.chunks(4).all(|row| (row[0] + row[2] - 1.0).abs() < 0.02), "{by}: {shares:?}");
        });
        assert!(sqnr_db(&graph, &int8, &samples(&[1, 4, 4, 3], 8)) > 35.0, "{by}");
    }
}

#[test]
fn what_where_excludes_has_no_share() {
    let (b, _, softmax) = masked(selected);
    let int8 = quantized(&b.finish(&[softmax]));
    assert_eq!(count(&int8, &Operator::MaskedSoftmax), 1);
    run(&int8, &samples(&[1, 4, 4, 3], 3), &mut |_, shares| {
        assert!(shares.to_f32().chunks(4).all(|row| row[1] == 0.0 && row[3] == 0.0));
    });
}

#[test]
fn numbers_that_leave_something_of_a_score_are_no_mask() {
    let (b, _, softmax) = masked(added(-3.0));
    assert_eq!(count(&quantized(&b.finish(&[softmax])), &Operator::MaskedSoftmax), 0);
}

#[test]
fn masked_scores_that_others_read_stay_as_they_are() {
    let (b, masked, softmax) = masked(added(-2000.0));
    let int8 = quantized(&b.finish(&[masked, softmax]));
    assert_eq!(count(&int8, &Operator::MaskedSoftmax), 0);
    let covered = Range::of_quantization(quantization(&int8, "masked"));
    assert!(covered.min < -1900.0, "{covered:?}");
}

#[test]
fn int16_masks_in_float32() {
    for by in [-1e9, -10_000.0, f32::NEG_INFINITY] {
        let (b, _, softmax) = masked(added(by));
        let graph = b.finish(&[softmax]);
        let options = QuantizeOptions {
            precisions: Precisions { default: Level::Int16, ..Precisions::default() },
            ..QuantizeOptions::default()
        };
        let ranges = observed(&graph, &samples(&[1, 4, 4, 3], 16));
        let int16 = quantize(graph.clone(), &ranges, &options).unwrap();
        assert_eq!(count(&int16, &Operator::MaskedSoftmax), 0, "{by}");
        run(&int16, &samples(&[1, 4, 4, 3], 3), &mut |_, shares| {
            assert!(shares.to_f32().chunks(4).all(|row| row[1] == 0.0 && row[3] == 0.0), "{by}");
        });
        assert!(sqnr_db(&graph, &int16, &samples(&[1, 4, 4, 3], 8)) > 40.0, "{by}");
    }
}
