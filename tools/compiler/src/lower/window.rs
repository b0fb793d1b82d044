//! Window geometry of convolutions and pools, with the three ways ONNX says padding.

use super::Refusal;
use super::context::{int, ints, text};
use crate::graph::Window;
use crate::import::OnnxNode;

/// A window in our terms and what the file says at the far end.
pub struct Geometry {
    /// Kernel, stride, dilation, padding at the near end; one-dimensional maps have height 1.
    pub window: Window,
    /// Bottom and right padding.
    pub end_padding: [usize; 2],
}

impl Geometry {
    /// Reads `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode`, and checks that they lead
    /// from the input's spatial size to the output's as shape inference found it.
    ///
    /// Sizes: `kernel`, `input`, `output` are `[L]` or `[H, W]`.
    pub fn new(node: &OnnxNode, kernel: &[usize], input: &[usize], output: &[usize]) -> Result<Self, Refusal> {
        let n = kernel.len();
        let list = |name: &str, length: usize, default: i64, least: i64| -> Result<Vec<usize>, Refusal> {
            let values = ints(node, name)?.unwrap_or_else(|| vec![default; length]);
            if values.len() != length || values.iter().any(|&v| v < least) {
                return Err(Refusal::new(
                    format!("{name} {values:?} are not {length} numbers of at least {least}"),
                    "export the model with other padding",
                ));
            }
            Ok(values.into_iter().map(|v| v as usize).collect())
        };
        if input.len() != n || output.len() != n || kernel.contains(&0) {
            return Err(Refusal::new(
                format!("a kernel of shape {kernel:?} over a map of shape {input:?}"),
                "check the file with onnx.checker",
            ));
        }
        let strides = list("strides", n, 1, 1)?;
        let dilations = list("dilations", n, 1, 1)?;
        let extent = |i: usize| (kernel[i] - 1) * dilations[i] + 1;
        let (begin, end) = match text(node, "auto_pad", "NOTSET")? {
            "NOTSET" => {
                let pads = list("pads", 2 * n, 0, 0)?;
                (pads[..n].to_vec(), pads[n..].to_vec())
            }
            "VALID" => (vec![0; n], vec![0; n]),
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                let total =
                    |i: usize| ((input[i].div_ceil(strides[i]) - 1) * strides[i] + extent(i)).saturating_sub(input[i]);
                let smaller: Vec<usize> = (0..n).map(|i| total(i) / 2).collect();
                let larger: Vec<usize> = (0..n).map(|i| total(i) - smaller[i]).collect();
                if same == "SAME_UPPER" { (smaller, larger) } else { (larger, smaller) }
            }
            other => {
                return Err(Refusal::new(
                    format!("auto_pad '{other}' is not known"),
                    "export the model with explicit pads",
                ));
            }
        };
        let ceil = int(node, "ceil_mode", 0)? != 0;
        for i in 0..n {
            let padded = input[i] + begin[i] + end[i];
            let room = padded.checked_sub(extent(i)).ok_or_else(|| {
                Refusal::new(
                    format!("its kernel spans {} elements, the padded input has {padded}", extent(i)),
                    "check the file with onnx.checker",
                )
            })?;
            let mut expected = if ceil { room.div_ceil(strides[i]) + 1 } else { room / strides[i] + 1 };
            // A window that would begin in the padding at the far end does not exist.
            if ceil && (expected - 1) * strides[i] >= input[i] + begin[i] {
                expected -= 1;
            }
            if expected != output[i] {
                return Err(Refusal::new(
                    format!("its output has {} positions where {expected} follow from its attributes", output[i]),
                    "export the model with explicit pads and without ceil_mode",
                ));
            }
        }
        let pair = |v: &[usize], fill: usize| if n == 1 { [fill, v[0]] } else { [v[0], v[1]] };
        if n > 2 {
            return Err(Refusal::new(
                format!("its window has {n} dimensions"),
                "one- and two-dimensional windows are supported",
            ));
        }
        let window = Window {
            kernel: pair(kernel, 1),
            stride: pair(&strides, 1),
            dilation: pair(&dilations, 1),
            padding: pair(&begin, 0),
        };
        Ok(Geometry { window, end_padding: pair(&end, 0) })
    }
}
