//! Window geometry of convolutions and pools, with the three ways ONNX says padding.

use super::Refusal;
use super::context::{int, ints, text};
use crate::graph::{Window, Window3d};
use crate::import::OnnxNode;

/// A window over one to three spatial axes; one entry per axis.
pub struct Geometry {
    /// Taps.
    pub kernel: Vec<usize>,
    /// Strides.
    pub stride: Vec<usize>,
    /// Dilations.
    pub dilation: Vec<usize>,
    /// Padding before the axis.
    pub padding: Vec<usize>,
    /// Padding behind the axis, as the file says it.
    pub end_padding: Vec<usize>,
    /// Input positions.
    pub input: Vec<usize>,
    /// Output positions.
    pub output: Vec<usize>,
}

impl Geometry {
    /// Reads `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode`, and computes the output's spatial size.
    ///
    /// Sizes: `kernel`, `input` are `[L]`, `[H, W]` or `[D, H, W]`.
    pub fn new(node: &OnnxNode, kernel: &[usize], input: &[usize]) -> Result<Self, Refusal> {
        let mut geometry = Geometry::read(node, kernel, input)?;
        let ceil = match int(node, "ceil_mode", 0)? {
            0 => false,
            1 => true,
            other => {
                return Err(Refusal::new(
                    format!("ceil_mode {other} is not known"),
                    "check the file with onnx.checker",
                ));
            }
        };
        for (i, &size) in input.iter().enumerate() {
            let (stride, extent) = (geometry.stride[i], geometry.extent(i));
            let auto_pad = text(node, "auto_pad", "NOTSET")?;
            if auto_pad.starts_with("SAME") {
                let total = ((size.div_ceil(stride) - 1) * stride + extent).saturating_sub(size);
                geometry.pad(i, total, auto_pad);
            }
            let padded = size + geometry.padding[i] + geometry.end_padding[i];
            let room = padded.checked_sub(extent).ok_or_else(|| {
                Refusal::new(
                    format!("its kernel spans {extent} elements, the padded input has {padded}"),
                    "check the file with onnx.checker",
                )
            })?;
            let mut positions = if ceil { room.div_ceil(stride) + 1 } else { room / stride + 1 };
            // A window that would begin in the padding at the far end does not exist.
            if ceil && (positions - 1) * stride >= size + geometry.padding[i] {
                positions -= 1;
            }
            geometry.output.push(positions);
        }
        Ok(geometry)
    }

    /// The geometry of a transposed convolution: `input` is what it reads, [`Geometry::output`] what it writes.
    ///
    /// Reads `output_padding` and `output_shape` besides.
    pub fn transposed(node: &OnnxNode, kernel: &[usize], input: &[usize]) -> Result<Self, Refusal> {
        let mut geometry = Geometry::read(node, kernel, input)?;
        let n = kernel.len();
        let output_padding = list(node, "output_padding", n, 0, 0)?;
        let auto_pad = text(node, "auto_pad", "NOTSET")?;
        let stated = match ints(node, "output_shape")? {
            Some(_) => {
                // Some exporters write N and C as well.
                let all = ints(node, "output_shape")?.unwrap_or_default();
                let spatial = all.get(all.len().saturating_sub(n)..).unwrap_or_default();
                let sizes: Vec<usize> = spatial.iter().map(|&s| usize::try_from(s).unwrap_or(0)).collect();
                if sizes.len() != n || sizes.contains(&0) {
                    return Err(Refusal::new(
                        format!("output_shape {all:?} does not fit {n} spatial axes"),
                        "check the file with onnx.checker",
                    ));
                }
                Some(sizes)
            }
            None if auto_pad.starts_with("SAME") => {
                Some(input.iter().zip(&geometry.stride).map(|(size, stride)| size * stride).collect())
            }
            None => None,
        };
        for i in 0..n {
            let whole = geometry.stride[i] * (input[i] - 1) + output_padding[i] + geometry.extent(i);
            if let Some(stated) = &stated {
                // ONNX would pad by less than nothing: its own reference moves the result, onnxruntime makes it smaller.
                if stated[i] > whole && auto_pad.starts_with("SAME") {
                    return Err(Refusal::new(
                        format!(
                            "auto_pad {auto_pad} asks for {} positions of {whole}, which ONNX leaves open",
                            stated[i]
                        ),
                        "export the model with explicit pads, or with output_padding",
                    ));
                }
                geometry.pad(i, whole.saturating_sub(stated[i]), auto_pad);
                geometry.output.push(stated[i]);
                continue;
            }
            let left = whole.checked_sub(geometry.padding[i] + geometry.end_padding[i]).filter(|&left| left > 0);
            geometry.output.push(left.ok_or_else(|| {
                Refusal::new(
                    format!("its padding takes away all of the {whole} positions of an axis"),
                    "check the file with onnx.checker",
                )
            })?);
        }
        Ok(geometry)
    }

    fn read(node: &OnnxNode, kernel: &[usize], input: &[usize]) -> Result<Self, Refusal> {
        let n = kernel.len();
        if input.len() != n || kernel.contains(&0) || !(1..=3).contains(&n) {
            return Err(Refusal::new(
                format!("a kernel of shape {kernel:?} over a map of shape {input:?}"),
                "windows with one, two and three dimensions are supported",
            ));
        }
        let (padding, end_padding) = match text(node, "auto_pad", "NOTSET")? {
            "NOTSET" => {
                let pads = list(node, "pads", 2 * n, 0, 0)?;
                (pads[..n].to_vec(), pads[n..].to_vec())
            }
            "VALID" | "SAME_UPPER" | "SAME_LOWER" => (vec![0; n], vec![0; n]),
            other => {
                return Err(Refusal::new(
                    format!("auto_pad '{other}' is not known"),
                    "export the model with explicit pads",
                ));
            }
        };
        Ok(Geometry {
            kernel: kernel.to_vec(),
            stride: list(node, "strides", n, 1, 1)?,
            dilation: list(node, "dilations", n, 1, 1)?,
            padding,
            end_padding,
            input: input.to_vec(),
            output: Vec::new(),
        })
    }

    /// Elements from the first tap to the last, both included.
    pub fn extent(&self, i: usize) -> usize {
        (self.kernel[i] - 1) * self.dilation[i] + 1
    }

    /// Distributes padding; the larger half goes to the end for `SAME_UPPER`, to the beginning otherwise.
    fn pad(&mut self, i: usize, total: usize, auto_pad: &str) {
        let (smaller, larger) = (total / 2, total - total / 2);
        let pair = if auto_pad == "SAME_UPPER" { (smaller, larger) } else { (larger, smaller) };
        (self.padding[i], self.end_padding[i]) = pair;
    }

    /// Whether every window has a tap inside the input.
    pub fn covers_input(&self) -> bool {
        (0..self.input.len()).all(|i| {
            let inside = self.padding[i]..self.padding[i] + self.input[i];
            let tap = |at: usize, k: usize| at * self.stride[i] + k * self.dilation[i];
            (0..self.output[i]).all(|at| (0..self.kernel[i]).any(|k| inside.contains(&tap(at, k))))
        })
    }

    /// Whether a window begins beyond the last element of the input, which no kernel takes.
    pub fn begins_beyond(&self) -> bool {
        (0..self.input.len()).any(|i| (self.output[i] - 1) * self.stride[i] >= self.input[i] + self.padding[i])
    }

    /// The window over NHWC; one-dimensional maps have height 1. `None` for three axes.
    pub fn window(&self) -> Option<Window> {
        let pair = |v: &[usize], fill: usize| match *v {
            [w] => Some([fill, w]),
            [h, w] => Some([h, w]),
            _ => None,
        };
        Some(Window {
            kernel: pair(&self.kernel, 1)?,
            stride: pair(&self.stride, 1)?,
            dilation: pair(&self.dilation, 1)?,
            padding: pair(&self.padding, 0)?,
        })
    }

    /// The window over the file's own layout.
    pub fn window_3d(&self) -> Window3d {
        let triple = |v: &[usize], fill: usize| {
            let mut padded = [fill; 3];
            padded[3 - v.len()..].copy_from_slice(v);
            padded
        };
        Window3d {
            kernel: triple(&self.kernel, 1),
            stride: triple(&self.stride, 1),
            dilation: triple(&self.dilation, 1),
            padding: triple(&self.padding, 0),
            padding_after: triple(&self.end_padding, 0),
        }
    }
}

/// An attribute with `length` numbers of at least `least`.
fn list(node: &OnnxNode, name: &str, length: usize, default: i64, least: i64) -> Result<Vec<usize>, Refusal> {
    let values = ints(node, name)?.unwrap_or_else(|| vec![default; length]);
    if values.len() != length || values.iter().any(|&v| v < least) {
        return Err(Refusal::new(
            format!("{name} {values:?} are not {length} numbers of at least {least}"),
            "export the model with other padding",
        ));
    }
    Ok(values.into_iter().map(|v| v as usize).collect())
}
