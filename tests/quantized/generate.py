"""Makes small quantized models and records what onnxruntime computes: writes <case>.onnx and <case>.npz beside this file.

    python -m venv venv && venv/bin/pip install numpy onnx==1.22.0 onnxruntime==1.32.0
    venv/bin/python tests/quantized/generate.py

Each model has the QuantizeLinear and DequantizeLinear nodes of another exporter's habit. A .npz holds eight samples of
every input and the outputs for them, named as in the model. Scales have no simple ratios: then no sum lies half way
between two steps, where rounding errors of float32 decide.
"""

import pathlib
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
N_SAMPLES = 8
ELEMENT_TYPES = {np.float32: TensorProto.FLOAT, np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8}


class Model:
    """A graph under construction; methods give the name of their result."""

    def __init__(self, name):
        self.name, self.n_names = name, 0
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.random = np.random.default_rng(zlib.crc32(name.encode()))

    def new_name(self):
        self.n_names += 1
        return f"t{self.n_names}"

    def constant(self, values):
        name = self.new_name()
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def constant_node(self, values):
        name = self.new_name()
        self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values), name)))
        return name

    def input(self, name, shape, element_type=np.float32):
        self.inputs.append((name, shape, element_type))
        return name

    def output(self, name, element_type=np.float32):
        self.outputs.append((name, element_type))

    def node(self, operator, *inputs, result=None, **attributes):
        result = result or self.new_name()
        self.nodes.append(helper.make_node(operator, list(inputs), [result], name=f"{operator}_{result}", **attributes))
        return result

    def quantize(self, x, scale, zero_point, kind=np.int8, result=None):
        return self.node("QuantizeLinear", x, self.constant(np.float32(scale)), self.constant(kind(zero_point)), result=result)

    def dequantize(self, x, scale, zero_point, kind=np.int8, result=None):
        return self.node("DequantizeLinear", x, self.constant(np.float32(scale)), self.constant(kind(zero_point)), result=result)

    def pair(self, x, scale, zero_point, kind=np.int8, result=None):
        return self.dequantize(self.quantize(x, scale, zero_point, kind), scale, zero_point, kind, result)

    def weights(self, shape, axis=None, scale=0.0113):
        steps = self.constant(self.random.integers(-127, 128, shape).astype(np.int8))
        if axis is None:
            return self.dequantize(steps, scale, 0)
        scales = (self.random.uniform(0.5, 1.5, shape[axis]) * scale).astype(np.float32)
        zeros = self.constant(np.zeros(shape[axis], np.int8))
        return self.node("DequantizeLinear", steps, self.constant(scales), zeros, axis=axis)

    def bias(self, n, scale=0.000231):
        steps = self.constant(self.random.integers(-4000, 4000, n).astype(np.int32))
        return self.dequantize(steps, scale, 0, np.int32)

    def conv(self, x, shape, axis=0, **attributes):
        return self.node("Conv", x, self.weights(shape, axis), self.bias(shape[0]), **attributes)

    def save(self):
        inputs = [helper.make_tensor_value_info(n, ELEMENT_TYPES[t], s) for n, s, t in self.inputs]
        outputs = [helper.make_tensor_value_info(n, ELEMENT_TYPES[t], None) for n, t in self.outputs]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model)
        (HERE / f"{self.name}.onnx").write_bytes(model.SerializeToString())
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        arrays = {name: self.samples(shape, kind) for name, shape, kind in self.inputs}
        results = []
        for i in range(N_SAMPLES):
            results.append(session.run(None, {name: values[i : i + 1] for name, values in arrays.items()}))
        for (name, _), values in zip(self.outputs, zip(*results)):
            arrays[name] = np.concatenate(values)
        np.savez(HERE / f"{self.name}.npz", **arrays)

    def samples(self, shape, kind):
        shape = (N_SAMPLES, *shape[1:])
        if kind is np.float32:
            return self.random.normal(size=shape).astype(np.float32)
        limits = np.iinfo(kind)
        return self.random.integers(limits.min, limits.max + 1, shape).astype(kind)


def onnxruntime_quantizer(m):
    """Float32 outside, pairs around everything, uint8 activations, weights per channel."""
    kind = np.uint8
    x = m.pair(m.input("x", [1, 3, 9, 9]), 0.0317, 121, kind)
    x = m.pair(m.node("Relu", m.conv(x, [8, 3, 3, 3], pads=[1, 1, 1, 1])), 0.0431, 0, kind)
    x = m.conv(x, [8, 1, 3, 3], group=8, strides=[2, 2], pads=[0, 0, 1, 1])
    x = m.node("Clip", x, m.constant(np.float32(0)), m.constant(np.float32(6)))
    x = m.pair(x, 0.0229, 0, kind)
    x = m.pair(m.node("MaxPool", x, kernel_shape=[2, 2]), 0.0229, 0, kind)
    x = m.pair(m.node("GlobalAveragePool", x), 0.0213, 0, kind)
    x = m.pair(m.node("Flatten", x), 0.0213, 0, kind)
    x = m.node("Gemm", x, m.weights([5, 8], 0), m.bias(5), transB=1)
    m.output(m.pair(x, 0.0371, 119, kind, result="y"))


def tensorflow_lite(m):
    """int8 outside in NHWC, Transpose and Reshape between integers, bias added after the product."""
    x = m.node("Transpose", m.input("x", [1, 8, 6, 3], np.int8), perm=[0, 3, 1, 2])
    x = m.node("Relu", m.conv(m.dequantize(x, 0.0317, 3), [4, 3, 3, 3], pads=[1, 1, 1, 1], strides=[2, 2]))
    left = m.dequantize(m.quantize(x, 0.0431, -128), 0.0431, -128)
    right = m.pair(m.conv(left, [4, 4, 1, 1]), 0.0377, 5)
    x = m.quantize(m.node("Relu", m.node("Add", left, right)), 0.0513, -128)
    x = m.quantize(m.node("AveragePool", m.dequantize(x, 0.0513, -128), kernel_shape=[4, 3], strides=[4, 3]), 0.0513, -128)
    x = m.dequantize(m.node("Reshape", x, m.constant(np.array([-1, 4], np.int64))), 0.0513, -128)
    x = m.node("Add", m.node("MatMul", x, m.weights([4, 6])), m.bias(6))
    x = m.node("Softmax", m.pair(x, 0.0219, 14))
    m.output(m.quantize(x, 1 / 256, -128, result="y"), np.int8)


def aware_training(m):
    """Scales in Constant nodes, weights in float32 behind a pair, a linear layer with transposed weights."""

    def pair(x, scale, zero_point, **attributes):
        parameters = m.constant_node(np.float32(scale)), m.constant_node(np.int8(zero_point))
        return m.node("DequantizeLinear", m.node("QuantizeLinear", x, *parameters, **attributes), *parameters, **attributes)

    x = pair(m.input("x", [1, 5, 12]), 0.0317, 1)
    weights = m.constant((m.random.normal(size=(7, 12)) * 0.5).astype(np.float32))
    weights = pair(weights, m.random.uniform(0.01, 0.02, 7).astype(np.float32), np.zeros(7, np.int8), axis=0)
    x = m.node("MatMul", x, m.node("Transpose", weights, perm=[1, 0]))
    x = pair(m.node("Add", x, m.constant(m.random.normal(size=7).astype(np.float32))), 0.0413, 5)
    gate = pair(m.node("Sigmoid", x), 1 / 256, -128)
    m.output(m.pair(m.node("Mul", x, gate), 0.0371, -90, result="y"))


def several_readers(m):
    """One sum on two scales, a tensor that is clamped after it was quantized, two outputs of two types."""
    x = m.pair(m.input("x", [1, 4, 6, 6]), 0.0317, 7)
    y = m.conv(x, [4, 4, 3, 3])
    m.output(m.quantize(y, 0.0713, 3, result="coarse"), np.int8)
    fine = m.pair(y, 0.0331, -128)
    m.output(m.pair(m.node("Relu", fine), 0.0331, -128, result="fine"))


def concatenated(m):
    """uint8 input, movers between integers, operands of a concatenation with scales of their own."""
    x = m.node("MaxPool", m.input("x", [1, 3, 8, 8], np.uint8), kernel_shape=[2, 2], strides=[2, 2])
    x = m.dequantize(x, 0.0217, 128, np.uint8)
    a = m.pair(m.conv(x, [4, 3, 1, 1]), 0.0431, -5)
    b = m.pair(m.conv(x, [2, 3, 3, 3], pads=[1, 1, 1, 1]), 0.0617, 9)
    x = m.pair(m.node("Concat", a, b, axis=1), 0.0617, 9)
    x = m.node("Pad", x, m.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)))
    x = m.conv(m.pair(x, 0.0617, 9), [3, 6, 3, 3], strides=[2, 2])
    m.output(m.quantize(x, 0.0913, 130, np.uint8, result="y"), np.uint8)


def one_dimensional(m):
    """A 1-D convolution with batch normalization behind it, and the mean over what is left."""
    x = m.pair(m.input("x", [1, 4, 20]), 0.0317, 7)
    x = m.conv(x, [6, 4, 3], strides=[2])
    factors = [m.constant(m.random.uniform(low, high, 6).astype(np.float32)) for low, high in [(-2, 2), (-1, 1), (-1, 1), (0.5, 2)]]
    x = m.pair(m.node("Relu", m.node("BatchNormalization", x, *factors)), 0.0513, -128)
    m.output(m.quantize(m.node("ReduceMean", x, axes=[2], keepdims=0), 0.0337, -128, result="y"), np.int8)


def attention(m):
    """Products of two activations and a softmax of a scale of its own."""
    q, k = m.pair(m.input("q", [1, 4, 6]), 0.0217, 7), m.pair(m.input("k", [1, 4, 6]), 0.0311, -7)
    x = m.pair(m.node("MatMul", q, m.node("Transpose", k, perm=[0, 2, 1])), 0.0513, 2)
    x = m.pair(m.node("Softmax", x), 0.00371, -128)
    m.output(m.pair(m.node("MatMul", x, k), 0.0217, 3, result="y"))


CASES = [onnxruntime_quantizer, tensorflow_lite, aware_training, several_readers, concatenated, one_dimensional, attention]

if __name__ == "__main__":
    for case in CASES:
        model = Model(case.__name__)
        case(model)
        model.save()
