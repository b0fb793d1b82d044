//! `--winograd auto`: convolutions that take more flash and fewer instructions compute the same.

use tinfer_compiler::array::{Array, ArrayData};
use tinfer_compiler::choose::Winograd;
use tinfer_compiler::convert::{ConvertRequest, Converted, Precision, convert};
use tinfer_compiler::runner::{ImageRunner, shape};
use tinfer_compiler::target::Target;
use tinfer_tests::root;

fn converted(target: Target, winograd: Winograd) -> Converted {
    let request = ConvertRequest {
        winograd,
        ..ConvertRequest::new(root().join("models/fashion-resnet8/fashion-resnet8.onnx"), target, Precision::Int8)
    };
    convert(&request, &mut |_| {}).unwrap()
}

fn outputs(converted: &Converted) -> Vec<Vec<Array>> {
    let mut runner = ImageRunner::new(&converted.image).unwrap();
    let dims = shape(&runner.inputs()[0]);
    let mut seed = 5u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from((seed >> 56) as u8) / 255.0
    };
    let mut sample =
        || Array::new(dims.clone(), ArrayData::F32((0..dims.iter().product()).map(|_| random()).collect()));
    (0..10).map(|_| runner.run(&[sample()]).unwrap()).collect()
}

fn n_winograd(converted: &Converted) -> usize {
    converted.report.layers.iter().filter(|layer| layer.kernel == "conv_2d_winograd_i8_armv7em").count()
}

#[test]
fn the_model_slot_decides_which_layers_take_more_flash() {
    let Target::Board(board) = Target::parse("mps2-an386").unwrap() else { panic!("mps2-an386 is a board") };
    let usual = converted(Target::Board(board.clone()), Winograd::Never);
    assert_eq!(n_winograd(&usual), 0);
    let all = converted(Target::Board(board.clone()), Winograd::Auto);
    let instructions = |converted: &Converted| converted.report.estimate.unwrap().instructions;
    let [most, least] = [&usual, &all].map(instructions);
    println!("{most} instructions, {least} with {} layers of {}", n_winograd(&all), all.report.image_bytes);
    assert!(n_winograd(&all) > 1 && least < most);
    assert!(all.report.image_bytes > usual.report.image_bytes);
    assert_eq!(outputs(&all), outputs(&usual));
    // One byte less than all of them need leaves one out at least; no room at all leaves none.
    for (bytes, fewer) in [(all.report.image_bytes - 1, 1), (usual.report.image_bytes, n_winograd(&all))] {
        let mut board = board.clone();
        board.model_slot.length = bytes as u32;
        let some = converted(Target::Board(board), Winograd::Auto);
        assert!(some.report.image_bytes <= bytes);
        assert!(n_winograd(&some) <= n_winograd(&all) - fewer, "{}", n_winograd(&some));
        assert_eq!(outputs(&some), outputs(&usual));
    }
    // Without a board nothing says that there is room.
    assert_eq!(n_winograd(&converted(Target::parse("armv7em").unwrap(), Winograd::Auto)), 0);
}
