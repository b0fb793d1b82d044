//! The largest or smallest elements along an axis.
//!
//! ```text
//! inputs:                x
//! output arg_extreme:    i64, one for each lane
//! parameters:            0 axis u8, 1 order u8 (0 largest, 1 smallest), 2 tie u8 (0 first, 1 last), 3 reserved .. 4
//! outputs top_k:         values like x, or their indices i64; k is the output's length along the axis
//! parameters:            0 axis u8, 1 order u8 (0 largest first, 1 smallest first), 2 result u8 (0 values, 1 indices),
//!                        3 reserved .. 4
//! output hardmax:        like x
//! parameters:            0 axis u8, 1 reserved .. 4
//! ```
//! Values and indices of the largest elements are two steps: both search on their own.

use super::{AXIS_RULE, SHAPE_RULE, lanes};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::Lanes;
use crate::kernels::portable::{Order, Ranked, Tie, arg_extreme, hardmax_f32, top_k};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

/// The operators of each element type.
macro_rules! selections {
    ($($element:ty as $element_type:ident:
        $arg:ident = $arg_code:literal, $arg_text:literal, $top:ident = $top_code:literal, $top_text:literal;)*
    ) => {$(
        #[doc = concat!("Index of the largest or smallest element of each lane of ", stringify!($element), ".")]
        pub static $arg: Operator = Operator {
            code: $arg_code,
            name: $arg_text,
            in_place: InPlace::Never,
            check: |operands| check_arg(operands, ElementType::$element_type),
            run: run_arg::<$element>,
        };

        #[doc = concat!("The largest or smallest elements of each lane of ", stringify!($element), ", in order.")]
        pub static $top: Operator = Operator {
            code: $top_code,
            name: $top_text,
            in_place: InPlace::Never,
            check: |operands| check_top(operands, ElementType::$element_type),
            run: run_top::<$element>,
        };
    )*};
}
selections! {
    f32 as F32: ARG_EXTREME_F32 = 0x0511, "arg_extreme_f32", TOP_K_F32 = 0x0521, "top_k_f32";
    i8 as I8: ARG_EXTREME_I8 = 0x0512, "arg_extreme_i8", TOP_K_I8 = 0x0522, "top_k_i8";
    u8 as U8: ARG_EXTREME_U8 = 0x0513, "arg_extreme_u8", TOP_K_U8 = 0x0523, "top_k_u8";
    i32 as I32: ARG_EXTREME_I32 = 0x0514, "arg_extreme_i32", TOP_K_I32 = 0x0524, "top_k_i32";
    i64 as I64: ARG_EXTREME_I64 = 0x0515, "arg_extreme_i64", TOP_K_I64 = 0x0525, "top_k_i64";
}

/// 1 at the largest element of each lane, 0 elsewhere.
pub static HARDMAX_F32: Operator =
    Operator { code: 0x0531, name: "hardmax_f32", in_place: InPlace::Never, check: check_hardmax, run: run_hardmax };

/// Which result of the search a step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TopKResult {
    /// The elements.
    Values = 0,
    /// Where they are along the axis.
    Indices = 1,
}

/// Parameters of `arg_extreme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgExtremeRecord {
    /// The axis.
    pub axis: u8,
    /// Largest or smallest.
    pub order: Order,
    /// Which of equal elements.
    pub tie: Tie,
}

impl ArgExtremeRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis, self.order as u8, self.tie as u8]).finish()
    }
}

/// Parameters of `top_k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopKRecord {
    /// The axis.
    pub axis: u8,
    /// What comes first.
    pub order: Order,
    /// What the output is.
    pub result: TopKResult,
}

impl TopKRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis, self.order as u8, self.result as u8]).finish()
    }
}

/// Parameters of `hardmax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardmaxRecord {
    /// The axis.
    pub axis: u8,
}

impl HardmaxRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis]).finish()
    }
}

fn order(parameters: &[u8]) -> Option<Order> {
    match u8_at(parameters, 1)? {
        0 => Some(Order::Descending),
        1 => Some(Order::Ascending),
        _ => None,
    }
}

fn tie(parameters: &[u8]) -> Option<Tie> {
    match u8_at(parameters, 2)? {
        0 => Some(Tie::First),
        1 => Some(Tie::Last),
        _ => None,
    }
}

fn result(parameters: &[u8]) -> Option<TopKResult> {
    match u8_at(parameters, 2)? {
        0 => Some(TopKResult::Values),
        1 => Some(TopKResult::Indices),
        _ => None,
    }
}

fn check_arg(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, ElementType::I64)?);
    order(operands.parameters()).zip(tie(operands.parameters())).ok_or("unknown order")?;
    let lanes = lanes(operands.parameters(), &input).ok_or(AXIS_RULE)?;
    if lanes.n_lanes() != output.shape.n_elements() {
        return Err(SHAPE_RULE);
    }
    Ok(input.shape.n_elements() as u64)
}

fn run_arg<T: Pod + Ranked>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let parameters = ctx.parameters();
    let lanes = lanes(parameters, &ctx.input(0)?)?;
    let map = ctx.map::<T, i64>(0, 0)?;
    arg_extreme(&lanes, order(parameters)?, tie(parameters)?, map.input, map.output)
}

/// The lanes of the input, and how many elements of each are chosen.
fn top_lanes(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<(Lanes, usize)> {
    let (from, to) = (lanes(parameters, input)?, lanes(parameters, output)?);
    let fits = from.outer == to.outer && from.inner == to.inner && to.n <= from.n;
    fits.then_some((from, to.n))
}

fn check_top(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let input = operands.input(0, element_type)?;
    order(operands.parameters()).ok_or("unknown order")?;
    let output = match result(operands.parameters()).ok_or("unknown result")? {
        TopKResult::Values => operands.output(0, element_type)?,
        TopKResult::Indices => operands.output(0, ElementType::I64)?,
    };
    if output.element_type == element_type && output.quantization != input.quantization {
        return Err("its input and output differ in quantization");
    }
    let (_, k) = top_lanes(operands.parameters(), &input, &output).ok_or(SHAPE_RULE)?;
    Ok((input.shape.n_elements() as u64).saturating_mul(k as u64))
}

fn run_top<T: Pod + Ranked>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let parameters = ctx.parameters();
    let (lanes, k) = top_lanes(parameters, &ctx.input(0)?, &ctx.output(0)?)?;
    let order = order(parameters)?;
    match result(parameters)? {
        TopKResult::Values => {
            let map = ctx.map::<T, T>(0, 0)?;
            top_k(&lanes, k, order, map.input, |at, value, _| {
                *map.output.get_mut(at)? = value;
                Some(())
            })
        }
        TopKResult::Indices => {
            let map = ctx.map::<T, i64>(0, 0)?;
            top_k(&lanes, k, order, map.input, |at, _, index| {
                *map.output.get_mut(at)? = index as i64;
                Some(())
            })
        }
    }
}

fn check_hardmax(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    lanes(operands.parameters(), &input).ok_or(AXIS_RULE)?;
    if input.shape != output.shape {
        return Err(SHAPE_RULE);
    }
    Ok(input.shape.n_elements() as u64)
}

fn run_hardmax(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let lanes = lanes(ctx.parameters(), &ctx.input(0)?)?;
    let map = ctx.map(0, 0)?;
    hardmax_f32(&lanes, map.input, map.output)
}
