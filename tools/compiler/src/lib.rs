//! The compiler.
pub mod graph;
