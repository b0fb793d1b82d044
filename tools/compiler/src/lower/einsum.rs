//! Einsum of one or two operands: transposition, sums and one product of matrices.
//!
//! ```text
//! b h i d , b h j d -> b h i j        batch axes: in all three; summed: in both operands, not in the result;
//!                                     rows and columns: in one operand and the result
//! left [batch.., rows, summed] x right [batch.., summed, columns] -> [batch.., rows, columns] -> result
//! ```

use super::Refusal;
use super::context::{Lowering, text};
use super::matmul::broadcast;
use crate::graph::{Clamp, Constant, Operator, TensorId};
use crate::import::OnnxNode;
use std::collections::HashMap;
use tinfer::tensor::{ElementType, MAX_RANK};

/// One axis of an operand or the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Label {
    Letter(char),
    /// An axis that dots stand for, counted from the last of them.
    Dots(usize),
}

/// An operand and what its axes are called.
struct Term {
    tensor: TensorId,
    labels: Vec<Label>,
}

/// Sum of products over axes by their names.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let equation: String = text(node, "equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (operands, result) = match equation.split_once("->") {
        Some((operands, result)) => (operands, Some(result)),
        None => (&*equation, None),
    };
    let operands: Vec<&str> = operands.split(',').collect();
    if operands.len() != node.inputs.len() {
        return Err(misfit(&equation));
    }
    if operands.len() > 2 {
        return Err(Refusal::new(
            format!("'{equation}' has {} operands", operands.len()),
            "write it as several Einsum nodes of two operands",
        ));
    }
    let mut terms = Vec::new();
    for (i, names) in operands.iter().enumerate() {
        let tensor = lowering.input(node, i)?;
        let labels = labels(names, lowering.shape_of(tensor).len()).ok_or_else(|| misfit(&equation))?;
        if (1..labels.len()).any(|i| labels[..i].contains(&labels[i])) {
            return Err(Refusal::new(
                format!("'{equation}' takes a diagonal"),
                "take the diagonal with GatherElements or a mask",
            ));
        }
        terms.push(Term { tensor, labels });
    }
    let sizes = sizes(lowering, &terms).ok_or_else(|| misfit(&equation))?;
    let result = match result {
        Some(names) => {
            let n_dots = sizes.keys().filter(|l| matches!(l, Label::Dots(_))).count();
            let letters = names.replace("...", "").chars().count();
            let rank = letters + if names.contains("...") { n_dots } else { 0 };
            labels(names, rank).filter(|l| l.iter().all(|l| sizes.contains_key(l))).ok_or_else(|| misfit(&equation))?
        }
        None => implicit_result(&terms),
    };
    let lowered = Einsum { lowering, node, sizes, result };
    lowered.push(terms)
}

struct Einsum<'l, 'a> {
    lowering: &'l mut Lowering<'a>,
    node: &'l OnnxNode,
    sizes: HashMap<Label, usize>,
    result: Vec<Label>,
}

impl Einsum<'_, '_> {
    fn push(mut self, terms: Vec<Term>) -> Result<(), Refusal> {
        let mut terms = terms.into_iter();
        let (Some(left), right) = (terms.next(), terms.next()) else { return Err(misfit("")) };
        let others = right.as_ref().map_or(Vec::new(), |r| r.labels.clone());
        let left = self.summed(left, &others, "left")?;
        let product = match right {
            None => left,
            Some(right) => {
                let right = self.summed(right, &left.labels, "right")?;
                self.product(left, right)?
            }
        };
        let places: Option<Vec<usize>> =
            self.result.iter().map(|label| product.labels.iter().position(|l| l == label)).collect();
        let permutation = places.filter(|p| p.len() == product.labels.len()).ok_or_else(|| misfit(""))?;
        let shape: Vec<usize> = self.result.iter().map(|label| self.sizes[label]).collect();
        let own: Vec<usize> = product.labels.iter().map(|label| self.sizes[label]).collect();
        let in_order = permutation.iter().copied().eq(0..permutation.len());
        let named = self.lowering.shape_of(product.tensor) == own;
        let mut tensor = product.tensor;
        if !in_order && !named {
            tensor = self.step("named", Operator::Reshape, vec![tensor], own);
        }
        let operator = if in_order { Operator::Reshape } else { Operator::Transpose { permutation } };
        self.lowering.push_output(self.node, 0, operator, vec![tensor], shape, ElementType::F32);
        Ok(())
    }

    fn step(&mut self, name: &str, operator: Operator, inputs: Vec<TensorId>, shape: Vec<usize>) -> TensorId {
        self.lowering.push_step(self.node, name, operator, inputs, shape)
    }

    /// The term with its axes in this order, in `shape`.
    fn arranged(&mut self, term: &Term, order: &[Label], shape: Vec<usize>, name: &str) -> Result<TensorId, Refusal> {
        let permutation: Option<Vec<usize>> =
            order.iter().map(|label| term.labels.iter().position(|l| l == label)).collect();
        let permutation = permutation.ok_or_else(|| misfit(""))?;
        let own = self.lowering.shape_of(term.tensor).to_vec();
        let moved: Vec<usize> = permutation.iter().map(|&axis| own[axis]).collect();
        let mut tensor = term.tensor;
        if !permutation.iter().copied().eq(0..own.len()) {
            let operator = Operator::Transpose { permutation };
            tensor = self.step(&format!("{name}_transposed"), operator, vec![tensor], moved.clone());
        }
        if moved != shape {
            tensor = self.step(&format!("{name}_shaped"), Operator::Reshape, vec![tensor], shape);
        }
        Ok(tensor)
    }

    /// The term without the axes that nobody else has: their sums, as products with ones.
    fn summed(&mut self, term: Term, others: &[Label], name: &str) -> Result<Term, Refusal> {
        let is_summed = |label: &Label| !others.contains(label) && !self.result.contains(label);
        let (summed, kept): (Vec<Label>, Vec<Label>) = term.labels.iter().copied().partition(is_summed);
        if summed.is_empty() {
            return Ok(term);
        }
        let shape = self.lowering.shape_of(term.tensor).to_vec();
        let length = |labels: &[Label]| -> usize {
            term.labels.iter().zip(&shape).filter(|(l, _)| labels.contains(l)).map(|(_, &n)| n).product()
        };
        let (rows, n) = (length(&kept), length(&summed));
        let order = [&kept[..], &summed].concat();
        let matrix = self.arranged(&term, &order, vec![rows, n], name)?;
        let ones = format!("{}/{name}_ones", self.node.name);
        let ones = self.lowering.typed_constant(&ones, vec![1, n], Constant::F32(vec![1.0; n]));
        let operator = Operator::FullyConnected { clamp: Clamp::default() };
        let sums = self.step(&format!("{name}_sums"), operator, vec![matrix, ones], vec![rows, 1]);
        let own = term.labels.iter().zip(&shape).filter(|(l, _)| kept.contains(l)).map(|(_, &n)| n).collect();
        let tensor = self.step(&format!("{name}_summed"), Operator::Reshape, vec![sums], own);
        Ok(Term { tensor, labels: kept })
    }

    /// The product of two terms; its axes are the batch's, those of the left term, those of the right term.
    fn product(&mut self, left: Term, right: Term) -> Result<Term, Refusal> {
        let has = |term: &Term, label: &Label| term.labels.contains(label);
        let is_result = |label: &Label| self.result.contains(label);
        let batch: Vec<Label> = left.labels.iter().copied().filter(|l| has(&right, l) && is_result(l)).collect();
        let summed: Vec<Label> = left.labels.iter().copied().filter(|l| has(&right, l) && !is_result(l)).collect();
        let rows: Vec<Label> = left.labels.iter().copied().filter(|l| !has(&right, l)).collect();
        let columns: Vec<Label> = right.labels.iter().copied().filter(|l| !has(&left, l)).collect();
        let own = |einsum: &Self, term: &Term, labels: &[Label]| -> Vec<usize> {
            let shape = einsum.lowering.shape_of(term.tensor);
            labels.iter().filter_map(|l| term.labels.iter().position(|o| o == l).map(|i| shape[i])).collect()
        };
        let (left_batch, right_batch) = (own(self, &left, &batch), own(self, &right, &batch));
        let (left_sums, right_sums) = (own(self, &left, &summed), own(self, &right, &summed));
        if left_sums != right_sums {
            return Err(Refusal::new("it sums over a repeated axis", "repeat the operand with Expand"));
        }
        let [m, k, n] = [(&left, &rows), (&left, &summed), (&right, &columns)]
            .map(|(term, labels)| own(self, term, labels).iter().product::<usize>());
        // Batch axes become one where nothing is repeated, so that any number of them fits.
        let flat = |batch: &[usize]| match left_batch == right_batch {
            true if batch.is_empty() => Vec::new(),
            true => vec![batch.iter().product()],
            false => batch.to_vec(),
        };
        let both = broadcast(&flat(&left_batch), &flat(&right_batch)).ok_or_else(|| misfit(""))?;
        if both.len() + 2 > MAX_RANK {
            return Err(Refusal::new(
                format!("it repeats operands along {} batch axes", both.len()),
                "expand the operands first",
            ));
        }
        let shape = |batch: &[usize], rows: usize, columns: usize| [&flat(batch)[..], &[rows, columns]].concat();
        let left_order = [&batch[..], &rows, &summed].concat();
        let a = self.arranged(&left, &left_order, shape(&left_batch, m, k), "left")?;
        // Whatever needs no transposition.
        let transposed = [&batch[..], &columns, &summed].concat();
        let transpose_b = right.labels == transposed;
        let (right_order, right_shape) = match transpose_b {
            true => (transposed, shape(&right_batch, n, k)),
            false => ([&batch[..], &summed, &columns].concat(), shape(&right_batch, k, n)),
        };
        let b = self.arranged(&right, &right_order, right_shape, "right")?;
        let product = [&both[..], &[m, n]].concat();
        let tensor = self.step("product", Operator::BatchMatmul { transpose_b }, vec![a, b], product);
        Ok(Term { tensor, labels: [&batch[..], &rows, &columns].concat() })
    }
}

/// Names of the axes of an operand of this rank.
fn labels(names: &str, rank: usize) -> Option<Vec<Label>> {
    let letters = |names: &str| names.chars().map(|c| c.is_ascii_alphabetic().then_some(Label::Letter(c))).collect();
    let found: Vec<Label> = match names.split_once("...") {
        None => letters(names)?,
        Some((before, behind)) => {
            let (before, behind): (Option<Vec<Label>>, Option<Vec<Label>>) = (letters(before), letters(behind));
            let (before, behind) = (before?, behind?);
            let n_dots = rank.checked_sub(before.len() + behind.len())?;
            let dots = (0..n_dots).rev().map(Label::Dots);
            before.into_iter().chain(dots).chain(behind).collect()
        }
    };
    (found.len() == rank).then_some(found)
}

/// The length of every axis. Axes that dots stand for may be repeated, others must agree.
fn sizes(lowering: &Lowering, terms: &[Term]) -> Option<HashMap<Label, usize>> {
    let mut sizes = HashMap::new();
    for term in terms {
        for (&label, &size) in term.labels.iter().zip(lowering.shape_of(term.tensor)) {
            let known = sizes.entry(label).or_insert(size);
            match label {
                _ if *known == size => {}
                Label::Dots(_) if size == 1 => {}
                Label::Dots(_) if *known == 1 => *known = size,
                _ => return None,
            }
        }
    }
    Some(sizes)
}

/// Without an arrow: what dots stand for, then the letters that occur once, in alphabetical order.
fn implicit_result(terms: &[Term]) -> Vec<Label> {
    let all: Vec<Label> = terms.iter().flat_map(|t| t.labels.iter().copied()).collect();
    let n_dots = all.iter().filter_map(|l| if let Label::Dots(i) = l { Some(i + 1) } else { None }).max().unwrap_or(0);
    let once = |c: &char| all.iter().filter(|&&l| l == Label::Letter(*c)).count() == 1;
    let mut letters: Vec<char> =
        all.iter().filter_map(|l| if let Label::Letter(c) = l { Some(*c) } else { None }).filter(once).collect();
    letters.sort_unstable();
    (0..n_dots).rev().map(Label::Dots).chain(letters.into_iter().map(Label::Letter)).collect()
}

fn misfit(equation: &str) -> Refusal {
    let which = if equation.is_empty() { "its equation".to_string() } else { format!("'{equation}'") };
    Refusal::new(format!("{which} does not fit its operands"), "check the file with onnx.checker")
}
