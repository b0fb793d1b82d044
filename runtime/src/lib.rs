#![no_std]
//! tinfer
pub mod tensor;
pub mod error;
