//! How far below its input a kernel's output must start so that the one can be written over the other.

use super::Window2d;

/// How much of the output a kernel makes before it lets go of the input that it made it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// So many neighbouring pixels of one row with all their channels, from the left; fewer at the end of a row.
    Pixels(u32),
    /// So many whole rows, from the top; fewer at the end.
    Rows(u32),
}

impl Window2d {
    /// By how many elements the output must start below the input so that a kernel may write the one over the other.
    ///
    /// The kernel makes strip after strip of the output in ascending order. It may read any input of a strip until it has
    /// written the last element of that strip.
    ///
    /// # Algorithm
    /// The largest `end of a strip in the output - start of its window in the input` over all strips. What a later strip
    /// reads needs no thought of its own: by then more is written. Both axes are concave in the position of the strip, so
    /// the maximum is at an end, at the last whole strip, or where the window leaves the padding. Exact without dilation;
    /// with it, a window is taken to start where its first tap lies, or at the edge, which is never too small a lead.
    pub fn lead_elements(&self, strip: Strip) -> u32 {
        let [_, width, channels] = self.input.map(i64::from);
        let [output_height, output_width, _] = self.output;
        let [_, output_pitch, output_channels] = self.output.map(i64::from);
        let ([stride_y, stride_x], [top, left]) = (self.stride, self.padding);
        let rows = Progress {
            outputs: output_height,
            stride: stride_y,
            padding: top,
            output_pitch: output_pitch.saturating_mul(output_channels),
            input_pitch: width.saturating_mul(channels),
        };
        let columns = Progress {
            outputs: output_width,
            stride: stride_x,
            padding: left,
            output_pitch: output_channels,
            input_pitch: channels,
        };
        let lead = match strip {
            Strip::Rows(n) => rows.lead(n.max(1), n.max(1)),
            Strip::Pixels(n) => rows.lead(1, 0).saturating_add(columns.lead(n.max(1), n.max(1))),
        };
        u32::try_from(lead.max(0)).unwrap_or(u32::MAX)
    }
}

/// How reading and writing advance along one axis.
struct Progress {
    outputs: u32,
    stride: u32,
    padding: u32,
    output_pitch: i64,
    input_pitch: i64,
}

impl Progress {
    /// Largest distance from the start of the input of a strip to the output `written` positions behind the start of
    /// the strip. Strips start every `step` positions.
    #[inline(never)]
    fn lead(&self, step: u32, written: u32) -> i64 {
        // Positions are divided in 32 bits: a 64-bit division is a function as large as this file.
        let strips_before = |position: u32| position.checked_div(step).unwrap_or(0);
        let last = strips_before(self.outputs.saturating_sub(1));
        let leaves_padding = strips_before(self.padding.checked_div(self.stride).unwrap_or(0));
        let last_whole = strips_before(self.outputs.saturating_sub(written));
        [0, leaves_padding, leaves_padding.saturating_add(1), last_whole, last_whole.saturating_add(1), last]
            .into_iter()
            .map(|strip| {
                let start = strip.min(last).saturating_mul(step);
                let end = start.saturating_add(written).min(self.outputs);
                let window = start.saturating_mul(self.stride).saturating_sub(self.padding);
                let (end, window) = (i64::from(end), i64::from(window));
                end.saturating_mul(self.output_pitch).saturating_sub(window.saturating_mul(self.input_pitch))
            })
            .fold(i64::MIN, i64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lead by asking every strip for its end and for the first element of the image that its windows touch.
    fn by_hand(window: &Window2d, strip: Strip) -> u32 {
        let [_, width, channels] = window.input.map(|v| v as usize);
        let [height, output_width, output_channels] = window.output.map(|v| v as usize);
        let mut lead = 0i64;
        let mut visit = |rows: core::ops::Range<usize>, columns: core::ops::Range<usize>| {
            let end = ((rows.end - 1) * output_width + columns.end) * output_channels;
            for y in rows {
                for x in columns.clone() {
                    let (y, x) = (window.vertical().taps(y), window.horizontal().taps(x));
                    let first = (y.position * width + x.position) * channels;
                    if y.count * x.count > 0 {
                        lead = lead.max(end as i64 - first as i64);
                    }
                }
            }
        };
        match strip {
            Strip::Rows(n) => {
                (0..height).step_by(n as usize).for_each(|y| visit(y..(y + n as usize).min(height), 0..output_width))
            }
            Strip::Pixels(n) => (0..height).for_each(|y| {
                (0..output_width)
                    .step_by(n as usize)
                    .for_each(|x| visit(y..y + 1, x..(x + n as usize).min(output_width)));
            }),
        }
        lead as u32
    }

    #[test]
    fn leads_are_the_largest_over_all_strips() {
        let mut n_windows = 0;
        for input in [[6, 7], [1, 5], [9, 2]] {
            for (kernel, padding) in [(1, 0), (3, 0), (3, 1), (2, 1), (5, 4), (4, 2)] {
                for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
                    let output =
                        input.map(|n: u32| (n + 2 * padding).saturating_sub((kernel - 1) * dilation + 1) / stride + 1);
                    for channels in [[3, 3], [2, 5], [6, 1]] {
                        let window = Window2d {
                            input: [input[0], input[1], channels[0]],
                            output: [output[0], output[1], channels[1]],
                            kernel: [kernel; 2],
                            stride: [stride; 2],
                            dilation: [dilation; 2],
                            padding: [padding; 2],
                        };
                        let Some(window) = window.check() else { continue };
                        for strip in [1, 2, 4, 100].into_iter().flat_map(|n| [Strip::Pixels(n), Strip::Rows(n)]) {
                            let (found, exact) = (window.lead_elements(strip), by_hand(&window, strip));
                            assert!(found >= exact, "{window:?} {strip:?}: {found} < {exact}");
                            // Windows beside the image read nothing; they make a lead larger than it has to be.
                            let all_read = padding < kernel && dilation == 1;
                            assert!(!all_read || found == exact, "{window:?} {strip:?}: {found} > {exact}");
                            n_windows += 1;
                        }
                    }
                }
            }
        }
        assert!(n_windows > 1000);
    }

    #[test]
    fn leads_of_unchecked_windows_are_numbers() {
        let extreme = [0, 1, u32::MAX];
        for i in 0..3usize.pow(6) {
            let at = |k: u32| extreme[i / 3usize.pow(k) % 3];
            let window = Window2d {
                input: [at(0), at(1), at(2)],
                output: [at(3), at(1), at(2)],
                kernel: [at(0); 2],
                stride: [at(4); 2],
                dilation: [1; 2],
                padding: [at(5); 2],
            };
            for strip in extreme.into_iter().flat_map(|n| [Strip::Pixels(n), Strip::Rows(n)]) {
                core::hint::black_box(window.lead_elements(strip));
            }
        }
    }
}
