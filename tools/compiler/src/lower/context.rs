//! What lowering a node works with: the graph under construction and typed access to the ONNX node.

use super::quantized::OnGrid;
use super::{Refusal, Unsupported, fold, quantized, steps};
use crate::array::{Array, ArrayData};
use crate::graph::{Constant, Graph, Grid, Move, Node, Operator, Origin, Port, Quantization, Tensor, TensorId};
use crate::import::{Attribute, Fact, Imported, Interface, OnnxNode};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tinfer::tensor::ElementType;

/// A float32 constant.
pub struct Weights(Arc<Array>);

impl Weights {
    /// Dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Elements, row-major.
    pub fn values(&self) -> &[f32] {
        self.0.as_f32().unwrap_or(&[])
    }
}

/// A graph under construction.
pub struct Lowering<'a> {
    /// The model.
    pub imported: &'a Imported,
    graph: Graph,
    /// Tensors of this graph that hold an ONNX tensor in the file's layout.
    tensors: HashMap<String, TensorId>,
    /// What the integers of quantized activations stand for.
    grids: HashMap<String, Grid>,
    /// Tensors of this graph that hold the integers of an ONNX tensor.
    integers: HashMap<String, TensorId>,
    /// ONNX tensors that were not lowered because something refused.
    abandoned: HashSet<String>,
    /// ONNX tensors that lead to an output and whose values are not known already.
    needed: HashSet<&'a str>,
}

impl<'a> Lowering<'a> {
    /// Starts with the graph inputs.
    pub fn new(imported: &'a Imported) -> Self {
        let mut needed: HashSet<&str> = imported.outputs.iter().map(|o| &*o.name).collect();
        for node in imported.nodes.iter().rev() {
            let wanted = node.outputs.iter().any(|o| needed.contains(&**o) && imported.value(o).is_none());
            if wanted {
                needed.extend(node.inputs.iter().map(|i| &**i));
            }
        }
        let graph = Graph { name: imported.name.clone(), ..Graph::default() };
        let (tensors, grids) = (HashMap::new(), quantized::grids(imported));
        let (integers, abandoned) = (HashMap::new(), HashSet::new());
        let mut lowering = Lowering { imported, graph, tensors, grids, integers, abandoned, needed };
        for input in &imported.inputs {
            let id = lowering.tensor(&input.name, input.shape.clone(), Some(Origin::whole(&input.name, &input.shape)));
            let tensor = lowering.graph.tensor_mut(id);
            match lowering.grids.get(&input.name) {
                Some(&grid) => tensor.quantization = Some(grid.into()),
                None => tensor.element_type = input.element_type.unwrap_or(ElementType::F32),
            }
            lowering.tensors.insert(input.name.clone(), id);
            lowering.graph.inputs.push(port(input, id));
        }
        lowering
    }

    /// Whether some output depends on a result of the node that is not a known constant.
    pub fn is_needed(&self, node: &OnnxNode) -> bool {
        node.outputs.iter().any(|o| self.needed.contains(&**o) && self.imported.value(o).is_none())
    }

    /// Gives up on the results of a node.
    pub fn abandon(&mut self, node: &OnnxNode) {
        self.abandoned.extend(node.outputs.iter().filter(|o| !o.is_empty()).cloned());
    }

    /// Whether this tensor depends on something refused so that nothing is known of it.
    pub fn is_abandoned(&self, tensor: &str) -> bool {
        self.abandoned.contains(tensor) && !self.imported.facts.contains_key(tensor)
    }

    /// Adds the graph outputs; an output that cannot be had is returned beside the graph.
    pub fn finish(mut self) -> (Graph, Option<Unsupported>) {
        for output in &self.imported.outputs {
            match self.operand(&output.name) {
                Ok(id) => {
                    let id = self.written(id);
                    let mut port = port(output, id);
                    let tensor = self.graph.tensor(id);
                    if output.element_type.is_none() || output.shape.is_empty() {
                        // Shape inference did not get there.
                        port.shape.clone_from(&tensor.shape);
                        port.permutation = (0..tensor.shape.len()).collect();
                        port.batched = output.batched && tensor.shape.first() == Some(&1);
                        port.element_type = tensor.element_type;
                    } else if is_another_shape(&output.shape, &tensor.shape) {
                        // Shape inference is tract's, and as wrong as tract where it computes an operator otherwise.
                        port.shape.clone_from(&tensor.shape);
                    }
                    self.graph.outputs.push(port);
                }
                Err(Refusal { reason, suggestion }) => {
                    let (node, operator) = (output.name.clone(), "graph output".into());
                    return (
                        self.graph,
                        Some(Unsupported { node, operator, opset: self.imported.opset, reason, suggestion }),
                    );
                }
            }
        }
        self.graph.compact();
        (self.graph, None)
    }

    /// What a port may hold: a constant is copied to memory by a step.
    fn written(&mut self, id: TensorId) -> TensorId {
        let tensor = self.graph.tensor(id).clone();
        if tensor.constant.is_none() {
            return id;
        }
        let n_axes = tensor.shape.len();
        let name = format!("{}/written", tensor.name);
        let copy = self.graph.add_tensor(Tensor { name: name.clone(), constant: None, quantization: None, ..tensor });
        let whole = Move::Slice { starts: vec![0; n_axes], steps: vec![1; n_axes] };
        self.push(name, "Identity", Operator::Move(whole), vec![id], copy);
        copy
    }

    /// The tensor that holds an ONNX tensor; a known value becomes a constant.
    pub fn operand(&mut self, name: &str) -> Result<TensorId, Refusal> {
        if self.imported.inputs.iter().any(|i| i.name == name && i.element_type.is_none()) {
            return Err(element_type_refusal(name, "of a kind that no image has"));
        }
        if let Some(&id) = self.tensors.get(name) {
            return Ok(id);
        }
        let fact = self.fact(name)?.clone();
        let own = fact.value.as_ref().zip(self.grid_of(name));
        let id = match fact.value {
            Some(_) if let Some((values, grid)) = own.and_then(|(v, g)| quantized::real_values(v, g).zip(Some(g))) => {
                let id = self.graph.add_constant(name, fact.shape, Constant::F32(values));
                self.graph.tensor_mut(id).quantization = Some(grid.into());
                id
            }
            Some(value) => {
                let constant = Constant::from_data(value.data.clone())
                    .ok_or_else(|| element_type_refusal(name, value.data.type_name()))?;
                let id = self.graph.add_constant(name, fact.shape, constant);
                self.graph.tensor_mut(id).quantization = self.imported.quantizations.get(name).cloned();
                id
            }
            // The result of a refused node: a stand-in, so that the nodes behind it are judged too.
            None if self.abandoned.contains(name) => {
                self.typed_tensor(name, fact.shape, fact.element_type.unwrap_or(ElementType::F32))
            }
            None => {
                return Err(Refusal::new(
                    format!("tensor '{name}' is not computed before it is read"),
                    "export the model again",
                ));
            }
        };
        self.tensors.insert(name.to_string(), id);
        Ok(id)
    }

    /// The tensor that holds a node's input `i`, which must be float32 unless the node takes quantized tensors too.
    pub fn input(&mut self, node: &OnnxNode, i: usize) -> Result<TensorId, Refusal> {
        let name = self.input_name(node, i).ok_or_else(|| missing_input(i))?;
        let element_type = match self.tensors.get(&name) {
            Some(&id) if !self.grids.contains_key(&name) => Some(self.element_type(id)),
            _ => self.fact(&name)?.element_type,
        };
        let takes_grid = OnGrid::of(node) != OnGrid::Computes && self.grid_of(&name).is_some();
        if element_type != Some(ElementType::F32) && !takes_grid {
            return Err(element_type_refusal(&name, element_type.map_or("of another kind", ElementType::name)));
        }
        self.operand(&name)
    }

    /// What the integers of a quantized activation stand for that is held as real values. A tensor that is held as plain
    /// integers has none, whatever reads it.
    pub fn grid_of(&self, name: &str) -> Option<Grid> {
        if self.holds_integers(name) { None } else { self.grids.get(name).copied() }
    }

    /// Whether an ONNX tensor was computed already, as plain integers.
    pub fn holds_integers(&self, name: &str) -> bool {
        self.tensors.get(name).is_some_and(|&id| self.element_type(id) != ElementType::F32)
    }

    /// The tensor that holds the integers of an ONNX tensor as they are in the file.
    pub fn integers(&mut self, name: &str) -> Result<TensorId, Refusal> {
        if let Some(&id) = self.integers.get(name) {
            return Ok(id);
        }
        let Some((grid, zero_step)) = self.grid_of(name).zip(self.zero_step(name)) else { return self.operand(name) };
        let known = self.value(name).and_then(|value| Constant::from_data(value.data.clone()));
        let id = match known {
            Some(constant) => {
                let shape = self.shape(name)?;
                self.graph.add_constant(&format!("{name}_integers"), shape, constant)
            }
            None => {
                let x = self.operand(name)?;
                let element_type = self.fact(name)?.element_type.unwrap_or(ElementType::I8);
                let first = self.n_nodes();
                let id = steps::integers(self, name, x, (grid, zero_step), element_type);
                self.fold(first);
                id
            }
        };
        self.integers.insert(name.to_string(), id);
        Ok(id)
    }

    /// The tensor of the graph that holds an ONNX tensor.
    pub fn bound(&self, name: &str) -> Option<TensorId> {
        self.tensors.get(name).copied()
    }

    /// The integer 0 of a quantized ONNX tensor as a step of int8.
    pub fn zero_step(&self, name: &str) -> Option<i32> {
        match self.imported.facts.get(name)?.element_type? {
            ElementType::I8 => Some(0),
            ElementType::U8 => Some(-128),
            _ => None,
        }
    }

    /// Says what a constant was quantized with.
    pub fn set_quantization(&mut self, id: TensorId, quantization: Option<Quantization>) {
        self.graph.tensor_mut(id).quantization = quantization;
    }

    /// What a constant was quantized with.
    pub fn quantization_of(&self, id: TensorId) -> Option<&Quantization> {
        self.graph.tensor(id).quantization.as_ref()
    }

    /// Name of input `i` if it is there.
    pub fn input_name(&self, node: &OnnxNode, i: usize) -> Option<String> {
        node.inputs.get(i).filter(|n| !n.is_empty()).cloned()
    }

    /// Whether the elements of a tensor of the graph are known.
    pub fn is_known(&self, id: TensorId) -> bool {
        self.graph.tensor(id).constant.is_some()
    }

    /// The element type of a tensor of the graph.
    pub fn element_type(&self, id: TensorId) -> ElementType {
        self.graph.tensor(id).element_type
    }

    /// The tensor that holds a node's input `i`, of whatever element type.
    pub fn any_input(&mut self, node: &OnnxNode, i: usize) -> Result<TensorId, Refusal> {
        self.optional_input(node, i)?.ok_or_else(|| missing_input(i))
    }

    /// As [`Lowering::any_input`]; `Ok(None)` when the input is absent.
    pub fn optional_input(&mut self, node: &OnnxNode, i: usize) -> Result<Option<TensorId>, Refusal> {
        let Some(name) = self.input_name(node, i) else { return Ok(None) };
        match OnGrid::of(node) {
            OnGrid::Computes => self.integers(&name).map(Some),
            _ => self.operand(&name).map(Some),
        }
    }

    /// Known elements of input `i`: `Ok(None)` if the input is absent.
    ///
    /// # Errors
    /// When the input depends on a graph input.
    pub fn known(&self, node: &OnnxNode, i: usize) -> Result<Option<Arc<Array>>, Refusal> {
        let Some(name) = self.input_name(node, i) else { return Ok(None) };
        match self.value(&name) {
            Some(value) => Ok(Some(value)),
            None => Err(Refusal::new(
                format!("its input '{name}' is computed at run time, it must be a constant"),
                "export the model with fixed weights and shapes",
            )),
        }
    }

    /// Known float32 elements of input `i` and their shape.
    pub fn known_f32(&self, node: &OnnxNode, i: usize) -> Result<Option<Weights>, Refusal> {
        let Some(array) = self.known(node, i)? else { return Ok(None) };
        match array.data.element_type() {
            Some(ElementType::F32) => Ok(Some(Weights(array))),
            _ => Err(element_type_refusal(&node.inputs[i], array.data.type_name())),
        }
    }

    /// Known integers of input `i`.
    pub fn known_ints(&self, node: &OnnxNode, i: usize) -> Result<Option<Vec<i64>>, Refusal> {
        let Some(array) = self.known(node, i)? else { return Ok(None) };
        match array.convert(ElementType::I64).map(|a| a.data) {
            Some(ArrayData::I64(values)) => Ok(Some(values)),
            _ => Err(Refusal::new(
                format!("its input '{}' is {}, it must be integers", node.inputs[i], array.data.type_name()),
                "check the file with onnx.checker",
            )),
        }
    }

    /// The elements of an ONNX tensor that depends on no input: the file's own, or found by folding.
    pub fn value(&self, name: &str) -> Option<Arc<Array>> {
        if let Some(value) = self.imported.value(name) {
            return Some(Arc::clone(value));
        }
        let tensor = self.graph.tensor(*self.tensors.get(name)?);
        let constant = tensor.constant.as_ref().filter(|_| tensor.quantization.is_none())?;
        Some(Arc::new(constant.to_array(&tensor.shape)))
    }

    /// The shape that the file itself declares for a tensor: a graph output, or one between nodes.
    pub fn declared(&self, name: &str) -> Option<&'a [usize]> {
        self.imported.declared.get(name).map(|d| &*d.shape)
    }

    /// [`Lowering::declared`] of the node's output `slot`.
    ///
    /// # Errors
    /// When the file declares none: `what` is the input that would be needed instead.
    pub fn declared_output(&self, node: &OnnxNode, slot: usize, what: &str) -> Result<Vec<usize>, Refusal> {
        let declared = node.outputs.get(slot).and_then(|name| self.declared(name));
        declared.map(<[usize]>::to_vec).ok_or_else(|| {
            Refusal::new(
                format!("its {what} is computed at run time, and the file does not say the shape of the result"),
                format!("make the {what} a constant"),
            )
        })
    }

    /// Whether the elements of input `i` are known.
    pub fn is_constant(&self, node: &OnnxNode, i: usize) -> bool {
        self.input_name(node, i).is_some_and(|n| self.value(&n).is_some())
    }

    /// Shape of an ONNX tensor.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, Refusal> {
        match self.tensors.get(name) {
            Some(&id) => Ok(self.shape_of(id).to_vec()),
            None => Ok(self.fact(name)?.shape.clone()),
        }
    }

    fn fact(&self, name: &str) -> Result<&'a Fact, Refusal> {
        let why = || self.imported.shape_problem.as_deref().unwrap_or("shape inference does not get there");
        self.imported.facts.get(name).ok_or_else(|| {
            Refusal::new(
                format!("the shape of tensor '{name}' is not known: {}", why()),
                "fix the model's dimensions with --dim NAME=N",
            )
        })
    }

    /// Adds a float32 tensor.
    pub fn tensor(&mut self, name: &str, shape: Vec<usize>, origin: Option<Origin>) -> TensorId {
        let name = name.to_string();
        self.graph.add_tensor(Tensor {
            name,
            shape,
            element_type: ElementType::F32,
            constant: None,
            quantization: None,
            origin,
        })
    }

    /// Adds a tensor of any element type.
    pub fn typed_tensor(&mut self, name: &str, shape: Vec<usize>, element_type: ElementType) -> TensorId {
        let id = self.tensor(name, shape, None);
        self.graph.tensor_mut(id).element_type = element_type;
        id
    }

    /// Adds a float32 constant.
    pub fn constant(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) -> TensorId {
        self.graph.add_constant(name, shape, Constant::F32(values))
    }

    /// Shape of a tensor of the graph.
    pub fn shape_of(&self, id: TensorId) -> &[usize] {
        &self.graph.tensor(id).shape
    }

    /// Adds a node with one result.
    pub fn push(&mut self, name: String, onnx: &str, operator: Operator, inputs: Vec<TensorId>, output: TensorId) {
        self.graph.nodes.push(Node { name, onnx: onnx.to_string(), operator, inputs, outputs: vec![output] });
    }

    /// Adds the node that computes the ONNX node's output `slot` in the file's own layout, and nothing else.
    ///
    /// # Shapes
    /// `shape` is that of the result, of element type `element_type`.
    pub fn push_output(
        &mut self,
        node: &OnnxNode,
        slot: usize,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: Vec<usize>,
        element_type: ElementType,
    ) -> TensorId {
        let output = self.output_tensor(node, slot, shape, element_type);
        let name = if slot == 0 { node.name.clone() } else { format!("{}/{slot}", node.name) };
        self.push(name, &node.operator, operator, inputs, output);
        output
    }

    fn output_tensor(
        &mut self,
        node: &OnnxNode,
        slot: usize,
        shape: Vec<usize>,
        element_type: ElementType,
    ) -> TensorId {
        match node.outputs.get(slot).filter(|name| !name.is_empty()) {
            Some(name) => {
                let id = self.tensor(name, shape.clone(), Some(Origin::whole(name, &shape)));
                self.graph.tensor_mut(id).element_type = element_type;
                self.tensors.insert(name.clone(), id);
                id
            }
            None => {
                let id = self.tensor(&format!("{}/result_{slot}", node.name), shape, None);
                self.graph.tensor_mut(id).element_type = element_type;
                id
            }
        }
    }

    /// Says that the ONNX node's output `slot` is held by this tensor.
    pub fn bind_output(&mut self, node: &OnnxNode, slot: usize, id: TensorId) {
        if let Some(name) = node.outputs.get(slot).filter(|name| !name.is_empty()) {
            self.tensors.insert(name.clone(), id);
        }
    }

    /// Whether somebody reads the node's output `slot`.
    pub fn is_wanted(&self, node: &OnnxNode, slot: usize) -> bool {
        node.outputs.get(slot).is_some_and(|name| !name.is_empty() && self.needed.contains(&**name))
    }

    /// As `x`, but a run stops with an error unless the node's input `i`, which is known at run time only, has exactly
    /// these elements.
    ///
    /// # Errors
    /// When the input is known and has others.
    pub fn require(&mut self, node: &OnnxNode, i: usize, expected: Constant, x: TensorId) -> Result<TensorId, Refusal> {
        let name = self.input_name(node, i).ok_or_else(|| missing_input(i))?;
        if let Some(value) = self.value(&name) {
            return match Constant::from_data(value.data.clone()) == Some(expected) {
                true => Ok(x),
                false => Err(Refusal::new(
                    format!("its input '{name}' contradicts the shapes that the file declares"),
                    "check the file with onnx.checker",
                )),
            };
        }
        let given = self.operand(&name)?;
        let shape = self.shape_of(given).to_vec();
        let expected = self.graph.add_constant(&format!("{name}_expected"), shape, expected);
        let (shape, element_type) = (self.shape_of(x).to_vec(), self.element_type(x));
        Ok(self.push_typed_step(
            node,
            &format!("require_{i}"),
            Operator::Require,
            vec![x, given, expected],
            shape,
            element_type,
        ))
    }

    /// Adds an auxiliary node with a result of this element type.
    pub fn push_typed_step(
        &mut self,
        node: &OnnxNode,
        step: &str,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: Vec<usize>,
        element_type: ElementType,
    ) -> TensorId {
        let output = self.push_step(node, step, operator, inputs, shape);
        self.graph.tensor_mut(output).element_type = element_type;
        output
    }

    /// Adds a constant of any element type.
    pub fn typed_constant(&mut self, name: &str, shape: Vec<usize>, constant: Constant) -> TensorId {
        self.graph.add_constant(name, shape, constant)
    }

    /// Number of nodes so far.
    pub fn n_nodes(&self) -> usize {
        self.graph.nodes.len()
    }

    /// Computes every node from number `first` on whose operands are all known.
    pub fn fold(&mut self, first: usize) {
        fold::constants(&mut self.graph, first);
    }

    /// Adds an auxiliary node in front of or behind the main one.
    pub fn push_step(
        &mut self,
        node: &OnnxNode,
        step: &str,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: Vec<usize>,
    ) -> TensorId {
        let name = format!("{}/{step}", node.name);
        let output = self.tensor(&name, shape, None);
        self.push(name, &node.operator, operator, inputs, output);
        output
    }

    /// A feature map `[N, C, L]` or `[N, C, H, W]` as NHWC.
    pub fn push_to_nhwc(&mut self, node: &OnnxNode, x: TensorId) -> Result<TensorId, Refusal> {
        let shape = self.shape_of(x).to_vec();
        let permutation = feature_map_permutation(shape.len())?;
        let moved: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
        let x = self.push_step(node, "to_nhwc", Operator::Transpose { permutation }, vec![x], moved.clone());
        if let [n, l, c] = moved[..] {
            return Ok(self.push_step(node, "to_4d", Operator::Reshape, vec![x], vec![n, 1, l, c]));
        }
        Ok(x)
    }

    /// Adds the node that computes the ONNX node's first result in NHWC, and its way back.
    ///
    /// # Shapes
    /// `shape` is that of the result in the file's layout.
    pub fn push_nhwc(
        &mut self,
        node: &OnnxNode,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: &[usize],
    ) -> Result<(), Refusal> {
        let (name, shape) = (node.outputs.first().cloned().unwrap_or_default(), shape.to_vec());
        let permutation = feature_map_permutation(shape.len())?;
        let moved: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
        let nhwc = if let [n, l, c] = moved[..] { vec![n, 1, l, c] } else { moved.clone() };
        let origin = Origin { permutation, ..Origin::whole(&name, &shape) };
        let y = self.tensor(&format!("{name}_nhwc"), nhwc, Some(origin));
        self.push(node.name.clone(), &node.operator, operator, inputs, y);
        let back = if shape.len() == 3 { vec![0, 2, 1] } else { vec![0, 3, 1, 2] };
        let y = if shape.len() == 3 { self.push_step(node, "to_3d", Operator::Reshape, vec![y], moved) } else { y };
        let output = self.tensor(&name, shape.clone(), Some(Origin::whole(&name, &shape)));
        self.push(
            format!("{}/to_nchw", node.name),
            &node.operator,
            Operator::Transpose { permutation: back },
            vec![y],
            output,
        );
        self.tensors.insert(name, output);
        Ok(())
    }

    /// Refuses attributes that lowering does not look at, and inputs without a known shape.
    pub fn check_known(&self, node: &OnnxNode, attributes: &[&str]) -> Result<(), Refusal> {
        match node.attributes.iter().find(|(name, _)| !attributes.contains(&&**name)) {
            Some((name, _)) => {
                Err(Refusal::new(format!("attribute '{name}' is not known"), "export the model without it"))
            }
            None => Ok(()),
        }
    }
}

/// An integer attribute.
pub fn int(node: &OnnxNode, name: &str, default: i64) -> Result<i64, Refusal> {
    match node.attribute(name) {
        None => Ok(default),
        Some(Attribute::Int(i)) => Ok(*i),
        Some(_) => Err(wrong_type(name, "an integer")),
    }
}

/// A real attribute.
pub fn float(node: &OnnxNode, name: &str, default: f32) -> Result<f32, Refusal> {
    match node.attribute(name) {
        None => Ok(default),
        Some(Attribute::Float(x)) => Ok(*x),
        Some(_) => Err(wrong_type(name, "a float")),
    }
}

/// A list of integers; `None` if the attribute is absent.
pub fn ints(node: &OnnxNode, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
    match node.attribute(name) {
        None => Ok(None),
        Some(Attribute::Ints(v)) => Ok(Some(v.clone())),
        Some(_) => Err(wrong_type(name, "a list of integers")),
    }
}

/// A text attribute.
pub fn text<'n>(node: &'n OnnxNode, name: &str, default: &'n str) -> Result<&'n str, Refusal> {
    match node.attribute(name) {
        None => Ok(default),
        Some(Attribute::String(s)) => Ok(s),
        Some(_) => Err(wrong_type(name, "a string")),
    }
}

/// An axis of a tensor of this rank, counted from the front.
pub fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_front).ok().filter(|&a| a < rank).ok_or_else(|| {
        Refusal::new(format!("axis {axis} is out of range for rank {rank}"), "check the file with onnx.checker")
    })
}

/// A refusal because of an element type.
pub fn element_type_refusal(tensor: &str, found: &str) -> Refusal {
    Refusal::new(
        format!("tensor '{tensor}' has element type {found}, which this operator does not take here"),
        "export the model in float32",
    )
}

/// Whether a tensor is not merely another view of what is declared.
fn is_another_shape(declared: &[usize], found: &[usize]) -> bool {
    declared != found
        && (declared.len() == found.len() || declared.iter().product::<usize>() != found.iter().product::<usize>())
}

fn missing_input(i: usize) -> Refusal {
    Refusal::new(format!("its input {i} is missing"), "check the file with onnx.checker")
}

fn wrong_type(name: &str, expected: &str) -> Refusal {
    Refusal::new(format!("attribute '{name}' is not {expected}"), "check the file with onnx.checker")
}

fn feature_map_permutation(rank: usize) -> Result<Vec<usize>, Refusal> {
    match rank {
        3 => Ok(vec![0, 2, 1]),
        4 => Ok(vec![0, 2, 3, 1]),
        _ => Err(Refusal::new(
            format!("its feature map has rank {rank}"),
            "one- and two-dimensional feature maps (rank 3 and 4) are supported",
        )),
    }
}

fn port(interface: &Interface, tensor: TensorId) -> Port {
    Port {
        name: interface.name.clone(),
        shape: interface.shape.clone(),
        batched: interface.batched,
        element_type: interface.element_type.unwrap_or(ElementType::F32),
        tensor,
        permutation: (0..interface.shape.len()).collect(),
    }
}
