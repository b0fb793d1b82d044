//! The operators of the plan: their records, what must hold of their operands, and how they run.
//!
//! Each operator and precision is one [`Operator`] value with its own code, so that a firmware
//! which lists only the operators of its models links only those.

pub mod armv7em;
pub mod batch_matmul;
pub mod batch_normalization;
pub mod binary;
mod context;
pub mod conv_2d;
pub mod conv_nd;
pub mod conv_transpose_2d;
pub mod conversion;
pub mod depthwise_conv_2d;
pub mod elementwise;
pub mod fully_connected;
pub mod int16;
pub mod int4;
pub mod limits;
pub mod local_response_norm;
pub mod movement;
pub mod mve;
mod overlap;
pub mod pool_2d;
pub mod pool_nd;
pub mod reduction;
pub mod require;
pub mod row_normalization;
pub mod sized;
pub mod softmax;
pub mod unary;
pub mod window;
pub mod window_nd;

pub(crate) use context::arena_range;
pub use context::{Inputs, StepContext};
pub use overlap::InPlace;

use crate::error::BindError;
use crate::image::{Image, Placement, StepView, TensorView};
use crate::isa::Isa;
use crate::tensor::ElementType;
use bytemuck::Pod;

/// An operator at one precision.
///
/// Its fields lie in this order, so that tools find `run`, the last, in a linked program.
#[derive(Debug)]
#[repr(C)]
pub struct Operator {
    /// Number in the plan.
    pub code: u16,
    /// Name as in ONNX in snake case, with the precision: `conv_2d_i8`.
    pub name: &'static str,
    /// Which overlap of its operands it bears. Any other is refused at bind.
    pub in_place: InPlace,
    /// Checks everything that `run` relies on; gives the work units (multiply-accumulates or
    /// element visits) of the step, or the rule that is broken.
    pub check: fn(&StepOperands<'_>) -> Result<u64, &'static str>,
    /// Computes the step. `None` when operands are not as checked, which cannot happen after bind.
    pub run: fn(&mut StepContext<'_, '_>) -> Option<()>,
}

/// The operands of a step, for checking.
#[derive(Clone, Copy, Debug)]
pub struct StepOperands<'a> {
    image: &'a Image<'a>,
    step: &'a StepView<'a>,
}

impl<'a> StepOperands<'a> {
    /// The operands of one step of a checked image.
    pub fn new(image: &'a Image<'a>, step: &'a StepView<'a>) -> Self {
        StepOperands { image, step }
    }

    /// Number of inputs.
    pub fn n_inputs(&self) -> usize {
        self.step.n_inputs()
    }

    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.step.n_outputs()
    }

    /// The operator's parameters.
    pub fn parameters(&self) -> &'a [u8] {
        self.step.parameters
    }

    /// Bytes of scratch that the plan gives.
    pub fn scratch_bytes(&self) -> usize {
        self.step.scratch_bytes as usize
    }

    /// Input `i` of whatever type.
    #[inline(never)]
    pub fn any_input(&self, i: usize) -> Option<TensorView> {
        self.image.tensor(self.step.input(i)?)
    }

    /// Output `i` of whatever type.
    #[inline(never)]
    pub fn any_output(&self, i: usize) -> Option<TensorView> {
        self.image.tensor(self.step.output(i)?)
    }

    /// Input `i`, which must exist and have this element type.
    #[inline(never)]
    pub fn input(&self, i: usize, element_type: ElementType) -> Result<TensorView, &'static str> {
        let tensor = self.any_input(i).ok_or("an input is missing")?;
        if tensor.element_type == element_type { Ok(tensor) } else { Err("an input has the wrong element type") }
    }

    /// [`StepOperands::input`], which must not be a constant: for kernels that read and write one region.
    pub fn arena_input(&self, i: usize, element_type: ElementType) -> Result<TensorView, &'static str> {
        let tensor = self.input(i, element_type)?;
        match tensor.placement {
            Placement::Arena(_) => Ok(tensor),
            Placement::Weights(_) => Err("an operand that must be in the arena is a constant"),
        }
    }

    /// Output `i`, which must exist and have this element type.
    #[inline(never)]
    pub fn output(&self, i: usize, element_type: ElementType) -> Result<TensorView, &'static str> {
        let tensor = self.any_output(i).ok_or("an output is missing")?;
        if tensor.element_type == element_type { Ok(tensor) } else { Err("an output has the wrong element type") }
    }

    /// The data of input `i`, which must be a constant with exactly `n_elements` elements.
    pub fn constant<T: Pod>(
        &self,
        i: usize,
        element_type: ElementType,
        n_elements: usize,
    ) -> Result<&'a [T], &'static str> {
        let tensor = self.input(i, element_type)?;
        if tensor.shape.n_elements() != n_elements {
            return Err("a constant has the wrong length");
        }
        constant(self.image, &tensor).ok_or("an operand that must be a constant is not")
    }
}

/// The data of a tensor in the weights section.
pub(crate) fn constant<'i, T: Pod>(image: &Image<'i>, tensor: &TensorView) -> Option<&'i [T]> {
    match tensor.placement {
        Placement::Weights(offset) => {
            let bytes = crate::image::bytes::range(image.weights(), offset, u32::try_from(tensor.n_bytes()).ok()?)?;
            bytemuck::try_cast_slice(bytes).ok()
        }
        Placement::Arena(_) => None,
    }
}

/// Checks one step against its operator: where its operands lie, then the operator's own rules.
fn check_step(image: &Image<'_>, step: &StepView<'_>, operator: &Operator) -> Result<u64, BindError> {
    overlap::check(image, step, operator.in_place)
        .and_then(|()| (operator.check)(&StepOperands::new(image, step)))
        .map_err(|rule| BindError::Step { step: step.index, operator: operator.name, rule })
}

/// Checks every step of an image against its operator; gives the work units of one inference.
///
/// # Errors
/// The first step without an operator or with a broken rule, or more work than the header declares.
pub fn work(image: &Image<'_>, operators: &[&Operator]) -> Result<u64, BindError> {
    let declared = image.header().work;
    let mut found = 0u64;
    for step in image.steps() {
        let operator =
            find(operators, step.code).ok_or(BindError::MissingOperator { step: step.index, code: step.code })?;
        found = found.saturating_add(check_step(image, &step, operator)?);
        if found > declared {
            return Err(BindError::Work { declared, found });
        }
    }
    Ok(found)
}

/// The operator with this code.
pub(crate) fn find<'a>(operators: &[&'a Operator], code: u16) -> Option<&'a Operator> {
    operators.iter().copied().find(|o| o.code == code)
}

/// Makes [`ALL`], and the path of each of its operators for [`path`], from one list.
macro_rules! operators {
    ($(&$($part:ident)::+),* $(,)?) => {
        /// Every operator of this crate, for hosts and for firmware that takes any model.
        pub static ALL: &[&Operator] = &[$(&$($part)::+),*];

        static PATHS: &[&[&str]] = &[$(&[$(stringify!($part)),+]),*];
    };
}

operators![
    &conv_2d::CONV_2D_F32,
    &conv_2d::CONV_2D_I8,
    &depthwise_conv_2d::DEPTHWISE_CONV_2D_F32,
    &depthwise_conv_2d::DEPTHWISE_CONV_2D_I8,
    &fully_connected::FULLY_CONNECTED_F32,
    &fully_connected::FULLY_CONNECTED_I8,
    &batch_matmul::BATCH_MATMUL_F32,
    &batch_matmul::BATCH_MATMUL_I8,
    &binary::BINARY_F32,
    &binary::ADD_I8,
    &binary::MUL_I8,
    &unary::UNARY_F32,
    &unary::TABLE_I8,
    &pool_2d::MAX_POOL_2D_F32,
    &pool_2d::MAX_POOL_2D_I8,
    &pool_2d::AVERAGE_POOL_2D_F32,
    &pool_2d::AVERAGE_POOL_2D_I8,
    &pool_2d::AVERAGE_POOL_2D_DEQUANTIZED_I8,
    &require::REQUIRE,
    &softmax::SOFTMAX_F32,
    &softmax::SOFTMAX_I8,
    &movement::TRANSPOSE_F32,
    &movement::TRANSPOSE_I8,
    &movement::PAD_F32,
    &movement::PAD_I8,
    &movement::CONCAT_F32,
    &movement::CONCAT_I8,
    &elementwise::unary_f32::ABS_F32,
    &elementwise::unary_f32::SQRT_F32,
    &elementwise::unary_f32::RECIPROCAL_F32,
    &elementwise::unary_f32::EXP_F32,
    &elementwise::unary_f32::LOG_F32,
    &elementwise::unary_f32::LEAKY_RELU_F32,
    &elementwise::unary_f32::ELU_F32,
    &elementwise::unary_f32::CELU_F32,
    &elementwise::unary_f32::SELU_F32,
    &elementwise::unary_f32::HARD_SIGMOID_F32,
    &elementwise::unary_f32::HARD_SWISH_F32,
    &elementwise::unary_f32::SOFTPLUS_F32,
    &elementwise::unary_f32::SOFTSIGN_F32,
    &elementwise::unary_f32::THRESHOLDED_RELU_F32,
    &elementwise::unary_f32::GELU_F32,
    &elementwise::unary_f32::GELU_TANH_F32,
    &elementwise::unary_f32::ERF_F32,
    &elementwise::unary_f32::MISH_F32,
    &elementwise::unary_f32::SWISH_F32,
    &elementwise::unary_f32::SIGN_F32,
    &elementwise::unary_f32::FLOOR_F32,
    &elementwise::unary_f32::CEIL_F32,
    &elementwise::unary_f32::ROUND_F32,
    &elementwise::unary_f32::SIN_F32,
    &elementwise::unary_f32::COS_F32,
    &elementwise::binary_f32::MAX_F32,
    &elementwise::binary_f32::MIN_F32,
    &elementwise::binary_f32::PRELU_F32,
    &elementwise::binary_f32::POW_F32,
    &elementwise::integers::BINARY_S8,
    &elementwise::integers::BINARY_U8,
    &elementwise::integers::BINARY_I32,
    &elementwise::integers::BINARY_I64,
    &elementwise::integers::BINARY_BOOL,
    &elementwise::integers::POW_I32,
    &elementwise::integers::POW_I64,
    &elementwise::comparison::COMPARE_F32,
    &elementwise::comparison::COMPARE_I8,
    &elementwise::comparison::COMPARE_U8,
    &elementwise::comparison::COMPARE_I32,
    &elementwise::comparison::COMPARE_I64,
    &elementwise::comparison::COMPARE_BOOL,
    &elementwise::select::WHERE_B1,
    &elementwise::select::WHERE_B4,
    &elementwise::select::WHERE_B8,
    &elementwise::cast::CAST_TO_F32,
    &elementwise::cast::CAST_TO_I8,
    &elementwise::cast::CAST_TO_U8,
    &elementwise::cast::CAST_TO_I32,
    &elementwise::cast::CAST_TO_I64,
    &elementwise::cast::CAST_TO_BOOL,
    &sized::view::VIEW_B1,
    &sized::view::VIEW_B2,
    &sized::view::VIEW_B4,
    &sized::view::VIEW_B8,
    &sized::slice::SLICE_B1,
    &sized::slice::SLICE_B2,
    &sized::slice::SLICE_B4,
    &sized::slice::SLICE_B8,
    &sized::border::BORDER_B1,
    &sized::border::BORDER_B2,
    &sized::border::BORDER_B4,
    &sized::border::BORDER_B8,
    &sized::concat::CONCAT_B1,
    &sized::concat::CONCAT_B2,
    &sized::concat::CONCAT_B4,
    &sized::concat::CONCAT_B8,
    &sized::gather::GATHER_B1,
    &sized::gather::GATHER_B2,
    &sized::gather::GATHER_B4,
    &sized::gather::GATHER_B8,
    &sized::gather::GATHER_ELEMENTS_B1,
    &sized::gather::GATHER_ELEMENTS_B2,
    &sized::gather::GATHER_ELEMENTS_B4,
    &sized::gather::GATHER_ELEMENTS_B8,
    &sized::trilu::TRILU_B1,
    &sized::trilu::TRILU_B2,
    &sized::trilu::TRILU_B4,
    &sized::trilu::TRILU_B8,
    &sized::one_hot::ONE_HOT_B1,
    &sized::one_hot::ONE_HOT_B2,
    &sized::one_hot::ONE_HOT_B4,
    &sized::one_hot::ONE_HOT_B8,
    &sized::resample::RESIZE_NEAREST_B1,
    &sized::resample::RESIZE_NEAREST_B2,
    &sized::resample::RESIZE_NEAREST_B4,
    &sized::resample::RESIZE_NEAREST_B8,
    &sized::resample::RESIZE_F32,
    &sized::resample::RESIZE_I8,
    &sized::resize_table::RESIZE_TABLE,
    &sized::shape_given::SHAPE_GIVEN,
    &row_normalization::ROW_NORMALIZATION_I8,
    &row_normalization::ROW_NORMALIZATION_I16,
    &softmax::SOFTMAX_MASKED_I8,
    &softmax::SOFTMAX_SCALED_I8,
    &conv_transpose_2d::CONV_TRANSPOSE_2D_F32,
    &conv_transpose_2d::CONV_TRANSPOSE_2D_I8,
    &conv_nd::CONV_ND_F32,
    &conv_nd::CONV_TRANSPOSE_ND_F32,
    &pool_nd::MAX_POOL_ND_F32,
    &pool_nd::MAX_POOL_ND_I8,
    &pool_nd::MAX_POOL_ND_U8,
    &pool_nd::MAX_POOL_INDICES_ND_F32,
    &pool_nd::MAX_POOL_INDICES_ND_I8,
    &pool_nd::MAX_POOL_INDICES_ND_U8,
    &pool_nd::AVERAGE_POOL_ND_F32,
    &pool_nd::LP_POOL_ND_F32,
    &local_response_norm::LOCAL_RESPONSE_NORM_F32,
    &batch_normalization::BATCH_NORMALIZATION_F32,
    &armv7em::add::ADD_I8_ARMV7EM,
    &mve::conv_2d::CONV_2D_I8_MVE,
    &mve::depthwise_conv_2d::DEPTHWISE_CONV_2D_I8_MVE,
    &mve::fully_connected::FULLY_CONNECTED_I8_MVE,
    &mve::add::ADD_I8_MVE,
    &mve::pool_2d::MAX_POOL_2D_I8_MVE,
    &mve::pool_2d::AVERAGE_POOL_2D_I8_MVE,
    &mve::depthwise_conv_2d::DEPTHWISE_WINDOWS_I8_MVE,
    &armv7em::conv_2d::CONV_2D_I8_ARMV7EM,
    &armv7em::depthwise_conv_2d::DEPTHWISE_CONV_2D_I8_ARMV7EM,
    &armv7em::fully_connected::FULLY_CONNECTED_I8_ARMV7EM,
    &armv7em::pool_2d::MAX_POOL_2D_I8_ARMV7EM,
    &armv7em::pool_2d::AVERAGE_POOL_2D_I8_ARMV7EM,
    &armv7em::depthwise_conv_2d::DEPTHWISE_WINDOWS_I8_ARMV7EM,
    &armv7em::conv_2d_winograd::CONV_2D_WINOGRAD_I8_ARMV7EM,
    &conversion::QUANTIZE_I8,
    &conversion::DEQUANTIZE_I8,
    &conversion::QUANTIZE_I16,
    &conversion::DEQUANTIZE_I16,
    &conversion::WIDEN_I8,
    &conversion::NARROW_I16,
    &conversion::RESCALE_I16,
    &int16::layers::CONV_2D_I16,
    &int16::layers::DEPTHWISE_CONV_2D_I16,
    &int16::layers::FULLY_CONNECTED_I16,
    &int4::CONV_2D_I4,
    &int4::FULLY_CONNECTED_I4,
    &int16::elements::ADD_I16,
    &int16::elements::MUL_I16,
    &int16::elements::CLAMP_I16,
    &int16::elements::TABLE_I16,
    &int16::elements::SOFTMAX_I16,
    &int16::pools::MAX_POOL_2D_I16,
    &int16::pools::AVERAGE_POOL_2D_I16,
    &movement::TRANSPOSE_I16,
    &movement::PAD_I16,
    &movement::CONCAT_I16,
    &softmax::LOG_SOFTMAX_F32,
    &reduction::reduce::REDUCE_F32,
    &reduction::reduce::REDUCE_I8,
    &reduction::reduce::REDUCE_U8,
    &reduction::reduce::REDUCE_I32,
    &reduction::reduce::REDUCE_I64,
    &reduction::reduce::REDUCE_BOOL,
    &reduction::selection::ARG_EXTREME_F32,
    &reduction::selection::ARG_EXTREME_I8,
    &reduction::selection::ARG_EXTREME_U8,
    &reduction::selection::ARG_EXTREME_I32,
    &reduction::selection::ARG_EXTREME_I64,
    &reduction::selection::TOP_K_F32,
    &reduction::selection::TOP_K_I8,
    &reduction::selection::TOP_K_U8,
    &reduction::selection::TOP_K_I32,
    &reduction::selection::TOP_K_I64,
    &reduction::selection::HARDMAX_F32,
    &reduction::cumulative_sum::CUMULATIVE_SUM_F32,
    &reduction::cumulative_sum::CUMULATIVE_SUM_I32,
    &reduction::cumulative_sum::CUMULATIVE_SUM_I64,
    &reduction::normalization::NORMALIZATION_F32,
    &reduction::normalization::LP_NORMALIZATION_F32,
    &reduction::non_max_suppression::NON_MAX_SUPPRESSION_F32,
];

/// Names of modules, then of the static, of the operator with this code, below this module: what a build script writes
/// into the list of a firmware that links only what its model needs.
pub fn path(code: u16) -> Option<&'static [&'static str]> {
    ALL.iter().zip(PATHS).find(|(operator, _)| operator.code == code).map(|(_, path)| *path)
}

/// The instruction set that the operator with this code is made for, after which its module is called; portable ones run
/// on every board.
pub fn isa(code: u16) -> Option<Isa> {
    let module = path(code)?.first()?;
    Some(Isa::from_name(module).unwrap_or(Isa::Portable))
}

#[cfg(test)]
mod tests;
