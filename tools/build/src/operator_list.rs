//! Which operators a model needs, as Rust.

use std::collections::BTreeSet;

use tinfer::Image;
use tinfer::operators;

/// A Rust expression for the operators of an image's plan: `&[&tinfer::operators::conv_2d::CONV_2D_I8, …]`, each once,
/// in the order of their codes. What is not listed is not linked.
///
/// # Errors
/// The code of a step that no operator of this runtime computes.
pub fn operator_list(image: &Image<'_>) -> Result<String, u16> {
    let codes: BTreeSet<u16> = image.steps().map(|step| step.code).collect();
    let mut list = String::from("&[");
    for code in codes {
        let path = operators::path(code).ok_or(code)?;
        list += &format!("\n    &tinfer::operators::{},", path.join("::"));
    }
    Ok(list + "\n]")
}
