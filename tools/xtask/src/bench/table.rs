//! Rows as text.

use super::row::{Row, error_percent};

/// One line per model and board.
pub fn costs(rows: &[Row]) -> String {
    let titles = [
        "model",
        "board",
        "MACs",
        "instructions",
        "per MAC",
        "peer",
        "ratio",
        "estimate",
        "program",
        "image",
        "arena",
        "stack <=",
        "used",
    ];
    let cells = rows.iter().map(|row| {
        vec![
            row.model.clone(),
            row.board.clone(),
            grouped(row.macs),
            grouped(row.instructions),
            format!("{:.2}", row.instructions_per_mac),
            row.peer.as_ref().map_or_else(String::new, |peer| grouped(peer.instructions)),
            row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            row.estimate.map_or_else(String::new, |n| format!("{:+.1} %", error_percent(n, row.instructions))),
            grouped(row.program_bytes),
            grouped(row.image_bytes),
            grouped(row.arena_bytes),
            grouped(row.stack_bytes),
            grouped(row.stack_high_water_bytes),
        ]
    });
    let table = aligned(&titles, &cells.collect::<Vec<_>>(), 2);
    format!("{table}\ninstructions of one inference in QEMU, not cycles; program, image, arena and stack in bytes\n")
}

/// Every layer of every row.
pub fn layers(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        text += &format!("\n{} on {}\n", row.model, row.board);
        let cells = row.layers.iter().map(|layer| {
            let per_mac = if layer.macs == 0 {
                String::new()
            } else {
                format!("{:.2}", layer.instructions as f64 / layer.macs as f64)
            };
            let share = 100.0 * layer.instructions as f64 / row.instructions.max(1) as f64;
            vec![
                shortened(&layer.name),
                layer.kernel.clone(),
                grouped(layer.macs),
                grouped(layer.instructions),
                per_mac,
                format!("{share:.1} %"),
                layer.error_percent().map_or_else(String::new, |percent| format!("{percent:+.1} %")),
            ]
        });
        let titles = ["layer", "kernel", "MACs", "instructions", "per MAC", "share", "estimate"];
        text += &aligned(&titles, &cells.collect::<Vec<_>>(), 2);
    }
    text
}

/// Names that another tool joined from those of all fused nodes are long.
pub fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARACTERS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// 1234567 as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns padded to their widest cell; the first `n_left` to the right, the others to the left.
pub fn aligned(titles: &[&str], rows: &[Vec<String>], n_left: usize) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < n_left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(titles.to_vec());
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}

const NAME_CHARACTERS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (7_701_234, "7,701,234")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["long".to_owned(), "7".to_owned()]];
        assert_eq!(aligned(&["name", "n"], &rows, 1), "name   n\na     10\nlong   7\n");
    }
}
