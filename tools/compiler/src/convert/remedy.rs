//! What helps a model that is far from its float results, by measurement.

use super::auto::{Choice, Search};
use super::calibration::{AccuracyTools, Calibration};
use super::parts::Spared;
use super::score::NO_SIGNAL_DB;
use super::{ConvertRequest, Precision, Progress};
use crate::error::CompileError;
use crate::graph::Graph;
use crate::quantize::{Corrections, Level, QuantizeOptions, RangeMethod, WeightFormat};

/// One way, as the command line has it, and what it gives.
struct Way {
    option: String,
    sqnr_db: f64,
}

impl Search<'_> {
    /// A sentence about the SQNR, and the option that raises it most on the samples: of those that stay in steps, if one
    /// gives [`ENOUGH_DB`], else float32. Balancing runs the float model twice more, so only small models are balanced.
    ///
    /// # Errors
    /// What the float model says.
    pub fn remedy(
        &self,
        options: &QuantizeOptions,
        spared: &Spared,
        request: &ConvertRequest,
        calibration: &Calibration<'_>,
        plain: Graph,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<String, CompileError> {
        progress(Progress { stage: "looking for a remedy", done: 0, total: 1 });
        let mut ways: Vec<Way> = Vec::new();
        // A way that does not exist for this model is none.
        let mut attempt = |search: &Search<'_>, option: String, options: &QuantizeOptions| {
            if let Ok(score) = search.score_on(options, &spared.samples) {
                ways.push(Way { option, sqnr_db: score.telling_db() });
            }
        };
        if request.method.is_some() {
            for method in RangeMethod::ALL.into_iter().filter(|&method| method != options.method) {
                let option = format!("--calibration-method {}", method.name());
                attempt(self, option, &QuantizeOptions { method, ..options.clone() });
            }
        }
        let at = |level: Level| QuantizeOptions {
            precisions: Choice::all(level).precisions,
            weights: WeightFormat::Int8,
            ..options.clone()
        };
        if request.precision != Precision::Int16x8 {
            attempt(self, "--precision int16x8".into(), &at(Level::Int16));
        }
        attempt(self, "--precision float32".into(), &at(Level::Float32));
        let macs = plain.macs().saturating_mul(self.samples.len() as u64);
        if !request.tools.equalise && macs < MOST_BALANCED_MACS {
            let tools = AccuracyTools { equalise: true, ..AccuracyTools::default() };
            let balanced = calibration.run(plain, tools, progress)?;
            if !balanced.equalised.pairs.is_empty() {
                let options = QuantizeOptions { corrections: Corrections::default(), ..options.clone() };
                attempt(&Search { calibrated: &balanced, ..*self }, "--equalise".into(), &options);
            }
        }
        Ok(sentence(spared.sqnr_db, ways))
    }
}

fn sentence(sqnr_db: f64, mut ways: Vec<Way>) -> String {
    ways.retain(|way| way.sqnr_db > sqnr_db + CLEARLY_DB);
    ways.sort_by(|a, b| b.sqnr_db.total_cmp(&a.sqnr_db));
    let told = |db: f64| if db >= 200.0 { "no error".into() } else { format!("{db:.1} dB") };
    let is_in_steps = |way: &&Way| way.option != "--precision float32";
    let best = ways.iter().filter(is_in_steps).find(|way| way.sqnr_db >= ENOUGH_DB).or(ways.first());
    let has = match sqnr_db <= NO_SIGNAL_DB {
        true => "some part of an output has no signal on the calibration samples".into(),
        false => format!("the outputs have an SQNR of {sqnr_db:.1} dB on the calibration samples"),
    };
    match best {
        Some(best) => format!("{has}, {} with {}", told(best.sqnr_db), best.option),
        None => format!("{has}, and no other option gives clearly more"),
    }
}

/// What has so much needs no remedy.
pub(super) const ENOUGH_DB: f64 = 20.0;
/// What is less than this is chance.
const CLEARLY_DB: f64 = 1.0;
/// Products of all calibration samples.
const MOST_BALANCED_MACS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_stays_in_steps_is_named_if_it_is_enough() {
        let check = |ways: &[(&str, f64)], expected: &str| {
            let ways = ways.iter().map(|&(option, sqnr_db)| Way { option: option.into(), sqnr_db }).collect();
            let found = sentence(5.0, ways);
            assert!(found.starts_with("the outputs have an SQNR of 5.0 dB") && found.ends_with(expected), "{found}");
        };
        let (float, int16) = ("--precision float32", "--precision int16x8");
        check(&[(float, 200.0), (int16, 25.0), ("--equalise", 31.0)], ", 31.0 dB with --equalise");
        check(&[(float, 200.0), (int16, 15.0)], ", no error with --precision float32");
        check(&[(int16, 15.0), ("--equalise", 5.5)], ", 15.0 dB with --precision int16x8");
        check(&[("--equalise", 5.5)], "no other option gives clearly more");
    }
}
