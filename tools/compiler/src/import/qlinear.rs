//! Operators that compute on quantized tensors, as DequantizeLinear, the float operator, and QuantizeLinear.
//!
//! `QLinear…` of the standard and of `com.microsoft` say the same as QDQ form with fewer nodes; one form is enough for
//! everything behind. Constants among the operands are folded like any other.

use std::collections::HashMap;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Replaces every such node.
pub(super) fn to_qdq(graph: &mut GraphProto) {
    let ranks = ranks(graph);
    let sizes: HashMap<String, i64> =
        graph.initializer.iter().map(|t| (t.name.clone(), t.dims.iter().product())).collect();
    for node in std::mem::take(&mut graph.node) {
        let mut rewriting = Rewriting { ranks: &ranks, sizes: &sizes, node: &node, nodes: Vec::new() };
        match rewriting.rewrite() {
            Some(()) => graph.node.extend(rewriting.nodes),
            None => graph.node.push(standard(node)),
        }
    }
}

/// QuantizeLinear and DequantizeLinear of `com.microsoft` mean what the standard's do.
fn standard(mut node: NodeProto) -> NodeProto {
    if node.domain == MICROSOFT && ["QuantizeLinear", "DequantizeLinear"].contains(&&*node.op_type) {
        node.domain.clear();
    }
    node
}

/// Ranks of the tensors that the file says something about.
fn ranks(graph: &GraphProto) -> HashMap<String, usize> {
    let stated = graph.input.iter().chain(&graph.value_info).chain(&graph.output).filter_map(|info| {
        let TypeValue::TensorType(ty) = info.r#type.as_ref()?.value.as_ref()?;
        Some((info.name.clone(), ty.shape.as_ref()?.dim.len()))
    });
    stated.chain(graph.initializer.iter().map(|t| (t.name.clone(), t.dims.len()))).collect()
}

struct Rewriting<'a> {
    /// Ranks of constants and of tensors whose shape the file states.
    ranks: &'a HashMap<String, usize>,
    /// Numbers of elements of constants.
    sizes: &'a HashMap<String, i64>,
    node: &'a NodeProto,
    nodes: Vec<NodeProto>,
}

impl Rewriting<'_> {
    /// `None` for other operators, and for forms that we do not know: those stay and are reported.
    fn rewrite(&mut self) -> Option<()> {
        let node = self.node;
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        if !standard && node.domain != MICROSOFT {
            return None;
        }
        match (standard, &*node.op_type) {
            (_, "QLinearConv") => {
                let x = self.dequantize(0, None)?;
                let w = self.dequantize(3, Some(0))?;
                let mut inputs = vec![x, w];
                if !self.input(8).is_empty() {
                    inputs.push(self.bias(8, 1, 4, 0));
                }
                self.operate_on_maps("Conv", inputs, self.ranks.get(self.input(3)).copied(), (6, 7))
            }
            (true, "QLinearMatMul") => {
                let a = self.dequantize(0, None)?;
                // Scales of a right side belong to its columns.
                let rank = self.ranks.get(self.input(3)).copied();
                let b = self.dequantize(3, rank.map(|r| r as i64 - 1))?;
                self.operate("MatMul", vec![a, b], Vec::new(), (6, 7))
            }
            (false, "QLinearAdd" | "QLinearMul") => {
                let (a, b) = (self.dequantize(0, None)?, self.dequantize(3, None)?);
                self.operate(node.op_type.strip_prefix("QLinear")?, vec![a, b], Vec::new(), (6, 7))
            }
            (false, "QLinearWhere") => {
                let (a, b) = (self.dequantize(1, None)?, self.dequantize(4, None)?);
                self.operate("Where", vec![self.input(0).to_string(), a, b], Vec::new(), (7, 8))
            }
            (false, "QLinearSoftmax") if !self.is_over_one_axis() => None,
            (false, "QLinearSigmoid" | "QLinearLeakyRelu" | "QLinearSoftmax") => {
                let x = self.dequantize(0, None)?;
                let known = |a: &&AttributeProto| ["alpha", "axis"].contains(&&*a.name);
                let attributes = node.attribute.iter().filter(known).cloned().collect();
                self.operate(node.op_type.strip_prefix("QLinear")?, vec![x], attributes, (3, 4))
            }
            (false, "QLinearAveragePool" | "QLinearGlobalAveragePool") => {
                let x = self.dequantize(0, None)?;
                let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape").map(|a| a.ints.len() + 2);
                let rank = kernel.or(self.ranks.get(self.input(0)).copied());
                self.operate_on_maps(node.op_type.strip_prefix("QLinear")?, vec![x], rank, (3, 4))
            }
            (false, "QLinearConcat") => {
                let n = node.input.len().checked_sub(2)? / 3;
                let inputs = (0..n).map(|i| self.dequantize(2 + 3 * i, None)).collect::<Option<_>>()?;
                self.operate("Concat", inputs, node.attribute.clone(), (0, 1))
            }
            (false, "QGemm") => {
                let transposed = self.int("transB") != 0;
                let a = self.dequantize(0, None)?;
                let b = self.dequantize(3, Some(if transposed { 0 } else { 1 }))?;
                let mut inputs = vec![a, b];
                let mut attributes = node.attribute.clone();
                if !self.input(6).is_empty() {
                    // The steps of the bias are those of the accumulator, before alpha.
                    let columns = self.ranks.get(self.input(6)).map_or(0, |r| r.saturating_sub(1) as i64);
                    inputs.push(self.bias(6, 1, 4, columns));
                    let alpha = attributes.iter().find(|a| a.name == "alpha").cloned();
                    attributes.extend(alpha.map(|alpha| AttributeProto { name: "beta".into(), ..alpha }));
                }
                if self.input(7).is_empty() {
                    self.push("Gemm", "product", inputs, attributes)?;
                    self.nodes.last_mut()?.output.clone_from(&node.output);
                    return Some(());
                }
                self.operate("Gemm", inputs, attributes, (7, 8))
            }
            (false, "MatMulIntegerToFloat") => {
                let a = self.dequantize_with([0, 2, 4], None)?;
                let columns = self.ranks.get(self.input(1)).map(|&r| r as i64 - 1);
                let b = self.dequantize_with([1, 3, 5], columns)?;
                self.product(a, b, 6)
            }
            // The image is quantized statically, with calibration, or not at all.
            (false, "DynamicQuantizeMatMul") => {
                let columns = self.ranks.get(self.input(1)).map(|&r| r as i64 - 1);
                let b = self.dequantize_with([1, 2, 3], columns)?;
                self.product(self.input(0).to_string(), b, 4)
            }
            _ => None,
        }
    }

    /// A product of real numbers, and a real bias if operand `bias` is there.
    fn product(&mut self, a: String, b: String, bias: usize) -> Option<()> {
        let y = self.push("MatMul", "product", vec![a, b], Vec::new())?;
        if !self.input(bias).is_empty() {
            self.push("Add", "sum", vec![y, self.input(bias).to_string()], Vec::new())?;
        }
        self.nodes.last_mut()?.output.clone_from(&self.node.output);
        Some(())
    }

    /// Whether Softmax works on one axis: before operator set 13 it did so on all axes from one on.
    fn is_over_one_axis(&self) -> bool {
        let stated = |name: &str| self.node.attribute.iter().find(|a| a.name == name).map(|a| a.i);
        let axis = stated("axis").unwrap_or(-1);
        let last = self.ranks.get(self.input(0)).map(|&rank| rank as i64 - 1);
        stated("opset").is_none_or(|opset| opset >= 13) || axis == -1 || last == Some(axis)
    }

    /// [`Rewriting::operate`] with channels where the node says that they are.
    fn operate_on_maps(
        &mut self,
        op_type: &str,
        mut inputs: Vec<String>,
        rank: Option<usize>,
        (scale, zero_point): (usize, usize),
    ) -> Option<()> {
        let is_layout = |a: &&AttributeProto| a.name == "channels_last";
        let attributes = self.node.attribute.iter().filter(|a| !is_layout(a)).cloned().collect();
        if self.int("channels_last") == 0 {
            return self.operate(op_type, inputs, attributes, (scale, zero_point));
        }
        let rank = rank.filter(|&rank| rank >= 3)? as i64;
        let first: Vec<i64> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        let last = [0].into_iter().chain(2..rank).chain([1]).collect();
        inputs[0] = self.push("Transpose", "channels_first", vec![inputs[0].clone()], vec![integers("perm", first)])?;
        let y = self.push(op_type, "maps", inputs, attributes)?;
        self.operate("Transpose", vec![y], vec![integers("perm", last)], (scale, zero_point))
    }

    fn input(&self, i: usize) -> &str {
        self.node.input.get(i).map_or("", |name| name)
    }

    fn int(&self, name: &str) -> i64 {
        self.node.attribute.iter().find(|a| a.name == name).map_or(0, |a| a.i)
    }

    /// The real values of operand `i`, whose scale and zero point follow it. Scales along an axis belong to `axis`.
    fn dequantize(&mut self, i: usize, axis: Option<i64>) -> Option<String> {
        self.node.input.get(i + 2)?;
        self.dequantize_with([i, i + 1, i + 2], axis)
    }

    /// The real values of operand `[i, ..]`; the others are its scale and its zero point, which may be absent.
    fn dequantize_with(&mut self, operands: [usize; 3], axis: Option<i64>) -> Option<String> {
        let [i, ..] = operands;
        let mut inputs: Vec<String> = operands.iter().map(|&i| self.input(i).to_string()).collect();
        inputs.truncate(if inputs[2].is_empty() { 2 } else { 3 });
        let several = self.sizes.get(&inputs[1]).is_some_and(|&n| n > 1);
        let attributes = axis.filter(|_| several).map(|axis| integer("axis", axis)).into_iter().collect();
        self.push("DequantizeLinear", &format!("real_{i}"), inputs, attributes)
    }

    /// The real values of an int32 bias: its steps are the products of the scales of operand and weights.
    fn bias(&mut self, i: usize, x_scale: usize, w_scale: usize, axis: i64) -> String {
        let (bias, scales) =
            (self.input(i).to_string(), [self.input(x_scale), self.input(w_scale)].map(str::to_string));
        let several = self.sizes.get(&scales[1]).is_some_and(|&n| n > 1);
        let scale = self.push("Mul", "bias_scale", scales.to_vec(), Vec::new()).unwrap_or_default();
        let attributes = if several { vec![integer("axis", axis)] } else { Vec::new() };
        self.push("DequantizeLinear", "bias", vec![bias, scale], attributes).unwrap_or_default()
    }

    /// The operator on real values, and its result quantized with the node's inputs `scale` and `zero_point`.
    fn operate(
        &mut self,
        op_type: &str,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
        (scale, zero_point): (usize, usize),
    ) -> Option<()> {
        let y = self.push(op_type, "real", inputs, attributes)?;
        let mut quantize = vec![y, self.input(scale).to_string()];
        quantize.extend(Some(self.input(zero_point).to_string()).filter(|z| !z.is_empty()));
        self.push("QuantizeLinear", "quantized", quantize, Vec::new())?;
        let last = self.nodes.last_mut()?;
        last.output.clone_from(&self.node.output);
        last.name.clone_from(&self.node.name);
        Some(())
    }

    fn push(
        &mut self,
        op_type: &str,
        suffix: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) -> Option<String> {
        let name = format!("{}/{suffix}", self.node.output.first()?);
        self.nodes.push(NodeProto {
            op_type: op_type.into(),
            name: name.clone(),
            input,
            output: vec![name.clone()],
            attribute,
            ..NodeProto::default()
        });
        Some(name)
    }
}

fn integers(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}

fn integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

/// Products of constant scales, which biases are dequantized with, become constants: dequantization of constants reads
/// no nodes.
pub(super) fn fold_scales(graph: &mut GraphProto) {
    let mut scales: HashMap<String, Vec<f32>> = HashMap::new();
    for proto in graph.initializer.iter().filter(|t| t.data_type == DataType::Float as i32) {
        if let Ok(Some(array)) = super::tensor::array(proto)
            && let Some(values) = array.as_f32()
        {
            scales.insert(proto.name.clone(), values.to_vec());
        }
    }
    let mut products = Vec::new();
    graph.node.retain(|node| {
        let (true, [a, b]) = (node.name.ends_with("/bias_scale"), &node.input[..]) else { return true };
        let (Some(a), Some(b)) = (scales.get(a), scales.get(b)) else { return true };
        let &[a] = &a[..] else { return true };
        let values: Vec<f32> = b.iter().map(|b| a * b).collect();
        products.push(TensorProto {
            name: node.output[0].clone(),
            dims: if values.len() == 1 { Vec::new() } else { vec![values.len() as i64] },
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        });
        false
    });
    graph.initializer.extend(products);
}

const MICROSOFT: &str = "com.microsoft";
