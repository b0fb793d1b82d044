//! `tinfer bench`

use super::bytes;
use crate::answer::{Answer, shortened, table};
use crate::device;
use crate::failure::Failure;
use crate::place::Place;
use std::fmt::Write as _;
use std::path::PathBuf;
use tinfer_compiler::bench::{BenchReport, bench_device, bench_host};
use tinfer_compiler::model_file::ModelFile;

#[derive(clap::Args)]
pub struct Options {
    /// The image
    #[arg(value_name = "IMAGE.tnf")]
    image: PathBuf,
    /// Where it runs: host or emulator:BOARD
    #[arg(long, default_value = "host", value_name = "PLACE")]
    on: String,
}

pub fn run(options: &Options) -> Result<Answer, Failure> {
    let place = Place::parse(&options.on)?;
    let (path, image) = ModelFile::open(&options.image)?.into_image("measuring")?;
    let report = match &place {
        Place::Host => bench_host(&path, &image)?,
        Place::Emulator(board) => bench_device(&path, &image, &place.name(), |inputs| {
            device::cost(&mut device::open(board, &image)?, inputs)
        })?,
    };
    Answer::new(text(&report), &report)
}

fn text(report: &BenchReport) -> String {
    let unit = report.unit.unwrap_or("nanoseconds");
    let per_mac =
        |cost: u64, macs: u64| if macs > 0 { format!("{:.2}", cost as f64 / macs as f64) } else { String::new() };
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|l| {
            let cost = l.instructions.or(l.nanoseconds).unwrap_or(0);
            let words = [shortened(&l.name), l.operator.clone(), l.kernel.to_string()].into_iter();
            let estimate = l.instructions_estimate.filter(|_| l.instructions.is_some());
            let [estimate, error] = match estimate {
                Some(n) => [n.to_string(), format!("{:+.1} %", (n as f64 / cost.max(1) as f64 - 1.0) * 100.0)],
                None => [String::new(), String::new()],
            };
            words.chain([l.macs.to_string(), cost.to_string(), per_mac(cost, l.macs), estimate, error]).collect()
        })
        .collect();
    let mut text = table(&["layer", "operator", "kernel", "MACs", unit, "per MAC", "estimate", "error"], &rows);
    let total = report.instructions.or(report.nanoseconds).unwrap_or(0);
    let macs = report.macs;
    let _ = writeln!(
        text,
        "\non {}: {} {unit} per inference, {} MACs",
        report.on,
        bytes(total as usize),
        bytes(macs as usize)
    );
    if macs > 0 {
        let _ = writeln!(text, "{} {unit} per MAC", per_mac(total, macs));
    }
    if let Some(worst) = report.worst_slice {
        let _ = writeln!(text, "{} {unit} in the worst step", bytes(worst as usize));
    }
    text
}
