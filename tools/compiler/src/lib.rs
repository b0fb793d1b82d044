//! The compiler.
pub mod array;
pub mod graph;
