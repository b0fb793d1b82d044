//! Pooling in the ONNX file's own layout. A global pool has a kernel as large as its input.
//!
//! ```text
//! inputs:                 x [N, C, D1, ..]
//! parameters maximum:     window (30 bytes), 30 reserved .. 32
//! parameters indices:     window, 30 storage_order u8, 31 reserved .. 32
//! parameters average:     window, 30 count_include_pad u8, 31 reserved .. 32
//! parameters norm:        window, 30 reserved, 32 p u32 .. 36
//! ```

use super::window::WINDOW_RULE;
use super::window_nd::{self, WindowNdRecord, planes};
use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at, u32_at};
use crate::kernels::geometry::Window3d;
use crate::kernels::portable::{
    CountedTaps, IndexOrder, Ordered, average_pool_nd_f32, lp_pool_nd_f32, max_pool_indices_nd, max_pool_nd,
};
use crate::operators::StepContext;
use crate::tensor::ElementType;
use bytemuck::Pod;

/// The maximum and where it lies, for one element type.
macro_rules! max_pools {
    ($($element:ty, $element_type:ident, $low_bits:literal, $value:ident, $value_name:literal, $index:ident,
       $index_name:literal;)*) => {
        $(
            #[doc = concat!("Maximum of ", stringify!($element_type), "; input and output have the same quantization.")]
            pub static $value: Operator = Operator {
                code: 0x0630 + $low_bits,
                name: $value_name,
                in_place: InPlace::Never,
                check: |operands| check_max(operands, ElementType::$element_type),
                run: run_max::<$element>,
            };

            #[doc = concat!("Where the maximum of ", stringify!($element_type), " lies, as int64.")]
            pub static $index: Operator = Operator {
                code: 0x0640 + $low_bits,
                name: $index_name,
                in_place: InPlace::Never,
                check: |operands| check_indices(operands, ElementType::$element_type),
                run: run_indices::<$element>,
            };
        )*
    };
}

max_pools! {
    f32, F32, 1, MAX_POOL_ND_F32, "max_pool_nd_f32", MAX_POOL_INDICES_ND_F32, "max_pool_indices_nd_f32";
    i8, I8, 2, MAX_POOL_ND_I8, "max_pool_nd_i8", MAX_POOL_INDICES_ND_I8, "max_pool_indices_nd_i8";
    u8, U8, 3, MAX_POOL_ND_U8, "max_pool_nd_u8", MAX_POOL_INDICES_ND_U8, "max_pool_indices_nd_u8";
}

/// Average in float32.
pub static AVERAGE_POOL_ND_F32: Operator = Operator {
    code: 0x0651,
    name: "average_pool_nd_f32",
    in_place: InPlace::Never,
    check: check_average,
    run: run_average,
};

/// Norm in float32.
pub static LP_POOL_ND_F32: Operator =
    Operator { code: 0x0661, name: "lp_pool_nd_f32", in_place: InPlace::Never, check: check_lp, run: run_lp };

const FLAG_AT: usize = window_nd::SIZE;
const P_AT: usize = window_nd::SIZE + 2;

/// Parameters of the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPoolNdRecord {
    /// Geometry.
    pub window: WindowNdRecord,
}

impl MaxPoolNdRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        self.window.put(RecordWriter::default()).finish()
    }
}

/// Parameters of the maximum's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPoolIndicesNdRecord {
    /// Geometry.
    pub window: WindowNdRecord,
    /// How elements are counted.
    pub order: IndexOrder,
}

impl MaxPoolIndicesNdRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        let order = match self.order {
            IndexOrder::RowMajor => 0,
            IndexOrder::ColumnMajor => 1,
        };
        self.window.put(RecordWriter::default()).put(FLAG_AT, &[order]).finish()
    }
}

/// Parameters of the average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePoolNdRecord {
    /// Geometry.
    pub window: WindowNdRecord,
    /// What the sum is divided by.
    pub counted: CountedTaps,
}

impl AveragePoolNdRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        let counted = match self.counted {
            CountedTaps::Inside => 0,
            CountedTaps::Padded => 1,
        };
        self.window.put(RecordWriter::default()).put(FLAG_AT, &[counted]).finish()
    }
}

/// Parameters of the norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpPoolNdRecord {
    /// Geometry.
    pub window: WindowNdRecord,
    /// Exponent, at least 1.
    pub p: u32,
}

impl LpPoolNdRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 36] {
        self.window.put(RecordWriter::default()).put(P_AT, &self.p.to_le_bytes()).finish()
    }
}

fn geometry(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<Window3d> {
    let ((channels, input), (output_channels, output)) = (planes(input)?, planes(output)?);
    if channels != output_channels {
        return None;
    }
    Some(WindowNdRecord::view(parameters)?.geometry(input, output))
}

fn window_of(ctx: &StepContext<'_, '_>) -> Option<Window3d> {
    geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)
}

/// The work of a pool.
fn checked(operands: &StepOperands<'_>, input: ElementType, output: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, input)?, operands.output(0, output)?);
    let window = geometry(operands.parameters(), &input, &output).and_then(Window3d::check).ok_or(WINDOW_RULE)?;
    // A kernel larger than the plane visits the plane only.
    let taps = window.kernel.iter().zip(window.input).fold(1u64, |n, (k, i)| n.saturating_mul(u64::from((*k).min(i))));
    Ok((output.shape.n_elements() as u64).saturating_mul(taps.saturating_add(1)))
}

fn check_max(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    if input.quantization != output.quantization {
        return Err("its input and output differ in quantization");
    }
    checked(operands, element_type, element_type)
}

fn run_max<T: Ordered + Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = window_of(ctx)?;
    let map = ctx.map::<T, T>(0, 0)?;
    max_pool_nd(&window, map.input, map.output)
}

fn index_order(parameters: &[u8]) -> Option<IndexOrder> {
    match u8_at(parameters, FLAG_AT)? {
        0 => Some(IndexOrder::RowMajor),
        1 => Some(IndexOrder::ColumnMajor),
        _ => None,
    }
}

fn check_indices(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    index_order(operands.parameters()).ok_or("unknown order of indices")?;
    checked(operands, element_type, ElementType::I64)
}

fn run_indices<T: Ordered + Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (window, order) = (window_of(ctx)?, index_order(ctx.parameters())?);
    let map = ctx.map::<T, i64>(0, 0)?;
    max_pool_indices_nd(&window, order, map.input, map.output)
}

fn counted(parameters: &[u8]) -> Option<CountedTaps> {
    match u8_at(parameters, FLAG_AT)? {
        0 => Some(CountedTaps::Inside),
        1 => Some(CountedTaps::Padded),
        _ => None,
    }
}

fn check_average(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    counted(operands.parameters()).ok_or("unknown divisor")?;
    checked(operands, ElementType::F32, ElementType::F32)
}

fn run_average(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (window, counted) = (window_of(ctx)?, counted(ctx.parameters())?);
    let map = ctx.map(0, 0)?;
    average_pool_nd_f32(&window, counted, map.input, map.output)
}

fn check_lp(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    u32_at(operands.parameters(), P_AT).filter(|&p| p > 0).ok_or("its exponent is not positive")?;
    checked(operands, ElementType::F32, ElementType::F32)
}

fn run_lp(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (window, p) = (window_of(ctx)?, u32_at(ctx.parameters(), P_AT)?);
    let map = ctx.map(0, 0)?;
    lp_pool_nd_f32(&window, p, map.input, map.output)
}
