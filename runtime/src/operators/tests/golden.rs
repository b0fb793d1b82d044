//! Golden values recorded with onnxruntime: every file under `tests/operators`, see `generate.py` there.

use super::case::{Case, Tensor};
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::kernels::geometry::MatrixLayout;
use crate::kernels::portable::SumOrder;
use crate::kernels::portable::{BinaryF32, softmax_table_bits};
use crate::operators::limits::{LimitsF32, LimitsI8};
use crate::operators::window::WindowRecord;
use crate::operators::{ALL, Operator};
use crate::operators::{batch_matmul, binary, conv_2d, depthwise_conv_2d, fully_connected, movement, pool_2d, unary};
use crate::tensor::{ElementType, MAX_RANK, Quantization};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

pub const FULL: LimitsI8 = LimitsI8 { min: -128, max: 127 };
pub const UNLIMITED: LimitsF32 = LimitsF32 { min: f32::NEG_INFINITY, max: f32::INFINITY };

fn number(text: &str) -> f64 {
    match text {
        "True" => 1.0,
        "False" => 0.0,
        other => other.parse().unwrap(),
    }
}

/// The arrays of one file by name.
pub(super) struct Golden(BTreeMap<String, Array>);

#[derive(Clone)]
struct Array {
    element_type: String,
    shape: Vec<u32>,
    values: Vec<f64>,
}

impl Golden {
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let array = |line: &str| {
            let (head, values) = line.split_once(':').unwrap();
            let mut words = head.split_whitespace().map(str::to_string);
            let (name, element_type) = (words.next().unwrap(), words.next().unwrap());
            let shape = words.map(|d| d.parse().unwrap()).collect();
            let values = values.split_whitespace().map(number).collect();
            (name, Array { element_type, shape, values })
        };
        Golden(text.lines().filter(|l| !l.starts_with('#')).map(array).collect())
    }

    pub(super) fn numbers<T>(&self, name: &str, convert: fn(f64) -> T) -> Vec<T> {
        self.0[name].values.iter().map(|&v| convert(v)).collect()
    }

    /// A tensor in its own type; int8 with the zero point `zero_points[zero_point]` if the file has them.
    pub(super) fn tensor(&self, name: &str, zero_point: usize) -> Tensor {
        let Array { element_type, shape, .. } = &self.0[name];
        let zero_point = self.0.get("zero_points").map_or(0, |z| z.values[zero_point] as i32);
        match element_type.as_str() {
            "i8" => Tensor::i8(shape, zero_point, &self.numbers(name, |v| v as i8)),
            "f32" => Tensor::f32(shape, &self.numbers(name, |v| v as f32)),
            "u8" => Tensor::plain(ElementType::U8, shape, &self.numbers(name, |v| v as u8)),
            "i32" => Tensor::plain(ElementType::I32, shape, &self.numbers(name, |v| v as i32)),
            "i64" => Tensor::plain(ElementType::I64, shape, &self.numbers(name, |v| v as i64)),
            "bool" => Tensor::plain(ElementType::Bool, shape, &self.numbers(name, |v| u8::from(v != 0.0))),
            other => panic!("{name} is {other}"),
        }
    }

    pub fn shape(&self, name: &str) -> &[u32] {
        &self.0[name].shape
    }

    pub fn window(&self) -> WindowRecord {
        let pair = |name: &str| *self.numbers(name, |v| v as u16).first_chunk().unwrap();
        let padding = *self.numbers("padding", |v| v as u16).first_chunk().unwrap();
        WindowRecord { kernel: pair("kernel"), stride: pair("stride"), dilation: pair("dilation"), padding }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn first(&self, name: &str) -> u32 {
        self.0[name].values[0] as u32
    }

    fn requantizer(&self) -> Requantizer {
        Requantizer::from_real(self.0["factors"].values[0]).unwrap()
    }

    /// Input, weights, and per-channel numbers with the zero point folded into the bias; `channel_of` names the output
    /// channel of a weight.
    pub fn channels_i8(&self, channel_of: impl Fn(usize) -> usize) -> Vec<Tensor> {
        let (x, weights) = (self.tensor("x", 0), self.tensor("weights", 0));
        let mut bias = self.numbers("bias", |v| v as i32);
        for (i, &w) in self.0["weights"].values.iter().enumerate() {
            bias[channel_of(i)] -= w as i32 * x.quantization.zero_point;
        }
        let factors: Vec<Requantizer> = self.numbers("factors", |v| Requantizer::from_real(v).unwrap());
        let multipliers: Vec<i32> = factors.iter().map(|f| f.multiplier).collect();
        let shifts: Vec<u8> = factors.iter().map(|f| f.shift).collect();
        let weights = Tensor { quantization: Quantization { scale: 1.0, zero_point: 0 }, ..weights }.constant();
        Vec::from([x, weights, Tensor::i32(&bias), Tensor::i32(&multipliers), Tensor::u8(&shifts)])
    }

    pub fn channels_f32(&self) -> Vec<Tensor> {
        ["x", "weights", "bias"]
            .map(|name| self.tensor(name, 0))
            .into_iter()
            .enumerate()
            .map(constant_but_first)
            .collect()
    }

    /// The step that the file describes, for the operator that its folder is named after.
    fn case(&self, operator: &'static Operator) -> Case {
        let output = |zero_point| self.tensor("y", zero_point);
        let pair = || Vec::from([self.tensor("a", 0), self.tensor("b", 1)]);
        let outputs = *self.0["y"].shape.last().unwrap_or(&1) as usize;
        let (inputs, output, parameters): (Vec<Tensor>, Tensor, Vec<u8>) = match operator.name {
            "conv_2d_i8" => {
                let filter = self.0["weights"].values.len() / outputs;
                let record =
                    conv_2d::Conv2dRecord { window: self.window(), groups: self.first("groups"), limits: FULL };
                (self.channels_i8(|i| i / filter), output(1), record.emit().into())
            }
            "conv_2d_f32" => {
                let groups = self.first("groups");
                let record = conv_2d::Conv2dRecord { window: self.window(), groups, limits: UNLIMITED };
                (self.channels_f32(), output(0), record.emit().into())
            }
            "depthwise_conv_2d_i8" => {
                let record = depthwise_conv_2d::DepthwiseConv2dRecord { window: self.window(), limits: FULL };
                (self.channels_i8(|i| i % outputs), output(1), record.emit().into())
            }
            "depthwise_conv_2d_f32" => {
                let record = depthwise_conv_2d::DepthwiseConv2dRecord { window: self.window(), limits: UNLIMITED };
                (self.channels_f32(), output(0), record.emit().into())
            }
            "fully_connected_i8" => {
                let filter = self.0["weights"].values.len() / outputs;
                let record = fully_connected::FullyConnectedRecord { limits: FULL };
                (self.channels_i8(|i| i / filter), output(1), record.emit().into())
            }
            "fully_connected_f32" => {
                let record = fully_connected::FullyConnectedRecord { limits: UNLIMITED };
                (self.channels_f32(), output(0), record.emit().into())
            }
            "batch_matmul_i8" | "batch_matmul_f32" => {
                let layout = if self.first("layout") == 0 { MatrixLayout::Kn } else { MatrixLayout::Nk };
                let requantizer = self.0.get("factors").map_or(Requantizer::ZERO, |_| self.requantizer());
                (pair(), output(2), batch_matmul::BatchMatmulRecord { layout, requantizer, limits: FULL }.emit().into())
            }
            "add_i8" => {
                let factors = &self.0["factors"].values;
                let multiplier = PairMultiplier::from_real(factors[0], factors[1]).unwrap();
                (pair(), output(2), binary::AddRecord { multiplier, limits: FULL }.emit().into())
            }
            "mul_i8" => {
                let record = binary::MulRecord { requantizer: self.requantizer(), limits: FULL };
                (pair(), output(2), record.emit().into())
            }
            "binary_f32" => {
                let functions = [BinaryF32::Add, BinaryF32::Sub, BinaryF32::Mul, BinaryF32::Div];
                let function = functions[self.first("function") as usize];
                (pair(), output(0), binary::BinaryF32Record { function, limits: UNLIMITED }.emit().into())
            }
            "unary_f32" => {
                use unary::UnaryFunction::{Clip, Sigmoid, Tanh};
                let function = [Clip, Sigmoid, Tanh][self.first("function") as usize];
                let limits = self.numbers("limits", |v| v as f32);
                let limits = LimitsF32 { min: limits[0], max: limits[1] };
                (Vec::from([self.tensor("x", 0)]), output(0), unary::UnaryF32Record { function, limits }.emit().into())
            }
            "max_pool_2d_i8" | "max_pool_2d_f32" => {
                let record = pool_2d::MaxPool2dRecord { window: self.window() };
                (Vec::from([self.tensor("x", 0)]), output(0), record.emit().into())
            }
            "average_pool_2d_i8" => {
                let record = pool_2d::AveragePool2dI8Record {
                    window: self.window(),
                    requantizer: self.requantizer(),
                    count_include_pad: self.first("count_include_pad") == 1,
                    limits: FULL,
                };
                (Vec::from([self.tensor("x", 0)]), output(1), record.emit().into())
            }
            "average_pool_2d_dequantized_i8" => {
                let record = pool_2d::AveragePool2dDequantizedI8Record {
                    window: self.window(),
                    count_include_pad: self.first("count_include_pad") == 1,
                    sums: SumOrder::Taps,
                    limits: FULL,
                };
                let quantization = Quantization { scale: self.0["scale"].values[0] as f32, zero_point: -9 };
                let (x, y) = (self.tensor("x", 0), self.tensor("y", 0));
                (Vec::from([Tensor { quantization, ..x }]), Tensor { quantization, ..y }, record.emit().into())
            }
            "average_pool_2d_f32" => {
                let record = pool_2d::AveragePool2dF32Record {
                    window: self.window(),
                    count_include_pad: self.first("count_include_pad") == 1,
                    limits: UNLIMITED,
                };
                (Vec::from([self.tensor("x", 0)]), output(0), record.emit().into())
            }
            "softmax_i8" => {
                let y = self.tensor("y", 0);
                let quantization = Quantization { scale: 1.0 / 256.0, zero_point: -128 };
                let table = softmax_table(outputs as u32, self.0["factors"].values[0]);
                (Vec::from([self.tensor("x", 0), table]), Tensor { quantization, ..y }, Vec::new())
            }
            "softmax_f32" => (Vec::from([self.tensor("x", 0)]), output(0), Vec::new()),
            "transpose_f32" | "transpose_i8" => {
                let order = self.numbers("permutation", |v| v as usize);
                let added = MAX_RANK - order.len();
                let mut permutation = [0, 1, 2, 3, 4];
                for (i, axis) in order.into_iter().enumerate() {
                    permutation[added + i] = (added + axis) as u8;
                }
                let record = movement::TransposeRecord { permutation };
                (Vec::from([self.tensor("x", 0)]), output(0), record.emit().into())
            }
            "pad_f32" | "pad_i8" => {
                let leading = self.numbers("before", |v| v as u32);
                let mut before = [0; MAX_RANK];
                before[MAX_RANK - leading.len()..].copy_from_slice(&leading);
                let value = self.tensor("value", 0).bytes;
                let value = value.iter().rev().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
                (Vec::from([self.tensor("x", 0)]), output(0), movement::PadRecord { before, value }.emit().into())
            }
            "concat_f32" | "concat_i8" => {
                let n = self.0.keys().filter(|k| k.starts_with('x')).count();
                let axis = (self.first("axis") as usize + MAX_RANK - self.0["y"].shape.len()) as u8;
                let inputs = (0..n).map(|i| self.tensor(&std::format!("x{i}"), 0)).collect();
                (inputs, output(0), movement::ConcatRecord { axis }.emit().into())
            }
            other => panic!("no golden values are known for {other}"),
        };
        Case::new(operator, &inputs, output, &parameters)
    }

    /// The same file in int8, for operators that only move values.
    fn into_i8(mut self) -> Self {
        for array in self.0.values_mut().filter(|a| a.element_type == "f32") {
            array.element_type = "i8".into();
            array.values.iter_mut().for_each(|v| *v = (*v * 40.0).round().clamp(-128.0, 127.0));
        }
        self
    }
}

fn constant_but_first((i, tensor): (usize, Tensor)) -> Tensor {
    if i == 0 { tensor } else { tensor.constant() }
}

/// The table that the packer writes.
pub fn softmax_table(n: u32, scale: f64) -> Tensor {
    let one = f64::from(1u32 << softmax_table_bits(n));
    let entries: Vec<i32> = (0..256).map(|d| ((-f64::from(d) * scale).exp() * one).round() as i32).collect();
    Tensor::i32(&entries)
}

/// The files of an operator.
pub(super) fn files(operator: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/operators").join(operator);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{operator} has no golden values");
    files
}

/// int8: at most one step, and seldom; float32: 1e-5 relative to the value or to 1.
pub(super) fn compare(name: &str, output: &Tensor, found: &[u8]) {
    if output.element_type == ElementType::I8 {
        let pairs = output.bytes.iter().zip(found).map(|(&e, &f)| (i32::from(e as i8), i32::from(f as i8)));
        let errors: Vec<i32> = pairs.map(|(e, f)| (e - f).abs()).collect();
        let off = errors.iter().filter(|&&e| e > 0).count();
        assert!(
            errors.iter().all(|&e| e <= 1) && off <= 1 + errors.len() / 100,
            "{name}: {off} of {} off",
            errors.len()
        );
        return;
    }
    if output.element_type != ElementType::F32 {
        assert_eq!(found, output.bytes, "{name}");
        return;
    }
    let floats = |bytes: &[u8]| -> Vec<f32> { bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
    for (i, (e, f)) in floats(&output.bytes).into_iter().zip(floats(found)).enumerate() {
        assert!((e - f).abs() <= 1e-5 * e.abs().max(1.0), "{name}: element {i} is {f}, onnxruntime says {e}");
    }
}

#[test]
fn operators_agree_with_onnxruntime() {
    let mut n_cases = 0;
    // A table is whatever the converter computes; it has no counterpart. Codes from 0x100 on are kernels for one
    // instruction set, which the contract compares with the portable ones.
    for operator in ALL.iter().filter(|o| o.name != "table_i8" && o.code < 0x100) {
        let moves = ["transpose_i8", "pad_i8", "concat_i8"].contains(&operator.name);
        let folder = if moves { operator.name.replace("_i8", "_f32") } else { operator.name.to_string() };
        for path in files(&folder) {
            let golden = Golden::read(&path);
            let golden = if moves { golden.into_i8() } else { golden };
            let case = golden.case(operator);
            let name = std::format!("{} {}", operator.name, path.display());
            let found = case.run().unwrap_or_else(|e| panic!("{name}: {e}"));
            match operator.name {
                // Recorded where onnxruntime sums in the defined order: no tie is off.
                "average_pool_2d_dequantized_i8" => assert_eq!(found, case.output.bytes, "{name}"),
                _ => compare(&name, &case.output, &found),
            }
            n_cases += 1;
        }
    }
    assert!(n_cases > 100, "only {n_cases} cases");
}
