//! Functions of one float32 element.

use super::Refusal;
use super::context::{Lowering, float, text};
use crate::graph::{Operator, Unary};
use crate::import::OnnxNode;

/// An attribute that must be finite.
fn number(node: &OnnxNode, name: &str, default: f32) -> Result<f32, Refusal> {
    match float(node, name, default)? {
        x if x.is_finite() => Ok(x),
        x => Err(Refusal::new(format!("its {name} is {x}"), "export the model with finite numbers")),
    }
}

/// Adds the function of the node's first input.
pub fn push(lowering: &mut Lowering, node: &OnnxNode, function: Unary) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let (shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    lowering.push_output(node, 0, Operator::Unary(function), vec![x], shape, element_type);
    Ok(())
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident $function:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
            push(lowering, node, Unary::$function)
        }
    )*};
}

plain! {
    /// 1 / (1 + exp(-x))
    sigmoid Sigmoid;
    /// tanh(x)
    tanh Tanh;
    /// Square root.
    sqrt Sqrt;
    /// 1 / x
    reciprocal Reciprocal;
    /// e^x
    exp Exp;
    /// Natural logarithm.
    log Log;
    /// x clamp(x / 6 + 1/2, 0, 1)
    hard_swish HardSwish;
    /// log(1 + e^x)
    softplus Softplus;
    /// x / (1 + |x|)
    softsign Softsign;
    /// The error function.
    erf Erf;
    /// x tanh(log(1 + e^x))
    mish Mish;
    /// Towards minus infinity.
    floor Floor;
    /// Towards plus infinity.
    ceil Ceil;
    /// To the nearest, ties to even.
    round Round;
    /// Sine.
    sin Sin;
    /// Cosine.
    cos Cos;
}

/// x below 0 times alpha.
pub fn leaky_relu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let slope = number(node, "alpha", 0.01)?;
    push(lowering, node, Unary::LeakyRelu { slope })
}

/// alpha (e^x - 1) below 0.
pub fn elu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let alpha = number(node, "alpha", 1.0)?;
    push(lowering, node, Unary::Elu { alpha })
}

/// alpha (e^(x / alpha) - 1) below 0.
pub fn celu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let alpha = number(node, "alpha", 1.0)?;
    if alpha <= 0.0 {
        return Err(Refusal::new(format!("its alpha is {alpha}"), "Celu needs a positive alpha"));
    }
    push(lowering, node, Unary::Celu { alpha })
}

/// gamma times Elu.
pub fn selu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let alpha = number(node, "alpha", 1.673_263_2)?;
    let gamma = number(node, "gamma", 1.050_701)?;
    push(lowering, node, Unary::Selu { alpha, gamma })
}

/// clamp(alpha x + beta, 0, 1)
pub fn hard_sigmoid(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (slope, offset) = (number(node, "alpha", 0.2)?, number(node, "beta", 0.5)?);
    push(lowering, node, Unary::HardSigmoid { slope, offset })
}

/// x above alpha, 0 elsewhere.
pub fn thresholded_relu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let threshold = number(node, "alpha", 1.0)?;
    push(lowering, node, Unary::ThresholdedRelu { threshold })
}

/// With the error function or its approximation.
pub fn gelu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let function = match text(node, "approximate", "none")? {
        "none" => Unary::Gelu,
        "tanh" => Unary::GeluTanh,
        other => return Err(Refusal::new(format!("approximation '{other}' is not known"), "use 'none' or 'tanh'")),
    };
    push(lowering, node, function)
}

/// x / (1 + e^(-alpha x))
pub fn swish(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let alpha = number(node, "alpha", 1.0)?;
    push(lowering, node, Unary::Swish { alpha })
}
