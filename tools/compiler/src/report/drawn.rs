//! Pictures that a model draws, by whom: the float model, the image on this machine, the image on the device.

use super::numbers::decibels;
use super::pixels::data_uri;
use crate::array::Array;
use crate::import::Interface;
use crate::metrics::Comparison;
use serde::Serialize;

/// Every output that is a picture, in the first samples.
pub(super) struct Drawn {
    outputs: Vec<DrawnOutput>,
}

/// For the template: columns are samples.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DrawnOutput {
    pub name: String,
    /// Which output of the model it is.
    index: usize,
    pub samples: Vec<DrawnSample>,
    /// Whether the device drew any of them.
    pub has_device: bool,
}

/// One output of one sample, as `data:` URIs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DrawnSample {
    pub float: String,
    pub host: String,
    /// Of the samples that the device ran.
    pub device: Option<String>,
    /// Of this machine against the float model.
    pub sqnr: String,
}

impl Drawn {
    /// For a model with these outputs.
    pub fn new(outputs: &[Interface]) -> Self {
        let pictures = outputs.iter().enumerate().filter(|(_, port)| is_picture(&port.shape));
        let outputs = pictures.map(|(index, port)| DrawnOutput {
            name: port.name.clone(),
            index,
            samples: Vec::new(),
            has_device: false,
        });
        Drawn { outputs: outputs.collect() }
    }

    /// Keeps the pictures of a sample if it is among the first.
    pub fn add(&mut self, expected: &[Array], found: &[Array], on_device: Option<&[Array]>) {
        for output in self.outputs.iter_mut().filter(|o| o.samples.len() < N_SAMPLES) {
            let (Some(expected), Some(found)) = (expected.get(output.index), found.get(output.index)) else { continue };
            // All in the shades of the float model, so that what looks different is.
            let uri = |array: &Array| data_uri(array, None, expected);
            let (Some(float), Some(host)) = (uri(expected), uri(found)) else { continue };
            let device = on_device.and_then(|arrays| uri(arrays.get(output.index)?));
            output.has_device |= device.is_some();
            let mut comparison = Comparison::default();
            comparison.add(&expected.to_f32(), &found.to_f32());
            let sqnr = decibels(Some(comparison.sqnr_db().clamp(-200.0, 200.0)));
            output.samples.push(DrawnSample { float, host, device, sqnr });
        }
    }

    /// Outputs with pictures; none for a model that draws nothing.
    pub fn view(&self) -> Vec<DrawnOutput> {
        self.outputs.iter().filter(|o| !o.samples.is_empty()).cloned().collect()
    }
}

/// One or three channels before or after two sides that no list of classes has. `[1, H, W]` may as well be a batch of
/// one table, and counts as none.
fn is_picture(shape: &[usize]) -> bool {
    let are_sides = |height: usize, width: usize| height.min(width) >= LEAST_SIDE;
    match *shape {
        [1, 1 | 3, h, w] | [3, h, w] | [1, h, w, 1 | 3] | [h, w, 1 | 3] => are_sides(h, w),
        _ => false,
    }
}

/// Shorter sides are features.
const LEAST_SIDE: usize = 8;
/// As many as are seen at a glance.
const N_SAMPLES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use tinfer::tensor::ElementType;

    #[test]
    fn pictures_have_channels_and_sides() {
        let check = |shape: &[usize], expected| assert_eq!(is_picture(shape), expected, "{shape:?}");
        check(&[1, 1, 28, 20], true);
        check(&[1, 28, 20, 3], true);
        check(&[28, 20, 1], true);
        check(&[3, 28, 20], true);
        check(&[1, 64, 64], false);
        check(&[1, 10, 144], false);
        check(&[1, 10, 28, 28], false);
        check(&[1, 3, 4, 4], false);
        check(&[2, 1, 28, 28], false);
        check(&[1, 10], false);
    }

    #[test]
    fn only_what_the_device_ran_is_its_drawing() {
        let ports = ["scores", "picture"].map(|name| Interface {
            name: name.into(),
            shape: if name == "scores" { vec![1, 10] } else { vec![1, 1, 8, 8] },
            batched: true,
            element_type: Some(ElementType::F32),
        });
        let mut drawn = Drawn::new(&ports);
        let arrays =
            |shade: f32| [Array::f32(vec![1, 10], vec![0.0; 10]), Array::f32(vec![1, 1, 8, 8], vec![shade; 64])];
        drawn.add(&arrays(0.5), &arrays(0.25), Some(&arrays(0.25)));
        for _ in 0..N_SAMPLES {
            drawn.add(&arrays(0.5), &arrays(0.5), None);
        }
        let [picture] = &drawn.view()[..] else { panic!("one output is a picture") };
        assert_eq!((picture.name.as_str(), picture.has_device, picture.samples.len()), ("picture", true, N_SAMPLES));
        let [first, second, ..] = &picture.samples[..] else { panic!("two samples") };
        assert_ne!(first.float, first.host);
        assert_eq!(first.device.as_ref(), Some(&first.host));
        assert_eq!((&second.float, &second.device), (&second.host, &None));
        assert_eq!(first.sqnr, "6.0");
    }
}
