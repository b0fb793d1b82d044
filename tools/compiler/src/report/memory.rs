//! The arena over time: every value at its addresses, from the step that writes it to the last one that reads it.

use super::RenderError;
use super::dataflow::{Dataflow, Source, Value};
use super::numbers::{fitted_end, grouped};
use super::palette::{GRID, INK, INPUT, SCRATCH, TENSORS};
use plotters::prelude::*;
use serde::Serialize;

/// For the template.
#[derive(Debug, Serialize)]
pub(super) struct MemoryView {
    /// A drawing without its end, so that the template can lay titles and labels over it.
    pub open_svg: String,
    pub tensors: Vec<MemoryRect>,
}

/// One value; lengths in units of the drawing.
#[derive(Debug, Serialize)]
pub(super) struct MemoryRect {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
    pub text_x: i32,
    pub text_y: i32,
    /// As much of the name as there is room for.
    pub label: String,
    /// Everything about it.
    pub title: String,
}

impl MemoryView {
    /// Draws all values; `None` without any.
    pub fn new(dataflow: &Dataflow) -> Result<Option<Self>, RenderError> {
        if dataflow.n_steps == 0 || dataflow.arena_bytes == 0 {
            return Ok(None);
        }
        let n_steps = dataflow.n_steps as i32;
        let arena_bytes = dataflow.arena_bytes as i64;
        let width = WIDTH.max(dataflow.n_steps.saturating_mul(14)).min(MOST_WIDTH);
        let (mut svg, mut tensors) = (String::new(), Vec::new());
        {
            let root = SVGBackend::with_string(&mut svg, (width, HEIGHT)).into_drawing_area();
            let mut chart = ChartBuilder::on(&root)
                .margin(8)
                .margin_right(18)
                .x_label_area_size(36)
                .y_label_area_size(66)
                .build_cartesian_2d(0..n_steps, 0..arena_bytes)?;
            chart
                .configure_mesh()
                .axis_style(GRID)
                .bold_line_style(GRID)
                .light_line_style(TRANSPARENT)
                .label_style(("sans-serif", 12).into_font().color(&INK))
                .axis_desc_style(("sans-serif", 12).into_font().color(&INK))
                .x_desc("step")
                .x_labels(24)
                .y_labels(8)
                .y_label_formatter(&|bytes| grouped(*bytes as u64))
                .draw()?;
            for value in &dataflow.values {
                let corners = [
                    (value.first as i32, value.offset as i64),
                    (value.last as i32 + 1, (value.offset + value.bytes) as i64),
                ];
                let color = match value.source {
                    Source::Input(_) => INPUT,
                    Source::Scratch(_) => SCRATCH,
                    Source::Step(step) => TENSORS[step as usize % TENSORS.len()],
                };
                // Results over their operands share a column; both stay visible.
                chart.draw_series([Rectangle::new(corners, color.mix(0.85).filled())])?;
                chart.draw_series([Rectangle::new(corners, INK.stroke_width(1))])?;
                let [(x0, y0), (x1, y1)] = corners.map(|c| chart.backend_coord(&c));
                tensors.push(rect(value, [x0, x1], [y0.min(y1), y0.max(y1)]));
            }
            root.present()?;
        }
        fit_labels(&mut tensors);
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        svg.truncate(end);
        Ok(Some(MemoryView { open_svg: svg, tensors }))
    }
}

fn rect(value: &Value, [x0, x1]: [i32; 2], [y0, y1]: [i32; 2]) -> MemoryRect {
    let (width, height) = (x1 - x0, y1 - y0);
    let Value { name, form, offset, bytes, first, last, .. } = value;
    let life = match (value.source, first == last) {
        (_, true) => format!("during step {first}"),
        (_, false) => format!("from step {first} to step {last}"),
    };
    let end = offset + bytes;
    MemoryRect {
        x: x0,
        y: y0,
        width,
        height,
        text_x: x0 + 4,
        text_y: y0 + height / 2 + 4,
        label: if height < LINE_HEIGHT { String::new() } else { short_name(value) },
        title: format!(
            "{name}: {form}, {} bytes at {} to {}, {life}",
            grouped(*bytes as u64),
            grouped(*offset as u64),
            grouped(end as u64)
        ),
    }
}

/// Cuts labels where their box ends, or where one that is drawn later begins to cover the text.
fn fit_labels(rects: &mut [MemoryRect]) {
    for i in 0..rects.len() {
        let (x, text_y, label) = (rects[i].x, rects[i].text_y, &rects[i].label);
        let covers = |other: &MemoryRect| {
            other.x + other.width > x && other.y < text_y + 4 && other.y + other.height > text_y - LINE_HEIGHT
        };
        let free = rects[i + 1..].iter().filter(|r| covers(r)).map(|r| r.x - x).min().unwrap_or(i32::MAX);
        let room = (free.min(rects[i].width) - 6) / CHARACTER_WIDTH;
        rects[i].label = fitted_end(label, room.max(0) as usize);
    }
}

fn short_name(value: &Value) -> String {
    match value.source {
        Source::Scratch(_) => "scratch".into(),
        Source::Input(_) | Source::Step(_) => value.name.clone(),
    }
}

const WIDTH: u32 = 1160;
/// Browsers scroll further, but nobody does.
const MOST_WIDTH: u32 = 8000;
const HEIGHT: u32 = 400;
/// Of the labels' font, at most for ordinary text.
const CHARACTER_WIDTH: i32 = 7;
const LINE_HEIGHT: i32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(boxes: &[[i32; 4]], expected: &[&str]) {
        let rect = |&[x, y, width, height]: &[i32; 4]| {
            let label = "abcdefghij".to_string();
            MemoryRect { x, y, width, height, text_x: x, text_y: y + height / 2 + 4, label, title: String::new() }
        };
        let mut rects: Vec<MemoryRect> = boxes.iter().map(rect).collect();
        fit_labels(&mut rects);
        assert_eq!(rects.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), expected, "{boxes:?}");
    }

    #[test]
    fn labels_end_where_the_next_box_begins() {
        check(&[[0, 0, 100, 40], [100, 0, 100, 40]], &["abcdefghij"; 2]);
        check(&[[0, 0, 100, 40], [50, 0, 100, 40]], &["…fghij", "abcdefghij"]);
        check(&[[0, 0, 100, 40], [0, 10, 20, 20]], &["", ""]);
        check(&[[0, 0, 100, 40], [50, 40, 100, 40]], &["abcdefghij"; 2]);
    }
}
