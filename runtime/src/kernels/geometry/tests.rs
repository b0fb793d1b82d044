use super::*;
use std::vec::Vec;

const WINDOW: Window2d =
    Window2d { input: [5, 7, 3], output: [5, 7, 3], kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] };

#[test]
fn unusable_windows_are_refused() {
    assert!(WINDOW.check().is_some());
    let huge = u32::MAX;
    for window in [
        Window2d { input: [0, 7, 3], ..WINDOW },
        Window2d { input: [huge, huge, huge], ..WINDOW },
        Window2d { output: [5, 7, 0], ..WINDOW },
        Window2d { kernel: [0, 3], ..WINDOW },
        Window2d { kernel: [3, huge], ..WINDOW },
        Window2d { stride: [1, 0], ..WINDOW },
        Window2d { stride: [huge, 1], ..WINDOW },
        Window2d { dilation: [0, 1], ..WINDOW },
        Window2d { dilation: [1, huge], ..WINDOW },
        Window2d { padding: [huge, 0], ..WINDOW },
        Window2d { output: [7, 7, 3], ..WINDOW },
        Window2d { output: [5, 9, 3], ..WINDOW },
    ] {
        assert_eq!(window.check(), None, "{window:?}");
    }
    for (groups, valid) in [(1, true), (3, true), (2, false), (0, false), (huge, false)] {
        assert_eq!(Conv2d { window: WINDOW, groups }.check().is_some(), valid, "{groups} groups");
    }
    let too_many_weights = Window2d { input: [1, 1, 1 << 20], output: [1, 1, 1 << 20], ..WINDOW };
    assert_eq!(Conv2d { window: too_many_weights, groups: 1 }.check(), None);
}

/// Taps by asking every tap of every position whether it is inside.
#[test]
fn taps_are_those_inside_the_image() {
    for input in [1, 2, 5, 8] {
        for kernel in 1..=4 {
            for stride in 1..=5 {
                for dilation in 1..=3 {
                    for padding in 0..=5 {
                        let axis = Axis::new(input, kernel, stride, dilation, padding);
                        for output in 0..6u32 {
                            let position = |k: u32| i64::from(output * stride + k * dilation) - i64::from(padding);
                            let inside: Vec<u32> =
                                (0..kernel).filter(|&k| (0..i64::from(input)).contains(&position(k))).collect();
                            let taps = axis.taps(output as usize);
                            assert_eq!(taps.count, inside.len());
                            if let Some(&first) = inside.first() {
                                assert_eq!((taps.first, taps.position as i64), (first as usize, position(first)));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn unusable_products_are_refused() {
    let product =
        MatMul { batch: 2, m: 3, k: 4, n: 5, a_batch_stride: 12, b_batch_stride: 0, b_layout: MatrixLayout::Nk };
    assert!(product.check().is_some());
    assert_eq!((product.a_elements(), product.b_elements(), product.output_elements()), (24, 20, 30));
    assert_eq!(product.macs(), 120);
    for product in [
        MatMul { batch: 0, ..product },
        MatMul { k: 0, ..product },
        MatMul { m: u32::MAX, ..product },
        MatMul { a_batch_stride: 11, ..product },
        MatMul { b_batch_stride: 12, ..product },
        MatMul { batch: 1 << 28, ..product },
    ] {
        assert_eq!(product.check(), None, "{product:?}");
    }
}

#[test]
fn sums_merge_into_as_few_rows_as_possible() {
    let rows = |a, b, output| {
        let loops = StridedLoops::<3>::broadcast(a, b, output).unwrap();
        (loops.row_length(), loops.n_iterations().unwrap() as usize / loops.row_length(), loops.row_strides())
    };
    let image = [1, 1, 4, 5, 6];
    assert_eq!(rows(image, image, image), (120, 1, [1, 1, 1]));
    assert_eq!(rows(image, [1; 5], image), (120, 1, [1, 0, 1]));
    assert_eq!(rows([1; 5], [1; 5], [1; 5]), (1, 1, [0, 0, 0]));
    assert_eq!(rows(image, [1, 1, 1, 1, 6], image), (6, 20, [1, 1, 1]));
    assert_eq!(rows([1, 1, 4, 5, 1], image, image), (6, 20, [0, 1, 1]));
    assert_eq!(rows([2, 1, 4, 1, 1], [1, 3, 1, 5, 6], [2, 3, 4, 5, 6]), (30, 24, [0, 1, 1]));
}

#[test]
fn shapes_that_do_not_broadcast_are_refused() {
    for (a, b, output) in [
        ([1, 1, 1, 2, 3], [1, 1, 1, 2, 4], [1, 1, 1, 2, 4]),
        ([1, 1, 1, 2, 3], [1, 1, 1, 2, 3], [1, 1, 1, 2, 1]),
        ([1, 1, 1, 2, 1], [1, 1, 1, 2, 1], [1, 1, 1, 2, 3]),
        ([0; 5], [0; 5], [0; 5]),
    ] {
        assert_eq!(StridedLoops::<3>::broadcast(a, b, output), None);
    }
    assert_eq!(StridedLoops::transpose([1, 2, 3, 4, 5], [0, 1, 2, 3, 3]), None);
    assert_eq!(StridedLoops::transpose([1, 2, 3, 4, 5], [0, 1, 2, 3, 5]), None);
    assert_eq!(StridedLoops::embed([1, 2, 3, 4, 6], [1, 2, 3, 4, 5]), None);
}

#[test]
fn reach_is_the_number_of_elements() {
    let loops = StridedLoops::<3>::broadcast([1, 1, 4, 1, 6], [1, 1, 1, 5, 1], [1, 1, 4, 5, 6]).unwrap();
    assert_eq!([0, 1, 2, 3].map(|i| loops.reach(i)), [Some(24), Some(5), Some(120), None]);
    let overflowing = StridedLoops { dims: [u32::MAX; 5], strides: [[u32::MAX; 5]; 1] };
    assert_eq!(overflowing.reach(0), None);
}
