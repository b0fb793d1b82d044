//! Worst-case stack of a run, from bounds that `cargo xtask stack` computes on linked programs.
//!
//! ```text
//! stack_bytes = session + max(bound of the operator of each step)
//! ```

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use tinfer::image::Image;
use tinfer::isa::Isa;
use tinfer::operators;

/// Bytes of stack that a run may use below its caller, interrupts apart; 0 when the instruction set has no bounds.
pub(super) fn stack_bytes(image: &Image<'_>, isa: Isa) -> u32 {
    let Some(bounds) = BOUNDS.get(isa.name()) else { return 0 };
    let of_step = |code: u16| {
        let operator = operators::ALL.iter().find(|operator| operator.code == code)?;
        bounds.operators.get(operator.name).copied()
    };
    // An operator without a bound makes the sum unknown, which is not the same as small.
    let deepest = image.steps().map(|step| of_step(step.code)).try_fold(0, |most, bytes| Some(bytes?.max(most)));
    deepest.map_or(0, |bytes| bounds.session + bytes)
}

/// Bounds of one instruction set, in bytes.
#[derive(Deserialize)]
struct Bounds {
    /// Of a run without its operators.
    session: u32,
    /// Of each operator.
    operators: BTreeMap<String, u32>,
}

static BOUNDS: LazyLock<BTreeMap<String, Bounds>> =
    LazyLock::new(|| toml::from_str(include_str!("../stack.toml")).expect("stack.toml is written by xtask"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_has_a_bound_on_every_board() {
        for isa in [Isa::Portable, Isa::Armv7em, Isa::Mve] {
            let bounds = &BOUNDS[isa.name()];
            assert!(bounds.session > 0);
            let runs_here = |code: u16| operators::isa(code).is_some_and(|set| set == Isa::Portable || set == isa);
            for operator in operators::ALL.iter().filter(|operator| runs_here(operator.code)) {
                let bytes = bounds.operators.get(operator.name).copied();
                assert!(bytes.is_some_and(|bytes| bytes > 0), "{} on {}: {bytes:?}", operator.name, isa.name());
            }
        }
    }
}
