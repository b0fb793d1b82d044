//! Fused clamps and per-channel arithmetic, as several operators store them.

use super::StepOperands;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, f32_at, u8_at};
use crate::kernels::parameters::{ChannelsI8, OutputF32, OutputI8};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// Clamp of an int8 result: `min i8, max i8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsI8 {
    /// Lower limit in steps.
    pub min: i8,
    /// Upper limit in steps.
    pub max: i8,
}

/// Clamp of a float32 result: `min f32, max f32`, infinite when there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitsF32 {
    /// Lower limit.
    pub min: f32,
    /// Upper limit.
    pub max: f32,
}

impl LimitsI8 {
    pub(super) fn put<const N: usize>(&self, at: usize, writer: RecordWriter<N>) -> [u8; N] {
        writer.put(at, &[self.min as u8, self.max as u8]).finish()
    }

    /// Limits with the zero point of the output tensor.
    pub(super) fn output(parameters: &[u8], at: usize, zero_point: i32) -> Option<OutputI8> {
        let (min, max) = (u8_at(parameters, at)? as i8, u8_at(parameters, at + 1)? as i8);
        Some(OutputI8 { zero_point, min, max })
    }

    /// [`LimitsI8::output`] for the step's output 0, checked.
    pub(super) fn check(operands: &StepOperands<'_>, at: usize) -> Result<OutputI8, &'static str> {
        let zero_point = operands.output(0, ElementType::I8)?.quantization.zero_point;
        Self::output(operands.parameters(), at, zero_point)
            .filter(OutputI8::is_valid)
            .ok_or("its output limits or zero point are out of range")
    }

    /// [`LimitsI8::output`] for the step's output 0.
    pub(super) fn of(ctx: &StepContext<'_, '_>, at: usize) -> Option<OutputI8> {
        Self::output(ctx.parameters(), at, ctx.output(0)?.quantization.zero_point)
    }
}

impl LimitsF32 {
    pub(super) fn put<const N: usize>(&self, at: usize, writer: RecordWriter<N>) -> [u8; N] {
        writer.put(at, &self.min.to_le_bytes()).put(at + 4, &self.max.to_le_bytes()).finish()
    }

    pub(super) fn view(parameters: &[u8], at: usize) -> Option<Self> {
        Some(LimitsF32 { min: f32_at(parameters, at)?, max: f32_at(parameters, at + 4)? })
    }

    pub(super) fn check(parameters: &[u8], at: usize) -> Result<(), &'static str> {
        match Self::view(parameters, at) {
            Some(limits) if limits.output().is_valid() => Ok(()),
            _ => Err("its output limits are out of order"),
        }
    }

    pub(super) fn output(&self) -> OutputF32 {
        OutputF32 { min: self.min, max: self.max }
    }
}

/// Zero point of an int8 tensor, if an int8 can be it.
pub(super) fn zero_point_i8(tensor: &TensorView) -> Option<i32> {
    Some(tensor.quantization.zero_point).filter(|z| (-128..=127).contains(z))
}

/// Inputs 2, 3, 4 of convolutions and fully connected layers: bias, multipliers, shifts.
pub(super) fn channels_i8<'i>(ctx: &StepContext<'_, 'i>, limits_at: usize) -> Option<ChannelsI8<'i>> {
    Some(ChannelsI8 {
        input_zero_point: ctx.input(0)?.quantization.zero_point,
        bias: ctx.constant(2)?,
        multipliers: ctx.constant(3)?,
        shifts: ctx.constant(4)?,
        output: LimitsI8::of(ctx, limits_at)?,
    })
}

/// Checks what [`channels_i8`] gives.
pub(super) fn check_channels_i8(operands: &StepOperands<'_>, limits_at: usize, n: usize) -> Result<(), &'static str> {
    let channels = ChannelsI8 {
        input_zero_point: operands.input(0, ElementType::I8)?.quantization.zero_point,
        bias: operands.constant(2, ElementType::I32, n)?,
        multipliers: operands.constant(3, ElementType::I32, n)?,
        shifts: operands.constant(4, ElementType::U8, n)?,
        output: LimitsI8::check(operands, limits_at)?,
    };
    if channels.is_valid(n) { Ok(()) } else { Err("a multiplier, shift or zero point is out of range") }
}
