//! The activation functions that ONNX allows in recurrent layers.

use super::cell::Kind;
use crate::graph::{Binary, Clamp, Operator, Unary};
use crate::import::{Attribute, OnnxNode};
use crate::lower::Refusal;

/// An activation: what is done to a tensor, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Activation(pub Vec<Step>);

/// One elementwise function.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Unary(Unary),
    /// With a constant.
    Constant(Binary, f32),
}

impl Step {
    /// Its operator; the constant is the second operand.
    pub(super) fn operator(&self) -> (Operator, Option<f32>) {
        match self {
            Step::Unary(function) => (Operator::Unary(function.clone()), None),
            Step::Constant(function, value) => {
                (Operator::Binary { function: *function, clamp: Clamp::default() }, Some(*value))
            }
        }
    }
}

/// The activations of each direction, in ONNX's order.
pub(super) fn of_node(node: &OnnxNode, kind: Kind, directions: usize) -> Result<Vec<Vec<Activation>>, Refusal> {
    let defaults = kind.default_activations();
    let names: Vec<String> = match node.attribute("activations") {
        None => defaults.iter().cycle().take(defaults.len() * directions).map(|s| s.to_string()).collect(),
        Some(Attribute::Strings(names)) if names.len() == defaults.len() * directions => names.clone(),
        Some(_) => {
            return Err(Refusal::new(
                format!("it does not have {} activations for each direction", defaults.len()),
                "check the file with onnx.checker",
            ));
        }
    };
    let numbers = |name: &str| match node.attribute(name) {
        None => Ok(Vec::new()),
        Some(Attribute::Floats(values)) => Ok(values.clone()),
        Some(_) => {
            Err(Refusal::new(format!("attribute '{name}' is not a list of floats"), "check the file with onnx.checker"))
        }
    };
    let (mut alphas, mut betas) = (numbers("activation_alpha")?.into_iter(), numbers("activation_beta")?.into_iter());
    let all: Vec<Activation> =
        names.iter().map(|name| activation(name, &mut alphas, &mut betas)).collect::<Result<_, _>>()?;
    Ok(all.chunks(defaults.len()).map(<[Activation]>::to_vec).collect())
}

/// An activation by its name; it takes the next of the numbers that it has.
fn activation(
    name: &str,
    alphas: &mut impl Iterator<Item = f32>,
    betas: &mut impl Iterator<Item = f32>,
) -> Result<Activation, Refusal> {
    let clamp = |min: f32| Unary::Clamp(Clamp { min: Some(min), max: None });
    let needed = |value: Option<f32>| {
        value.ok_or_else(|| {
            Refusal::new(format!("activation {name} has no activation_alpha or activation_beta"), "give both lists")
        })
    };
    let steps = match &*name.to_ascii_lowercase() {
        "relu" => vec![Step::Unary(clamp(0.0))],
        "tanh" => vec![Step::Unary(Unary::Tanh)],
        "sigmoid" => vec![Step::Unary(Unary::Sigmoid)],
        "affine" => {
            let (alpha, beta) = (needed(alphas.next())?, needed(betas.next())?);
            vec![Step::Constant(Binary::Mul, alpha), Step::Constant(Binary::Add, beta)]
        }
        "scaledtanh" => {
            let (alpha, beta) = (needed(alphas.next())?, needed(betas.next())?);
            vec![Step::Constant(Binary::Mul, beta), Step::Unary(Unary::Tanh), Step::Constant(Binary::Mul, alpha)]
        }
        "leakyrelu" => vec![Step::Unary(Unary::LeakyRelu { slope: alphas.next().unwrap_or(0.01) })],
        "thresholdedrelu" => {
            vec![Step::Unary(Unary::ThresholdedRelu { threshold: alphas.next().unwrap_or(1.0) })]
        }
        "elu" => vec![Step::Unary(Unary::Elu { alpha: alphas.next().unwrap_or(1.0) })],
        "hardsigmoid" => {
            let (slope, offset) = (alphas.next().unwrap_or(0.2), betas.next().unwrap_or(0.5));
            vec![Step::Unary(Unary::HardSigmoid { slope, offset })]
        }
        "softsign" => vec![Step::Unary(Unary::Softsign)],
        "softplus" => vec![Step::Unary(Unary::Softplus)],
        _ => {
            return Err(Refusal::new(format!("activation {name} is not known"), "use Sigmoid, Tanh or Relu"));
        }
    };
    Ok(Activation(steps))
}
