#![no_std]
//! tinfer
