//! Pictures become inputs as the `image` crate makes them, in the image as in `model.toml`, from files as from a camera.

use image::imageops::{FilterType, resize, thumbnail};
use image::{DynamicImage, GrayImage, RgbImage};
use tinfer::Image;
use tinfer::operators;
use tinfer::preprocess::{Binarise, Channels, Fit, ImagePreprocess, Picture, PixelFormat, PixelOrder, Resize};
use tinfer::session::Session;
use tinfer_compiler::aligned::AlignedBytes;
use tinfer_tests::command_line::tinfer;
use tinfer_tests::root;

fn preprocess(width: u32, height: u32, channels: Channels, resize: Resize) -> ImagePreprocess {
    ImagePreprocess {
        width: width as u16,
        height: height as u16,
        channels,
        resize,
        fit: Fit::Stretch,
        binarise: Binarise::Never,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

/// Smooth in one half and noise in the other, so that both soft and hard edges are resampled.
fn picture(width: u32, height: u32) -> RgbImage {
    let mut state = width * 31 + height;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = [state >> 8, state >> 16, state >> 24].map(|v| v as u8);
        let smooth = [x * 255 / width, y * 255 / height, (x + y) % 256].map(|v| v as u8);
        image::Rgb(if x * 2 < width { smooth } else { noise })
    })
}

fn filled(p: &ImagePreprocess, source: &RgbImage) -> Vec<f32> {
    let picture = Picture::new(source.width(), source.height(), PixelFormat::Rgb, source.as_raw()).unwrap();
    let mut input = vec![0.0; p.n_values()];
    p.fill_f32(&picture, PixelOrder::Interleaved, &mut input).unwrap();
    input
}

/// The largest difference of two pixels.
fn distance(found: &[f32], expected: &[u8]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(f, &e)| (f - f32::from(e)).abs()).fold(0.0, f32::max)
}

const SIZES: [([u32; 2], [u32; 2]); 8] = [
    ([28, 28], [28, 28]),
    ([140, 140], [28, 28]),
    ([640, 480], [96, 96]),
    ([33, 57], [20, 31]),
    ([20, 20], [61, 47]),
    ([97, 3], [5, 40]),
    ([1, 1], [4, 4]),
    ([300, 2], [1, 1]),
];

#[test]
fn resampling_equals_the_image_crates() {
    for ([w, h], [to_w, to_h]) in SIZES {
        let source = picture(w, h);
        let check = |method, expected: RgbImage| {
            let found = filled(&preprocess(to_w, to_h, Channels::Rgb, method), &source);
            let worst = distance(&found, expected.as_raw());
            assert!(worst <= 1.0, "{method:?} {w} x {h} to {to_w} x {to_h}: {worst}");
        };
        check(Resize::Nearest, resize(&source, to_w, to_h, FilterType::Nearest));
        check(Resize::Triangle, resize(&source, to_w, to_h, FilterType::Triangle));
        if to_w >= w && to_h >= h {
            check(Resize::Bilinear, resize(&source, to_w, to_h, FilterType::Triangle));
        }
        // The crate's mean of an area takes whole pixels: the same where they are whole.
        if w % to_w == 0 && h % to_h == 0 {
            check(Resize::Area, thumbnail(&source, to_w, to_h));
        }
    }
}

#[test]
fn luma_equals_the_image_crates() {
    let source = picture(96, 64);
    let found = filled(&preprocess(96, 64, Channels::Gray, Resize::Nearest), &source);
    let worst = distance(&found, DynamicImage::ImageRgb8(source.clone()).into_luma8().as_raw());
    assert!(worst <= 1.0, "{worst}");
    let small = filled(&preprocess(24, 24, Channels::Gray, Resize::Triangle), &source);
    let luma: GrayImage = DynamicImage::ImageRgb8(source).into_luma8();
    let worst = distance(&small, resize(&luma, 24, 24, FilterType::Triangle).as_raw());
    assert!(worst <= 1.0, "{worst}");
}

#[test]
fn cropping_equals_the_image_crates() {
    for ([w, h], [to_w, to_h]) in [([640, 480], [96, 96]), ([100, 300], [64, 32])] {
        let source = picture(w, h);
        let p = ImagePreprocess { fit: Fit::Crop, ..preprocess(to_w, to_h, Channels::Rgb, Resize::Triangle) };
        let [part_w, part_h] = [w.min(h * to_w / to_h), h.min(w * to_h / to_w)];
        let part = image::imageops::crop_imm(&source, (w - part_w) / 2, (h - part_h) / 2, part_w, part_h).to_image();
        let worst = distance(&filled(&p, &source), resize(&part, to_w, to_h, FilterType::Triangle).as_raw());
        assert!(worst <= 1.0, "{w} x {h}: {worst}");
    }
}

/// What a camera with this format sends of a picture.
fn from_camera(source: &RgbImage, format: PixelFormat) -> Vec<u8> {
    let word = |[r, g, b]: [u8; 3]| u16::from(r >> 3) << 11 | u16::from(g >> 2) << 5 | u16::from(b >> 3);
    let luma =
        |[r, g, b]: [u8; 3]| 16.0 + (65.481 * f32::from(r) + 128.553 * f32::from(g) + 24.966 * f32::from(b)) / 255.0;
    source
        .as_raw()
        .chunks_exact(6)
        .flat_map(|six| {
            let [a, b] = [[six[0], six[1], six[2]], [six[3], six[4], six[5]]];
            match format {
                PixelFormat::Rgb565 => [word(a), word(b)].map(u16::to_le_bytes).concat(),
                PixelFormat::Rgb565Be => [word(a), word(b)].map(u16::to_be_bytes).concat(),
                // Without colour, which the pictures do not have.
                PixelFormat::Yuyv => vec![luma(a).round() as u8, 128, luma(b).round() as u8, 128],
                PixelFormat::Uyvy => vec![128, luma(a).round() as u8, 128, luma(b).round() as u8],
                PixelFormat::Gray | PixelFormat::Rgb | PixelFormat::Bgr => unreachable!("cameras here send 16 bits"),
            }
        })
        .collect()
}

#[test]
fn a_camera_shows_the_device_what_a_file_shows_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let digits = root().join("models/digits-cnn");
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (from, to) in
        [("digits-cnn.onnx", "m.onnx"), ("labels.txt", "labels.txt"), ("calibration.npz", "calibration.npz")]
    {
        std::fs::copy(digits.join(from), folder.path().join(to)).unwrap();
    }
    let about = r#"
        [model]
        name = "seven"
        file = "m.onnx"
        labels = "labels.txt"
        [preprocess.image]
        width = 28
        height = 28
        channels = "gray"
        resize = "triangle"
        fit = "pad"
        threshold = "otsu"
        scale = 0.00392156862745098
        [calibration]
        file = "calibration.npz"
    "#;
    std::fs::write(folder.path().join("model.toml"), about).unwrap();
    tinfer(&["convert", &path("m.onnx"), "-o", &path("m.tnf")]).ok();

    let file = digits.join("samples/seven-140x140-rgb.png").display().to_string();
    let on_host = tinfer(&["run", &path("m.tnf"), "--input", &file, "--json"]).ok().json();
    assert_eq!(on_host["top"][0]["label"], "7", "{on_host}");
    let float = tinfer(&["run", &path("m.onnx"), "--input", &file, "--json"]).ok().json();
    assert_eq!(float["top"][0]["label"], "7", "{float}");
    let scores: Vec<f32> = on_host["outputs"]["probabilities"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap() as f32)
        .collect();

    let bytes = AlignedBytes::from_slice(&std::fs::read(path("m.tnf")).unwrap());
    let image = Image::check(&bytes).unwrap();
    let port = image.inputs().next().unwrap();
    let preprocess = port.preprocess.unwrap();
    assert_eq!(
        (preprocess.resize, preprocess.fit, preprocess.binarise),
        (Resize::Triangle, Fit::Pad(0), Binarise::Otsu)
    );
    let (input, output) =
        (image.tensor(port.tensor).unwrap(), image.tensor(image.outputs().next().unwrap().tensor).unwrap());
    let seven = image::open(&file).unwrap().into_rgb8();
    let mut arena = AlignedBytes::zeroed(image.arena_bytes());
    for format in [PixelFormat::Rgb565, PixelFormat::Rgb565Be, PixelFormat::Yuyv, PixelFormat::Uyvy] {
        let pixels = from_camera(&seven, format);
        let picture = Picture::new(seven.width(), seven.height(), format, &pixels).unwrap();
        let mut values = vec![0i8; preprocess.n_values()];
        preprocess.fill_i8(&picture, PixelOrder::Interleaved, input.quantization, &mut values).unwrap();
        let mut session = Session::bind(&image, &mut arena, operators::ALL).unwrap();
        session.set_input(0, &values.iter().map(|&v| v as u8).collect::<Vec<u8>>()).unwrap();
        session.run().unwrap();
        let found: Vec<f32> =
            session.output(0).unwrap().iter().map(|&b| output.quantization.dequantize(i32::from(b as i8))).collect();
        // Black and white leaves nothing of how finely a camera counts.
        assert_eq!(found, scores, "{format:?}");
    }
}
