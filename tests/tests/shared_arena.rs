//! Two models take turns in one arena, and each computes what it computes alone.

use tinfer::error::BindError;
use tinfer::session::Binding;
use tinfer::{Image, Isa, operators};
use tinfer_compiler::aligned::AlignedBytes;
use tinfer_compiler::convert::{ConvertRequest, Precision, convert};
use tinfer_compiler::quantize::RangeMethod;
use tinfer_compiler::target::Target;
use tinfer_tests::root;

fn image(model: &str, isa: Isa) -> AlignedBytes {
    let request = ConvertRequest {
        method: Some(RangeMethod::MinMax),
        ..ConvertRequest::new(
            root().join("models").join(model).join(format!("{model}.onnx")),
            Target::Isa(isa),
            Precision::Int8,
        )
    };
    convert(&request, &mut |_| {}).unwrap().image
}

/// Runs a model once. `seed` gives its inputs.
fn run(model: &Binding<'_, '_>, arena: &mut [u8], seed: u8) -> Vec<u8> {
    let mut session = model.session(arena).unwrap();
    for (idx, byte) in session.input(0).unwrap().iter_mut().enumerate() {
        *byte = (idx as u8).wrapping_mul(37).wrapping_add(seed);
    }
    session.run().unwrap();
    session.output(0).unwrap().to_vec()
}

#[test]
fn models_that_take_turns_compute_what_each_computes_alone() {
    for isa in [Isa::Portable, Isa::Armv7em, Isa::Mve] {
        let bytes = ["digits-cnn", "fashion-resnet8"].map(|model| image(model, isa));
        let images = bytes.each_ref().map(|bytes| Image::check(bytes).unwrap());
        let models = images.each_ref().map(|image| Binding::new(image, operators::ALL).unwrap());
        let sizes = images.each_ref().map(Image::arena_bytes);
        assert_ne!(sizes[0], sizes[1]);
        let mut shared = AlignedBytes::zeroed(sizes[0].max(sizes[1]));
        let mut differ = false;
        for turn in 0..6u8 {
            let found = models.each_ref().map(|model| run(model, &mut shared, turn));
            // Alone, in an arena that holds nothing of anybody.
            let alone = [0, 1].map(|idx| run(&models[idx], &mut AlignedBytes::zeroed(sizes[idx]), turn));
            assert_eq!(found, alone, "{isa:?}, turn {turn}");
            differ |= found[0] != run(&models[0], &mut shared, turn + 1);
        }
        assert!(differ, "the outputs depend on the inputs");

        let (need_bytes, have_bytes) = (sizes[0].max(sizes[1]), sizes[0].max(sizes[1]) - 16);
        let larger = &models[usize::from(sizes[1] > sizes[0])];
        let error = larger.session(&mut shared[..have_bytes]).unwrap_err();
        let expected = BindError::ArenaTooSmall { need_bytes: need_bytes as u32, have_bytes: have_bytes as u32 };
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), format!("arena too small: need {need_bytes} bytes, have {have_bytes}"));
    }
}
