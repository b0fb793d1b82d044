//! Convolutions by Winograd's method where the board's flash has the room.

use super::ConvertRequest;
use crate::choose::{Winograd, WinogradLayers};
use crate::error::CompileError;
use crate::graph::Graph;
use crate::pack::{PackOptions, Packed, pack};
use crate::plan::{Planned, plan};
use crate::quantize::WeightFormat;
use crate::target::Target;
use tinfer::image::Image;
use tinfer_build::Requirements;

/// The image with such layers, and its plan. `None` when the request wants none, the target is no board, none is cheaper
/// or fits the model slot, or the arena that they need does not fit the board.
///
/// # Errors
/// As [`pack`].
pub(super) fn pack_winograd(
    request: &ConvertRequest,
    graph: &Graph,
    usual: &Planned,
    options: &PackOptions,
) -> Result<Option<(Packed, Planned)>, CompileError> {
    let (Winograd::Auto, Target::Board(board)) = (request.winograd, &request.target) else { return Ok(None) };
    if request.weights == WeightFormat::Int4 {
        // Transformed weights do not fit four bits.
        return Ok(None);
    }
    let isa = request.target.isa()?;
    let image_bytes = pack(graph, usual, options)?.bytes.len();
    let room = (board.model_slot.length as usize).saturating_sub(image_bytes);
    let layers = WinogradLayers::within(graph, isa, room);
    if layers.is_empty() {
        return Ok(None);
    }
    let planned = plan(graph, &|graph, node| layers.choose(graph, node, isa));
    let packed = pack(graph, &planned, options)?;
    let manifest = Image::check(&packed.bytes).ok().map(|image| *image.manifest());
    let fits = request.target.check_fit(&Requirements {
        image_bytes: packed.bytes.len() as u64,
        arena_bytes: planned.arena_bytes as u64,
        stack_bytes: manifest.map_or(0, |m| m.stack_bytes.into()),
        state_bytes: manifest.map_or(0, |m| m.state_bytes.into()),
    });
    Ok(fits.is_ok().then_some((packed, planned)))
}
