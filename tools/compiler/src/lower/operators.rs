//! The one list of supported ONNX operators.

use super::context::Lowering;
use super::{
    Refusal, activation, attention, batch_normalization, binary, cast, concat, conv, depth_space, einsum, gather,
    gather_nd, generate, matmul, normalization, pad, pool, quantized, recurrent, reduction, repeat, reshape, resize,
    rotary_embedding, slice, softmax, transpose, unary,
};
use crate::import::{Imported, OnnxNode};

/// How an ONNX operator is lowered.
pub struct OnnxOperator {
    /// Name in the standard domain.
    pub name: &'static str,
    /// Operator set versions in which its meaning changed, all of them supported.
    pub since: &'static [i64],
    /// What is not supported about it; empty when everything is.
    pub note: &'static str,
    /// Attributes that lowering understands; any other is refused.
    pub(super) attributes: &'static [&'static str],
    pub(super) lower: fn(&mut Lowering, &OnnxNode) -> Result<(), Refusal>,
}

/// Supported operators, by name. Besides them, every standard operator whose results do not depend
/// on the model's inputs (shape arithmetic) is folded into constants.
pub const OPERATORS: &[OnnxOperator] = &[
    operator("Abs", &[6, 13], "", &[], activation::abs),
    operator("Add", &[7, 13, 14], "", &[], binary::add),
    operator("And", &[7], "", &[], binary::and),
    operator("ArgMax", &[1, 11, 12, 13], "", &["axis", "keepdims", "select_last_index"], reduction::arg_max),
    operator("ArgMin", &[1, 11, 12, 13], "", &["axis", "keepdims", "select_last_index"], reduction::arg_min),
    operator("Attention", &[23, 24], "Softmax in float32", ATTENTION_ATTRIBUTES, attention::lower),
    operator("AveragePool", &[7, 10, 11, 19, 22], WINDOW_NOTE, POOL_ATTRIBUTES, pool::average_pool),
    operator(
        "BatchNormalization",
        &[7, 9, 14, 15],
        "inference only",
        BATCH_NORMALIZATION_ATTRIBUTES,
        batch_normalization::lower,
    ),
    operator("BitwiseAnd", &[18], "", &[], binary::and),
    operator("BitwiseNot", &[18], "", &[], binary::not),
    operator("BitwiseOr", &[18], "", &[], binary::or),
    operator("BitwiseXor", &[18], "", &[], binary::xor),
    operator("Cast", &[6, 9, 13, 19, 21, 23, 24, 25], CAST_NOTE, &["to", "saturate", "round_mode"], cast::cast),
    operator("CastLike", &[15, 19, 21, 23, 24, 25], CAST_NOTE, &["saturate", "round_mode"], cast::cast_like),
    operator("Ceil", &[6, 13], "", &[], unary::ceil),
    operator("Celu", &[12], "", &["alpha"], unary::celu),
    operator("Clip", &[6, 11, 12, 13], "", &["min", "max"], activation::clip),
    operator("Concat", &[4, 11, 13], "", &["axis"], concat::lower),
    operator(
        "Constant",
        &[1, 9, 11, 12, 13, 19, 21, 23, 24, 25],
        "numbers",
        &["value", "value_float", "value_floats", "value_int", "value_ints"],
        reshape::constant,
    ),
    operator("ConstantOfShape", &[9, 20, 21, 23, 24, 25], "known shape", &["value"], generate::constant_of_shape),
    operator("Conv", &[1, 11, 22], WINDOW_NOTE, CONV_ATTRIBUTES, conv::lower),
    operator("ConvTranspose", &[1, 11, 22], WINDOW_NOTE, CONV_TRANSPOSE_ATTRIBUTES, conv::transposed),
    operator("Cos", &[7, 22], "", &[], unary::cos),
    operator("CumSum", &[11, 14], "", &["exclusive", "reverse"], reduction::cumulative_sum),
    operator("DepthToSpace", &[1, 11, 13], "", &["blocksize", "mode"], depth_space::depth_to_space),
    operator(
        "DequantizeLinear",
        &[10, 13, 19, 21, 23, 24, 25],
        "int8, uint8 and int32",
        QUANTIZE_ATTRIBUTES,
        quantized::dequantize,
    ),
    operator("Div", &[7, 13, 14], "", &[], binary::div),
    operator("Dropout", &[7, 10, 12, 13, 22], "inference only", &["ratio", "seed"], reshape::dropout),
    operator("Einsum", &[12], "one or two operands, no diagonals", &["equation"], einsum::lower),
    operator("Elu", &[6, 22], "", &["alpha"], unary::elu),
    operator("Equal", &[7, 11, 13, 19], "", &[], binary::equal),
    operator("Erf", &[9, 13], "", &[], unary::erf),
    operator("Exp", &[6, 13], "", &[], unary::exp),
    operator("Expand", &[8, 13], "", &[], repeat::expand),
    operator("EyeLike", &[9, 22], "", &["dtype", "k"], generate::eye_like),
    operator("Flatten", &[1, 9, 11, 13, 21, 23, 24, 25], "", &["axis"], reshape::flatten),
    operator("Floor", &[6, 13], "", &[], unary::floor),
    operator("GRU", &[7, 14, 22], RECURRENT_NOTE, RECURRENT_ATTRIBUTES, recurrent::gru),
    operator("Gather", &[1, 11, 13], "", &["axis"], gather::lower),
    operator("GatherElements", &[11, 13], "", &["axis"], gather::elements),
    operator("GatherND", &[11, 12, 13], "", &["batch_dims"], gather_nd::gather),
    operator("Gelu", &[20], "", &["approximate"], unary::gelu),
    operator("Gemm", &[7, 9, 11, 13], "", &["alpha", "beta", "transA", "transB"], matmul::gemm),
    operator("GlobalAveragePool", &[1, 22], WINDOW_NOTE, &[], pool::global_average_pool),
    operator("GlobalLpPool", &[2, 22], WINDOW_NOTE, &["p"], pool::global_lp_pool),
    operator("GlobalMaxPool", &[1, 22], WINDOW_NOTE, &[], pool::global_max_pool),
    operator("Greater", &[7, 9, 13], "", &[], binary::greater),
    operator("GreaterOrEqual", &[12, 16], "", &[], binary::greater_or_equal),
    operator("GroupNormalization", &[18, 21], "", &["epsilon", "num_groups", "stash_type"], normalization::group),
    operator("HardSigmoid", &[6, 22], "", &["alpha", "beta"], unary::hard_sigmoid),
    operator("HardSwish", &[14, 22], "", &[], unary::hard_swish),
    operator("Hardmax", &[1, 11, 13], "", &["axis"], softmax::hardmax),
    operator("Identity", &[1, 13, 14, 16, 19, 21, 23, 24, 25], "", &[], reshape::identity),
    operator("InstanceNormalization", &[6, 22], "", &["epsilon"], normalization::instance),
    operator("IsInf", &[10, 20], "", &["detect_negative", "detect_positive"], activation::is_inf),
    operator("IsNaN", &[9, 13, 20], "", &[], activation::is_nan),
    operator("LRN", &[1, 13], "", &["alpha", "beta", "bias", "size"], pool::local_response_norm),
    operator("LSTM", &[7, 14, 22], RECURRENT_NOTE, RECURRENT_ATTRIBUTES, recurrent::lstm),
    operator("LayerNormalization", &[17], "", NORMALIZATION_ATTRIBUTES, normalization::layer),
    operator("LeakyRelu", &[6, 16], "", &["alpha"], unary::leaky_relu),
    operator("Less", &[7, 9, 13], "", &[], binary::less),
    operator("LessOrEqual", &[12, 16], "", &[], binary::less_or_equal),
    operator("Log", &[6, 13], "", &[], unary::log),
    operator("LogSoftmax", &[1, 11, 13], "", &["axis"], softmax::log_softmax),
    operator("LpNormalization", &[1, 22], "p 1 and 2", &["axis", "p"], normalization::lp),
    operator("LpPool", &[2, 11, 18, 22], WINDOW_NOTE, LP_POOL_ATTRIBUTES, pool::lp_pool),
    operator("MatMul", &[1, 9, 13], "", &[], matmul::matmul),
    operator("Max", &[6, 8, 12, 13], "", &[], binary::max),
    operator("MaxPool", &[1, 8, 10, 11, 12, 22], WINDOW_NOTE, MAX_POOL_ATTRIBUTES, pool::max_pool),
    operator("Mean", &[6, 8, 13], "", &[], binary::mean),
    operator("MeanVarianceNormalization", &[9, 13], "", &["axes"], normalization::mean_variance),
    operator("Min", &[6, 8, 12, 13], "", &[], binary::min),
    operator("Mish", &[18, 22], "", &[], unary::mish),
    operator("Mod", &[10, 13], "integers", &["fmod"], binary::modulo),
    operator("Mul", &[7, 13, 14], "", &[], binary::mul),
    operator("Neg", &[6, 13], "", &[], activation::neg),
    operator(
        "NonMaxSuppression",
        &[10, 11],
        "without a declared number of rows there are as many as there can be, and spare ones are -1",
        &["center_point_box"],
        reduction::non_max_suppression,
    ),
    operator("Not", &[1], "", &[], binary::not),
    operator("OneHot", &[9, 11], "", &["axis"], gather::one_hot),
    operator("Or", &[7], "", &[], binary::or),
    operator("PRelu", &[7, 9, 16], "float32", &[], binary::prelu),
    operator("Pad", &[2, 11, 13, 18, 19, 21, 23, 24, 25], "", &["mode", "pads", "value"], pad::lower),
    operator("Pow", &[7, 12, 13, 15], "", &[], binary::pow),
    operator(
        "QuantizeLinear",
        &[10, 13, 19, 21, 23, 24, 25],
        "to int8 and uint8",
        QUANTIZE_ATTRIBUTES,
        quantized::quantize,
    ),
    operator("RMSNormalization", &[23], "", NORMALIZATION_ATTRIBUTES, normalization::root_mean_square),
    operator("RNN", &[7, 14, 22], RECURRENT_NOTE, RECURRENT_ATTRIBUTES, recurrent::rnn),
    operator("Range", &[11], "known numbers", &[], generate::range),
    operator("Reciprocal", &[6, 13], "", &[], unary::reciprocal),
    operator("ReduceL1", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::l1),
    operator("ReduceL2", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::l2),
    operator("ReduceLogSum", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::log_sum),
    operator("ReduceLogSumExp", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::log_sum_exp),
    operator("ReduceMax", &[1, 11, 12, 13, 18, 20], "", REDUCE_ATTRIBUTES, reduction::max),
    operator("ReduceMean", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::mean),
    operator("ReduceMin", &[1, 11, 12, 13, 18, 20], "", REDUCE_ATTRIBUTES, reduction::min),
    operator("ReduceProd", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::prod),
    operator("ReduceSum", &[1, 11, 13], "", REDUCE_ATTRIBUTES, reduction::sum),
    operator("ReduceSumSquare", &[1, 11, 13, 18], "", REDUCE_ATTRIBUTES, reduction::sum_square),
    operator("Relu", &[6, 13, 14], "", &[], activation::relu),
    operator("Reshape", &[5, 13, 14, 19, 21, 23, 24, 25], "", &["allowzero"], reshape::lower),
    operator("Resize", &[10, 11, 13, 18, 19], "", RESIZE_ATTRIBUTES, resize::lower),
    operator(
        "RotaryEmbedding",
        &[23],
        "",
        &["interleaved", "num_heads", "rotary_embedding_dim"],
        rotary_embedding::lower,
    ),
    operator("Round", &[11, 22], "", &[], unary::round),
    operator("Scatter", &[9], SCATTER_NOTE, &["axis"], gather_nd::scatter_elements),
    operator("ScatterElements", &[11, 13, 16, 18], SCATTER_NOTE, &["axis", "reduction"], gather_nd::scatter_elements),
    operator("ScatterND", &[11, 13, 16, 18], SCATTER_NOTE, &["reduction"], gather_nd::scatter),
    operator("Selu", &[6, 22], "", &["alpha", "gamma"], unary::selu),
    operator("Shape", &[1, 13, 15, 19, 21, 23, 24, 25], "", &["start", "end"], generate::shape),
    operator("Sigmoid", &[6, 13], "", &[], unary::sigmoid),
    operator("Sign", &[9, 13], "", &[], activation::sign),
    operator("Sin", &[7, 22], "", &[], unary::sin),
    operator("Size", &[1, 13, 19, 21, 23, 24, 25], "", &[], generate::size),
    operator("Slice", &[1, 10, 11, 13], "", &["starts", "ends", "axes"], slice::lower),
    operator("Softmax", &[1, 11, 13], "", &["axis"], softmax::softmax),
    operator("Softplus", &[1, 22], "", &[], unary::softplus),
    operator("Softsign", &[1, 22], "", &[], unary::softsign),
    operator("SpaceToDepth", &[1, 13], "", &["blocksize"], depth_space::space_to_depth),
    operator("Split", &[2, 11, 13, 18], "", &["axis", "split", "num_outputs"], slice::split),
    operator("Sqrt", &[6, 13], "", &[], unary::sqrt),
    operator("Squeeze", &[1, 11, 13, 21, 23, 24, 25], "", &["axes"], reshape::squeeze),
    operator("Sub", &[7, 13, 14], "", &[], binary::sub),
    operator("Sum", &[6, 8, 13], "", &[], binary::sum),
    operator("Swish", &[24], "", &["alpha"], unary::swish),
    operator("Tanh", &[6, 13], "", &[], unary::tanh),
    operator("ThresholdedRelu", &[10, 22], "", &["alpha"], unary::thresholded_relu),
    operator("Tile", &[6, 13], "", &[], repeat::tile),
    operator("TopK", &[1, 10, 11, 24], "always sorted", &["axis", "k", "largest", "sorted"], reduction::top_k),
    operator("Transpose", &[1, 13, 21, 23, 24, 25], "", &["perm"], transpose::lower),
    operator("Trilu", &[14], "", &["upper"], gather::trilu),
    operator("Unsqueeze", &[1, 11, 13, 21, 23, 24, 25], "", &["axes"], reshape::unsqueeze),
    operator("Upsample", &[7, 9], "", &["mode", "scales"], resize::upsample),
    operator("Where", &[9, 16], "", &[], binary::select),
    operator("Xor", &[7], "", &[], binary::xor),
];

const fn operator(
    name: &'static str,
    since: &'static [i64],
    note: &'static str,
    attributes: &'static [&'static str],
    lower: fn(&mut Lowering, &OnnxNode) -> Result<(), Refusal>,
) -> OnnxOperator {
    OnnxOperator { name, since, note, attributes, lower }
}

/// How to lower a node, or why not.
pub(super) fn find(imported: &Imported, node: &OnnxNode) -> Result<&'static OnnxOperator, Refusal> {
    if !node.domain.is_empty() {
        return Err(Refusal::new(
            format!("operators of domain '{}' are not supported", node.domain),
            "export the model with standard operators (domain ai.onnx)",
        ));
    }
    if let Some(operator) = OPERATORS.iter().find(|o| o.name == node.operator) {
        return match operator.since.first() {
            Some(&oldest) if imported.opset < oldest => Err(Refusal::new(
                format!("operator set {} is older than {oldest}", imported.opset),
                "export the model with opset_version=17",
            )),
            _ => Ok(operator),
        };
    }
    let known = INSTEAD.iter().find(|(names, _)| names.contains(&&*node.operator));
    let suggestion = known.map(|(_, words)| words.to_string()).or_else(|| nearest(&node.operator));
    let suggestion = suggestion.unwrap_or_else(|| "`tinfer operators` lists what is supported".into());
    let reason = if node.operator.to_lowercase().contains("quantize") || node.operator.starts_with("QLinear") {
        "models that are quantized already are imported in QDQ form only"
    } else {
        "there is no such operator in the image"
    };
    Err(Refusal::new(reason, suggestion))
}

/// The supported operator with the nearest name, when it is near enough for a typing error. What is an operator of ONNX
/// was meant.
fn nearest(name: &str) -> Option<String> {
    if OTHERS_OF_ONNX.contains(&name) {
        return None;
    }
    let distance = |a: &str, b: &str| {
        let b: Vec<char> = b.to_lowercase().chars().collect();
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.to_lowercase().chars().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let substituted = diagonal + usize::from(x != *y);
                diagonal = row[j + 1];
                row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row[b.len()]
    };
    let best = OPERATORS.iter().map(|o| (distance(name, o.name), o.name)).min()?;
    (best.0 <= 2).then(|| format!("did the exporter mean {}?", best.1))
}

const SCATTER_NOTE: &str = "known indices, no reduction";
const CAST_NOTE: &str = "float32, int8, uint8, int32, int64 and bool";
const WINDOW_NOTE: &str = "1-D, 2-D and 3-D";
const POOL_ATTRIBUTES: &[&str] =
    &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];
const MAX_POOL_ATTRIBUTES: &[&str] =
    &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
const LP_POOL_ATTRIBUTES: &[&str] = &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"];
const CONV_TRANSPOSE_ATTRIBUTES: &[&str] =
    &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"];
const CONV_ATTRIBUTES: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const QUANTIZE_ATTRIBUTES: &[&str] = &["axis", "block_size", "output_dtype", "precision", "saturate"];
const RESIZE_ATTRIBUTES: &[&str] = &[
    "antialias",
    "axes",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "keep_aspect_ratio_policy",
    "mode",
    "nearest_mode",
];
const REDUCE_ATTRIBUTES: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const NORMALIZATION_ATTRIBUTES: &[&str] = &["axis", "epsilon", "stash_type"];
const BATCH_NORMALIZATION_ATTRIBUTES: &[&str] = &["epsilon", "momentum", "spatial", "training_mode"];

const ATTENTION_ATTRIBUTES: &[&str] =
    &["is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"];
const RECURRENT_NOTE: &str = "sequences of up to 64 steps";
const RECURRENT_ATTRIBUTES: &[&str] = &[
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "input_forget",
    "layout",
    "linear_before_reset",
];

/// Nearest supported forms of what models often have.
const INSTEAD: &[(&[&str], &str)] = &[
    (
        &["DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"],
        "quantize it statically to QuantizeLinear and DequantizeLinear nodes (QDQ), or convert the float model: \
         tinfer quantizes it itself (--calibration)",
    ),
    (
        &["If"],
        "fix the input that its condition depends on (--input-value NAME=V), or export the model without control flow",
    ),
    (&["Loop", "Scan"], "export the model without control flow, a loop with its steps written out"),
];

/// Operators of ONNX that no image has, in any operator set.
#[rustfmt::skip]
const OTHERS_OF_ONNX: &[&str] = &[
    "Acos", "Acosh", "AffineGrid", "Asin", "Asinh", "Atan", "Atanh", "Bernoulli", "BitCast", "BitShift",
    "BlackmanWindow", "CausalConvWithState", "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence",
    "ConvInteger", "Cosh", "CumProd", "DFT", "DeformConv", "Det", "DynamicQuantizeLinear", "GridSample",
    "HammingWindow", "HannWindow", "If", "ImageDecoder", "LinearAttention", "Loop", "MatMulInteger", "MaxRoiPool",
    "MaxUnpool", "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss", "NonZero", "Optional",
    "OptionalGetElement", "OptionalHasElement", "QLinearConv", "QLinearMatMul", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "RegexFullMatch", "ReverseSequence", "RoiAlign", "STFT", "Scan",
    "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
    "SequenceMap", "Shrink", "Sinh", "SoftmaxCrossEntropyLoss", "SplitToSequence", "StringConcat",
    "StringNormalizer", "StringSplit", "Tan", "TensorScatter", "TfIdfVectorizer", "Unique",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_complete() {
        for pair in OPERATORS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
        for operator in OPERATORS {
            assert!(operator.since.is_sorted() && !operator.since.is_empty(), "{}", operator.name);
        }
        assert_eq!(nearest("Relu6").as_deref(), Some("did the exporter mean Relu?"));
        assert_eq!(nearest("NoSuchOperator"), None);
        for name in OTHERS_OF_ONNX {
            assert!(OPERATORS.iter().all(|o| o.name != *name), "{name} is supported");
            assert_eq!(nearest(name), None);
        }
    }
}
