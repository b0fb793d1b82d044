//! Distributions of the float model's values, and what of them the image's int8 can express.

use super::RenderError;
use super::numbers::{grouped, percent, significant};
use super::palette::{BAR, GRID, INK, LIMIT, ZONE};
use crate::quantize::Histogram;
use plotters::prelude::*;
use serde::Serialize;
use tinfer::tensor::Quantization;

/// What the float model computes for one tensor of the image.
pub(super) struct TensorRange {
    /// ONNX name.
    pub name: String,
    /// Set when the image holds it as int8.
    pub quantization: Option<Quantization>,
    pub histogram: Histogram,
}

/// For the template.
#[derive(Debug, Serialize)]
pub(super) struct RangeView {
    pub name: String,
    pub lines: Vec<String>,
    /// A drawing.
    pub svg: String,
}

impl TensorRange {
    /// The drawing; `None` when no value was seen.
    pub fn view(&self) -> Result<Option<RangeView>, RenderError> {
        let Some((min, max)) = self.histogram.min_max() else { return Ok(None) };
        let (min, max) = (f64::from(min), f64::from(max));
        let clip = self.quantization.map(|q| {
            let real = |step: i32| f64::from(q.scale) * f64::from(step - q.zero_point);
            [real(-128), real(127)]
        });
        let mut lines = vec![format!("float {} … {}", significant(min), significant(max))];
        if let (Some(q), Some([low, high])) = (self.quantization, clip) {
            lines.push(format!("int8 {} … {}", significant(low), significant(high)));
            lines.push(format!("step {}, zero point {}", significant(q.scale.into()), q.zero_point));
            // What rounds to the last step is not clipped.
            let half = f64::from(q.scale) / 2.0;
            let [below, above] = [self.part(|v| v < low - half), self.part(|v| v > high + half)];
            lines.push(match below + above {
                0.0 => "nothing is clipped".into(),
                all if below * above > 0.0 => format!("{} clipped, {} of it below", percent(all), percent(below / all)),
                all => format!("{} clipped, {}", percent(all), if below > 0.0 { "below" } else { "above" }),
            });
        }
        if self.histogram.n_not_finite() > 0 {
            lines.push(format!("{} values are not finite", grouped(self.histogram.n_not_finite())));
        }
        Ok(Some(RangeView { name: self.name.clone(), lines, svg: self.plot([min, max], clip)? }))
    }

    fn part(&self, is_counted: impl Fn(f64) -> bool) -> f64 {
        let counted = self.histogram.groups().iter().filter(|g| is_counted(g.value())).map(|g| g.count).sum::<u64>();
        counted as f64 / self.histogram.n_values().max(1) as f64
    }

    fn plot(&self, [min, max]: [f64; 2], clip: Option<[f64; 2]>) -> Result<String, RenderError> {
        let [low, high] = clip.map_or([min, max], |[a, b]| [a.min(min), b.max(max)]);
        let width = if high > low { high - low } else { low.abs().max(1.0) };
        let (from, to) = (low - 0.02 * width, high + 0.02 * width);
        let bin = (to - from) / N_BARS as f64;
        let mut counts = [0u64; N_BARS];
        for group in self.histogram.groups() {
            let idx = ((group.value() - from) / bin) as usize;
            counts[idx.min(N_BARS - 1)] += group.count;
        }
        // Zeros after a Relu would hide the rest of a linear scale.
        let height = |count: u64| ((count + 1) as f64).log10();
        let top = height(counts.iter().copied().max().unwrap_or(0)) * 1.05;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
            let mut chart = ChartBuilder::on(&root)
                .margin(6)
                .margin_right(14)
                .x_label_area_size(22)
                .y_label_area_size(36)
                .build_cartesian_2d(from..to, 0.0..top)?;
            if let Some([low, high]) = clip {
                chart.draw_series([Rectangle::new([(low, 0.0), (high, top)], ZONE.filled())])?;
            }
            chart
                .configure_mesh()
                .disable_mesh()
                .axis_style(GRID)
                .label_style(("sans-serif", 11).into_font().color(&INK))
                .x_labels(4)
                .y_labels(top.ceil() as usize + 1)
                .x_label_formatter(&|v| significant(if v.abs() < width * 1e-6 { 0.0 } else { *v }))
                .y_label_formatter(&|v| power_of_ten(*v))
                .draw()?;
            let bars = counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, &n)| {
                let x = from + i as f64 * bin;
                Rectangle::new([(x, 0.0), (x + bin, height(n))], BAR.filled())
            });
            chart.draw_series(bars)?;
            for limit in clip.into_iter().flatten() {
                chart.draw_series([PathElement::new([(limit, 0.0), (limit, top)], LIMIT.stroke_width(2))])?;
            }
            root.present()?;
        }
        Ok(svg)
    }
}

/// The count at a mark of the axis; nothing between powers.
fn power_of_ten(exponent: f64) -> String {
    const TEXTS: [&str; 10] = ["1", "10", "100", "1k", "10k", "100k", "1M", "10M", "100M", "1G"];
    let whole = exponent.round();
    let text = TEXTS.get(whole as usize).filter(|_| whole >= 0.0 && (exponent - whole).abs() < 1e-6);
    text.copied().unwrap_or_default().to_string()
}

const N_BARS: usize = 64;
const WIDTH: u32 = 300;
const HEIGHT: u32 = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipped_values_are_counted() {
        let mut histogram = Histogram::default();
        histogram.add(&[-3.0, -1.0, 0.0, 0.5, 1.0, 1.27, 1.274, 2.0]);
        let quantization = Some(Quantization { scale: 0.01, zero_point: 0 });
        let range = TensorRange { name: "t".into(), quantization, histogram };
        let view = range.view().unwrap().unwrap();
        assert_eq!(
            view.lines,
            ["float -3 … 2", "int8 -1.28 … 1.27", "step 0.01, zero point 0", "25.00 % clipped, 50.00 % of it below"]
        );
        assert!(view.svg.starts_with("<svg") && view.svg.trim_end().ends_with("</svg>"), "{}", view.svg);
    }

    #[test]
    fn tensors_of_one_value_or_none_have_a_drawing_or_none() {
        let mut histogram = Histogram::default();
        let empty = TensorRange { name: "t".into(), quantization: None, histogram: histogram.clone() };
        assert!(empty.view().unwrap().is_none());
        histogram.add(&[7.0; 3]);
        let flat = TensorRange { name: "t".into(), quantization: None, histogram };
        assert_eq!(flat.view().unwrap().unwrap().lines, ["float 7 … 7"]);
    }
}
