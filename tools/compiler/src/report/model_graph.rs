//! The model as the image runs it: one box per input, step and output, from top to bottom; what is needed later than by
//! the next box goes around on a lane of its own.

use super::dataflow::{Dataflow, Reader, Source, Value};
use super::numbers::{fitted, fitted_end};
use crate::inspect::StepReport;
use serde::Serialize;

/// For the template; lengths in units of the drawing.
#[derive(Debug, Serialize)]
pub(super) struct GraphView {
    pub width: usize,
    pub height: usize,
    pub box_width: usize,
    pub box_height: usize,
    pub boxes: Vec<GraphBox>,
    /// Paths of lines, with an arrow at their ends.
    pub arrows: Vec<String>,
    /// Paths of lines that others branch from.
    pub lanes: Vec<String>,
}

/// An input, a step or an output.
#[derive(Debug, Serialize)]
pub(super) struct GraphBox {
    pub x: usize,
    pub y: usize,
    /// `port`, `product` or `step`.
    pub class: &'static str,
    pub heading: String,
    pub form: String,
    pub name: String,
    pub title: String,
}

impl GraphView {
    /// Lays out the boxes of an image's steps.
    pub fn new(dataflow: &Dataflow, steps: &[StepReport]) -> Self {
        let lines = Lines::new(dataflow);
        let left = MARGIN + lines.n_lanes * LANE_WIDTH + if lines.n_lanes > 0 { LANE_WIDTH } else { 0 };
        let n_rows = dataflow.inputs.len() + steps.len() + dataflow.outputs.len();
        let mut boxes = Vec::with_capacity(n_rows);
        let mut push = |class, heading: &str, form: &str, name: &str, title: String| {
            let room = BOX_CHARACTERS.saturating_sub(form.chars().count() + 2);
            boxes.push(GraphBox {
                x: left,
                y: MARGIN + boxes.len() * ROW_HEIGHT,
                class,
                heading: fitted(heading, room.max(3)),
                form: form.to_string(),
                name: fitted_end(name, BOX_CHARACTERS),
                title,
            });
        };
        let value_of = |source: Source| dataflow.values.iter().find(|v| v.source == source);
        for (i, name) in dataflow.inputs.iter().enumerate() {
            let form = value_of(Source::Input(i)).map_or("", |v| &v.form);
            push("port", "input", form, name, format!("input {name}: {form}"));
        }
        for (i, step) in steps.iter().enumerate() {
            let form = dataflow.result_of(i as u32).map_or("", |v| &v.form);
            let layer = &step.layer;
            let class = if layer.macs > 0 { "product" } else { "step" };
            let title =
                format!("step {i}: {} ({}) on kernel {}, makes {form}", layer.name, layer.operator, layer.kernel);
            push(class, &layer.operator, form, &layer.name, title);
        }
        for (i, name) in dataflow.outputs.iter().enumerate() {
            let written = dataflow.values.iter().rev().find(|v| v.readers.contains(&Reader::Output(i)));
            let form = written.map_or("", |v| &v.form);
            push("port", "output", form, name, format!("output {name}: {form}"));
        }
        GraphView {
            width: left + BOX_WIDTH + MARGIN,
            height: (n_rows.max(1) - 1) * ROW_HEIGHT + BOX_HEIGHT + 2 * MARGIN,
            box_width: BOX_WIDTH,
            box_height: BOX_HEIGHT,
            boxes,
            arrows: lines.arrows(left),
            lanes: lines.lanes(left),
        }
    }
}

/// Lines between rows.
struct Lines {
    /// Rows whose next row reads them.
    straight: Vec<usize>,
    buses: Vec<Bus>,
    n_lanes: usize,
}

/// A value that is read later than by the next row.
struct Bus {
    from: usize,
    /// Rows that read it, ascending.
    to: Vec<usize>,
    lane: usize,
}

impl Lines {
    fn new(dataflow: &Dataflow) -> Self {
        let n_inputs = dataflow.inputs.len();
        let row_of_reader = |reader: &Reader| match *reader {
            Reader::Step(step) => n_inputs + step as usize,
            Reader::Output(i) => n_inputs + dataflow.n_steps as usize + i,
        };
        let mut lines = Lines { straight: Vec::new(), buses: Vec::new(), n_lanes: 0 };
        // The last row of what uses each lane.
        let mut taken: Vec<usize> = Vec::new();
        for value in &dataflow.values {
            let Some(from) = row(value, n_inputs) else { continue };
            let (next, later): (Vec<usize>, Vec<usize>) =
                value.readers.iter().map(row_of_reader).partition(|&r| r == from + 1);
            lines.straight.extend(next.first().map(|_| from));
            let Some(&last) = later.iter().max() else { continue };
            let lane = taken.iter().position(|&end| end <= from).unwrap_or(taken.len());
            taken.resize(taken.len().max(lane + 1), 0);
            taken[lane] = last;
            lines.buses.push(Bus { from, to: later, lane });
        }
        lines.straight.dedup();
        lines.n_lanes = taken.len();
        lines
    }

    /// Arrows into boxes.
    fn arrows(&self, left: usize) -> Vec<String> {
        let straight = self.straight.iter().map(|&row| {
            let (x, y) = (left + BOX_WIDTH / 2, top(row) + BOX_HEIGHT);
            format!("M{x} {y}V{}", top(row + 1) - ARROW)
        });
        let branches = self.buses.iter().flat_map(|bus| {
            bus.to.iter().map(move |&row| {
                let (x, y) = (lane_x(left, bus.lane), entry(row));
                format!("M{x} {}Q{x} {y} {} {y}H{}", y - RADIUS, x + RADIUS, left - ARROW)
            })
        });
        straight.chain(branches).collect()
    }

    /// The upright parts, each from the box that it leaves.
    fn lanes(&self, left: usize) -> Vec<String> {
        let lane = |bus: &Bus| {
            let (x, y) = (lane_x(left, bus.lane), exit(bus.from));
            let end = bus.to.iter().max().map_or(y, |&row| entry(row) - RADIUS);
            format!("M{left} {y}H{}Q{x} {y} {x} {}V{end}", x + RADIUS, y + RADIUS)
        };
        self.buses.iter().map(lane).collect()
    }
}

fn row(value: &Value, n_inputs: usize) -> Option<usize> {
    match value.source {
        Source::Input(i) => Some(i),
        Source::Step(step) => Some(n_inputs + step as usize),
        Source::Scratch(_) => None,
    }
}

fn top(row: usize) -> usize {
    MARGIN + row * ROW_HEIGHT
}

/// Lines leave a box below those that enter it.
fn exit(row: usize) -> usize {
    top(row) + BOX_HEIGHT * 3 / 4
}

fn entry(row: usize) -> usize {
    top(row) + BOX_HEIGHT / 4
}

fn lane_x(left: usize, lane: usize) -> usize {
    left - (lane + 1) * LANE_WIDTH
}

const MARGIN: usize = 8;
const BOX_WIDTH: usize = 340;
const BOX_HEIGHT: usize = 38;
const ROW_HEIGHT: usize = 54;
/// Of the font of the boxes, in the width of one.
const BOX_CHARACTERS: usize = 46;
const LANE_WIDTH: usize = 18;
const RADIUS: usize = 6;
/// Length of an arrow's head.
const ARROW: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(source: Source, readers: &[Reader]) -> Value {
        Value {
            source,
            name: "v".into(),
            form: "1×4 int8".into(),
            offset: 0,
            bytes: 4,
            first: 0,
            last: 0,
            readers: readers.to_vec(),
        }
    }

    #[test]
    fn what_skips_a_row_has_a_lane_until_its_last_reader() {
        let values = vec![
            value(Source::Input(0), &[Reader::Step(0), Reader::Step(2)]),
            value(Source::Step(0), &[Reader::Step(1)]),
            value(Source::Step(1), &[Reader::Step(2), Reader::Step(3)]),
            value(Source::Step(2), &[Reader::Step(3)]),
            value(Source::Step(3), &[Reader::Output(0)]),
        ];
        let (inputs, outputs) = (vec!["x".into()], vec!["y".into()]);
        let lines = Lines::new(&Dataflow { values, inputs, outputs, n_steps: 4, arena_bytes: 64 });
        let buses: Vec<_> = lines.buses.iter().map(|b| (b.from, b.to.clone(), b.lane)).collect();
        assert_eq!(buses, [(0, vec![3], 0), (2, vec![4], 1)]);
        assert_eq!((lines.straight, lines.n_lanes), (vec![0, 1, 2, 3, 4], 2));
    }
}
