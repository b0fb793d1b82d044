//! What `tinfer verify` found, as one page for people: it needs no network and no other file.
//!
//! ```text
//! Evidence (collected while the samples run) + ImageReport + Dataflow + Conversion -> views, with plots -> page.html -> file
//! ```
//! Views hold text and numbers only; the template escapes every one of them. Plots are made by plotters with the colours
//! of `palette`, which the style sheet maps to those of a light or a dark page.

mod confusion;
mod conversion;
mod dataflow;
mod drawn;
mod evidence;
mod layer_table;
mod memory;
mod model_graph;
mod numbers;
mod page;
mod palette;
mod pixels;
mod ranges;
#[cfg(test)]
mod tests;
mod worst;

pub(crate) use conversion::Conversion;
pub(crate) use evidence::Evidence;
pub(crate) use numbers::significant;

use crate::aligned::AlignedBytes;
use crate::error::CompileError;
use crate::inspect::inspect_image;
use crate::runner::ImageRunner;
use crate::verify::{VerifyReport, VerifyRequest};
use crate::whole_file::write_whole;
use dataflow::Dataflow;
use std::path::Path;

/// Writes the page: all of it, or nothing.
///
/// # Errors
/// [`CompileError::File`] when it cannot be written, [`CompileError::NotAnImage`].
pub(crate) fn write(
    path: &Path,
    request: &VerifyRequest,
    bytes: &AlignedBytes,
    report: &VerifyReport,
    evidence: &Evidence,
    conversion: Option<&Conversion>,
) -> Result<(), CompileError> {
    let image = inspect_image(&request.image, bytes)?;
    let not_an_image = |reason| CompileError::NotAnImage { path: request.image.display().to_string(), reason };
    let runner = ImageRunner::new(bytes).map_err(not_an_image)?;
    let dataflow = Dataflow::of(runner.image(), &runner.layers());
    let page = page::Page::new(request, &image, report, evidence, conversion, &dataflow).and_then(|page| page.render());
    let failed = |e: RenderError| CompileError::File {
        action: "write",
        path: path.display().to_string(),
        reason: format!("its page cannot be drawn: {}", e.0),
    };
    write_whole(path, page.map_err(failed)?.as_bytes())
}

/// What the template or a plot says when it cannot be made.
#[derive(Debug)]
struct RenderError(String);

impl<E: std::error::Error> From<E> for RenderError {
    fn from(error: E) -> Self {
        RenderError(error.to_string())
    }
}
