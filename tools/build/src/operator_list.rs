//! Which operators models need, as Rust.

use std::collections::BTreeSet;

use tinfer::operators;

/// A Rust expression for the operators with these codes: `&[&tinfer::operators::conv_2d::CONV_2D_I8, …]`, in the order
/// of their codes. What is not listed is not linked, and what does not exist is not listed.
pub fn operator_list(codes: &BTreeSet<u16>) -> String {
    let mut list = String::from("&[");
    for path in codes.iter().filter_map(|&code| operators::path(code)) {
        list += &format!("\n    &tinfer::operators::{},", path.join("::"));
    }
    list + "\n]"
}
