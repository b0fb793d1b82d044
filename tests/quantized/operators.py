"""Records what onnxruntime computes for quantized models of one operator: writes operators/<operator>.npz beside this file.

    venv/bin/python tests/quantized/operators.py       (the environment of generate.py)

An archive holds for each case `<case>/model`, the bytes of the ONNX file, and `<case>/<tensor>` for its inputs and
outputs. Every operator meets int8 and uint8, zero points at both ends of their range, odd numbers of channels, scales per
tensor and per channel; inputs have all 256 steps.
"""

import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import generate
from generate import HERE

I8, U8 = np.int8, np.uint8
MICROSOFT = dict(domain="com.microsoft")
# Type, zero point of the operand, zero point of the result.
STEPS = {
    "i8_low": (I8, -128, -5),
    "i8_high": (I8, 127, 9),
    "i8_to_low": (I8, 3, -128),
    "i8_to_high": (I8, -7, 127),
    "u8_low": (U8, 0, 120),
    "u8_high": (U8, 255, 131),
    "u8_to_low": (U8, 127, 0),
    "u8_to_high": (U8, 121, 255),
}
TYPES = dict(generate.ELEMENT_TYPES)
TYPES[np.int32] = TensorProto.INT32
ARCHIVES = {}


class Case(generate.Model):
    """A model of one operator, fed with steps of a type."""

    def __init__(self, operator, case, opset=21):
        super().__init__(f"{operator}/{case}")
        self.operator, self.case, self.opset = operator, case, opset

    def scalars(self, scale, zero_point, kind):
        return [self.constant(np.float32(scale)), self.constant(kind(zero_point))]

    def steps(self, shape, kind=I8, low=None):
        """A constant of any steps of a type."""
        limits = np.iinfo(kind)
        low = limits.min if low is None else low
        return self.constant(self.random.integers(low, limits.max + 1, shape).astype(kind))

    def channel_scales(self, n, scale):
        return self.constant((self.random.uniform(0.4, 1.6, n) * scale).astype(np.float32))

    def real(self, name, shape, scale, zero_point, kind):
        """The real values of an input in steps."""
        return self.dequantize(self.input(name, shape, kind), scale, zero_point, kind)

    def result(self, x, scale, zero_point, kind):
        self.output(self.quantize(x, scale, zero_point, kind, result="y"), kind)

    def record(self):
        kinds = {k: np.dtype(k).type for k in TYPES}
        inputs = [helper.make_tensor_value_info(n, TYPES[kinds[t]], s) for n, s, t in self.inputs]
        outputs = [helper.make_tensor_value_info(n, TYPES[t], None) for n, t in self.outputs]
        graph = helper.make_graph(self.nodes, self.case, inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        feeds = {}
        for name, shape, kind in self.inputs:
            if kind is np.float32:
                feeds[name] = self.random.normal(size=shape).astype(np.float32)
            else:
                limits = np.iinfo(kind)
                feeds[name] = self.random.integers(limits.min, limits.max + 1, shape).astype(kind)
        results = session.run([n for n, _ in self.outputs], feeds)
        shaped = {n: r.shape for (n, _), r in zip(self.outputs, results)}
        # Shapes of other domains' results are nobody's knowledge but the file's.
        for info, (name, kind) in zip(model.graph.output, self.outputs):
            info.CopyFrom(helper.make_tensor_value_info(name, TYPES[kind], shaped[name]))
        archive = ARCHIVES.setdefault(self.operator, {})
        archive[f"{self.case}/model"] = np.frombuffer(model.SerializeToString(), np.uint8)
        for name, value in [*feeds.items(), *zip(shaped, results)]:
            archive[f"{self.case}/{name}"] = value


X_SCALE, W_SCALE = 0.0317, 0.0113


def sum_scale(n_terms):
    """Steps of a sum of products of random steps: some of it saturates."""
    return float(X_SCALE * W_SCALE * 74 * 74 * np.sqrt(n_terms) / 50)


CONVOLUTIONS = {  # case: (input, filters, attributes)
    "3x3": ((1, 3, 5, 6), (5, 3, 3, 3), dict(pads=[1, 1, 1, 1])),
    "1x1": ((1, 7, 3, 4), (3, 7, 1, 1), {}),
    "depthwise": ((1, 5, 6, 5), (5, 1, 3, 3), dict(group=5, pads=[1, 0, 1, 1], strides=[2, 2])),
    "groups": ((1, 6, 4, 4), (9, 2, 3, 3), dict(group=3, pads=[1, 1, 1, 1])),
    "1d": ((1, 3, 12), (5, 3, 5), dict(pads=[2, 2])),
}


def weights(m, shape, channels, kind=I8, zero_point=0, axis=0):
    """Steps, scale and zero point of weights, with one scale or one for each channel."""
    w = m.steps(shape, kind)
    if channels == "tensor":
        return [w, *m.scalars(W_SCALE, zero_point, kind)]
    n = shape[axis]
    return [w, m.channel_scales(n, W_SCALE), m.constant(np.full(n, zero_point, kind))]


def bias(m, n):
    return m.constant(m.random.integers(-9999, 9999, n).astype(np.int32))


def qlinear_conv():
    kinds = list(STEPS.items())
    for i, (shape_name, (x_shape, w_shape, attributes)) in enumerate(CONVOLUTIONS.items()):
        for k in range(3):
            name, (kind, zx, zy) = kinds[(3 * i + 2 * k + k // 2) % len(kinds)]
            channels = ["tensor", "channel"][(i + k) % 2]
            w_kind, zw = (U8, 128) if kind is U8 and k == 1 else (I8, 0)
            m = Case("QLinearConv", f"{shape_name}_{name}_{channels}")
            scale = sum_scale(np.prod(w_shape[1:]))
            w = weights(m, w_shape, channels, w_kind, zw)
            inputs = [m.input("x", x_shape, kind), *m.scalars(X_SCALE, zx, kind), *w, *m.scalars(scale, zy, kind)]
            if k < 2:
                inputs.append(bias(m, w_shape[0]))
            m.node("QLinearConv", *inputs, result="y", **attributes)
            m.output("y", kind)
            m.record()
    for shape_name in ["3x3", "depthwise"]:
        x_shape, w_shape, attributes = CONVOLUTIONS[shape_name]
        m = Case("QLinearConv", f"{shape_name}_asymmetric_weights")
        w = weights(m, w_shape, "tensor", U8, 103)
        inputs = [m.input("x", x_shape, U8), *m.scalars(X_SCALE, 121, U8), *w, *m.scalars(sum_scale(np.prod(w_shape[1:])), 120, U8)]
        m.node("QLinearConv", *inputs, bias(m, w_shape[0]), result="y", **attributes)
        m.output("y", U8)
        m.record()
    for name in ["i8_low", "u8_high"]:
        kind, zx, zy = STEPS[name]
        m = Case("QLinearConv", f"channels_last_{name}")
        w = weights(m, (5, 3, 3, 3), "channel")
        inputs = [m.input("x", (1, 5, 6, 3), kind), *m.scalars(X_SCALE, zx, kind), *w, *m.scalars(sum_scale(27), zy, kind)]
        m.node("QLinearConv", *inputs, bias(m, 5), result="y", channels_last=1, pads=[1, 1, 1, 1], **MICROSOFT)
        m.output("y", kind)
        m.record()


def qlinear_matmul():
    for name, (kind, zx, zy) in STEPS.items():
        for channels in ["tensor", "channel"]:
            m = Case("QLinearMatMul", f"weights_{name}_{channels}")
            w = weights(m, (13, 5), channels, axis=1)
            inputs = [m.input("x", (1, 3, 13), kind), *m.scalars(X_SCALE, zx, kind), *w, *m.scalars(sum_scale(13), zy, kind)]
            m.node("QLinearMatMul", *inputs, result="y")
            m.output("y", kind)
            m.record()
        m = Case("QLinearMatMul", f"activations_{name}")
        a = [m.input("a", (1, 2, 3, 7), kind), *m.scalars(X_SCALE, zx, kind)]
        b = [m.input("b", (1, 2, 7, 5), kind), *m.scalars(W_SCALE, zy, kind)]
        m.node("QLinearMatMul", *a, *b, *m.scalars(2 * sum_scale(7), zy, kind), result="y")
        m.output("y", kind)
        m.record()


    m = Case("QLinearMatMul", "asymmetric_weights")
    w = weights(m, (13, 5), "tensor", U8, 103)
    inputs = [m.input("x", (1, 3, 13), U8), *m.scalars(X_SCALE, 121, U8), *w, *m.scalars(sum_scale(13), 120, U8)]
    m.node("QLinearMatMul", *inputs, result="y")
    m.output("y", U8)
    m.record()
    for name in ["u8_low", "u8_to_high"]:
        kind, zx, zy = STEPS[name]
        m = Case("MatMulIntegerToFloat", name)
        w, w_scale, w_zero = weights(m, (13, 5), "channel", axis=1)
        x_scale, x_zero = m.scalars(X_SCALE, zx, kind)
        b = m.constant(m.random.normal(size=5).astype(np.float32))
        x = m.input("x", (1, 3, 13), kind)
        m.result(m.node("MatMulIntegerToFloat", x, w, x_scale, w_scale, x_zero, w_zero, b, **MICROSOFT), sum_scale(13), zy, kind)
        m.record()


def qgemm():
    for i, (name, (kind, zx, zy)) in enumerate(STEPS.items()):
        transposed, channels = i % 2, ["tensor", "channel"][i // 2 % 2]
        m = Case("QGemm", name)
        w = weights(m, (5, 13) if transposed else (13, 5), channels, axis=0 if transposed else 1)
        alpha = [1.0, 0.75][i // 4]
        inputs = [m.input("x", (1, 13), kind), *m.scalars(X_SCALE, zx, kind), *w]
        inputs += [bias(m, 5) if i % 3 else "", *m.scalars(sum_scale(13), zy, kind)]
        m.node("QGemm", *inputs, result="y", transB=transposed, alpha=alpha, **MICROSOFT)
        m.output("y", kind)
        m.record()
    m = Case("QGemm", "real_result")
    inputs = [m.input("x", (1, 13), U8), *m.scalars(X_SCALE, 131, U8), *weights(m, (13, 5), "channel", axis=1)]
    m.node("QGemm", *inputs, bias(m, 5), result="real", **MICROSOFT)
    m.result("real", sum_scale(13), 120, U8)
    m.record()


def qlinear_pairs():
    for function in ["Add", "Mul"]:
        for name, (kind, zx, zy) in STEPS.items():
            for case, other in {"same": (1, 5, 3, 4), "channel": (5, 1, 1)}.items():
                m = Case(f"QLinear{function}", f"{case}_{name}")
                zb = (zx + 40) if zx < 0 else zx - 40 if zx > 100 else zx + 60
                a = [m.input("a", (1, 5, 3, 4), kind), *m.scalars(0.0317, zx, kind)]
                b = m.input("b", other, kind) if case == "same" else m.steps(other, kind)
                scale = 0.043 if function == "Add" else 0.019
                m.node(f"QLinear{function}", *a, b, *m.scalars(0.0171, zb, kind), *m.scalars(scale, zy, kind), result="y", **MICROSOFT)
                m.output("y", kind)
                m.record()


def qlinear_where():
    for name, (kind, zx, zy) in STEPS.items():
        m = Case("QLinearWhere", name)
        condition = m.constant(m.random.random((1, 5, 3, 4)) < 0.5)
        a = [m.input("a", (1, 5, 3, 4), kind), *m.scalars(0.0317, zx, kind)]
        b = [m.input("b", (1, 5, 3, 4), kind), *m.scalars(0.0213, zy, kind)]
        m.node("QLinearWhere", condition, *a, *b, *m.scalars(0.0273, zy, kind), result="y", **MICROSOFT)
        m.output("y", kind)
        m.record()


def qlinear_functions():
    for operator, scale, attributes in [("Sigmoid", 0.0041, {}), ("LeakyRelu", 0.0271, dict(alpha=0.13)), ("Softmax", 0.0039, {})]:
        for name, (kind, zx, zy) in STEPS.items():
            if operator != "LeakyRelu" and zy in (127, 255):
                zy = zy - 120
            m = Case(f"QLinear{operator}", name)
            inputs = [m.input("x", (1, 3, 11), kind), *m.scalars(X_SCALE, zx, kind), *m.scalars(scale, zy, kind)]
            extra = dict(attributes, axis=-1, opset=21) if operator == "Softmax" else attributes
            m.node(f"QLinear{operator}", *inputs, result="y", **extra, **MICROSOFT)
            m.output("y", kind)
            m.record()


def qlinear_pools():
    for name, (kind, zx, zy) in STEPS.items():
        for i, (case, x, attributes) in enumerate([
            ("inside", (1, 5, 6, 7), dict(kernel_shape=[3, 2], pads=[1, 1, 1, 1], strides=[2, 2])),
            ("padded", (1, 3, 5, 5), dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
            ("channels_last", (1, 6, 5, 3), dict(kernel_shape=[2, 2], strides=[2, 1], channels_last=1)),
        ]):
            m = Case("QLinearAveragePool", f"{case}_{name}")
            scale = [0.0217, 0.0163, 0.0191][i]
            inputs = [m.input("x", x, kind), *m.scalars(X_SCALE, zx, kind), *m.scalars(scale, zy, kind)]
            m.node("QLinearAveragePool", *inputs, result="y", **attributes, **MICROSOFT)
            m.output("y", kind)
            m.record()
        for case, x, last in [("channels_first", (1, 5, 3, 7), 0), ("channels_last", (1, 3, 7, 5), 1)]:
            m = Case("QLinearGlobalAveragePool", f"{case}_{name}")
            inputs = [m.input("x", x, kind), *m.scalars(X_SCALE, zx, kind), *m.scalars(0.0093, zy, kind)]
            m.node("QLinearGlobalAveragePool", *inputs, result="y", channels_last=last, **MICROSOFT)
            m.output("y", kind)
            m.record()


def qlinear_concat():
    for name, (kind, zx, zy) in STEPS.items():
        m = Case("QLinearConcat", name)
        a = [m.input("a", (1, 3, 4, 5), kind), *m.scalars(0.0317, zx, kind)]
        b = [m.input("b", (1, 2, 4, 5), kind), *m.scalars(0.0213, zy, kind)]
        m.node("QLinearConcat", *m.scalars(0.0273, zy, kind), *a, *b, result="y", axis=1, **MICROSOFT)
        m.output("y", kind)
        m.record()


def integers():
    """int32 results, which are exact."""
    for i, (name, (kind, zx, _)) in enumerate(STEPS.items()):
        w_kind, zw = [(I8, -9), (U8, 131), (I8, 0), (U8, 255)][i % 4] if kind is U8 else (I8, [0, 5, -128, 127][i % 4])
        m = Case("MatMulInteger", name)
        points = [m.constant(kind(zx)), m.constant(np.full(5, zw, w_kind) if i % 2 else w_kind(zw))]
        m.node("MatMulInteger", m.input("x", (1, 3, 13), kind), m.steps((13, 5), w_kind), *points, result="y")
        m.output("y", np.int32)
        m.record()
        if kind is U8:
            m = Case("ConvInteger", name)
            # onnxruntime knows one zero point of the weights only.
            points = [m.constant(kind(zx)), m.constant(w_kind(zw))]
            m.node("ConvInteger", m.input("x", (1, 3, 5, 6), kind), m.steps((5, 3, 3, 3), w_kind), *points, result="y", pads=[1, 1, 1, 1])
            m.output("y", np.int32)
            m.record()


def dynamic():
    m = Case("DynamicQuantizeLinear", "all")
    x = m.input("x", (1, 3, 7))
    m.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], ["y", "y_scale", "y_zero_point"]))
    m.output("y", U8)
    m.output("y_scale", np.float32)
    m.output("y_zero_point", U8)
    m.record()


def qdq_layers():
    for i, (shape_name, (x_shape, w_shape, attributes)) in enumerate(CONVOLUTIONS.items()):
        for k, (name, (kind, zx, zy)) in enumerate(STEPS.items()):
            if (i + k) % 2:
                continue
            m = Case("QDQConv", f"{shape_name}_{name}")
            x = m.real("x", x_shape, X_SCALE, zx, kind)
            channels = ["tensor", "channel"][k // 2 % 2]
            w = real_weights(m, w_shape, channels, 0)
            b = [m.bias(w_shape[0], X_SCALE * W_SCALE)] if channels == "tensor" else [m.constant(m.random.normal(size=w_shape[0]).astype(np.float32))]
            y = m.node("Conv", x, w, *b, **attributes)
            if k % 3 == 0:
                y = m.node("Relu", y)
            m.result(y, sum_scale(np.prod(w_shape[1:])), zy, kind)
            m.record()
    for k, (name, (kind, zx, zy)) in enumerate(STEPS.items()):
        channels = ["tensor", "channel"][k % 2]
        m = Case("QDQConvTranspose", name)
        x = m.real("x", (1, 3, 4, 5), X_SCALE, zx, kind)
        w = real_weights(m, (3, 5, 3, 3), channels, 1)
        m.result(m.node("ConvTranspose", x, w, m.constant(m.random.normal(size=5).astype(np.float32)), strides=[2, 2]), sum_scale(8), zy, kind)
        m.record()
        m = Case("QDQGemm", name)
        x = m.real("x", (1, 13), X_SCALE, zx, kind)
        w = real_weights(m, (5, 13), channels, 0)
        m.result(m.node("Gemm", x, w, m.bias(5, X_SCALE * W_SCALE), transB=1), sum_scale(13), zy, kind)
        m.record()
        m = Case("QDQMatMul", f"weights_{name}")
        x = m.real("x", (1, 3, 13), X_SCALE, zx, kind)
        m.result(m.node("MatMul", x, real_weights(m, (13, 5), channels, 1)), sum_scale(13), zy, kind)
        m.record()
        m = Case("QDQMatMul", f"activations_{name}")
        a, b = m.real("a", (1, 2, 3, 7), X_SCALE, zx, kind), m.real("b", (1, 2, 7, 5), W_SCALE, zy, kind)
        m.result(m.node("MatMul", a, b), 2 * sum_scale(7), zy, kind)
        m.record()


def real_weights(m, shape, channels, axis):
    w = weights(m, shape, channels, axis=axis)
    return m.node("DequantizeLinear", *w, **(dict(axis=axis) if channels == "channel" else {}))


def qdq_pairs():
    for function in ["Add", "Sub", "Mul", "Div", "Max", "Min"]:
        for name, (kind, zx, zy) in STEPS.items():
            m = Case(f"QDQ{function}", name)
            zb = (zx + 40) if zx < 0 else zx - 40 if zx > 100 else zx + 60
            if function == "Div":
                zb = -128 if kind is I8 else 0
            a = m.real("a", (1, 5, 3, 4), 0.0317, zx, kind)
            b = m.real("b", (1, 5, 3, 4) if len(name) % 2 else (1, 5, 1, 1), 0.0171, zb, kind)
            if function == "Div":
                b = m.node("Add", b, m.constant(np.float32(0.37)))
            m.result(m.node(function, a, b), {"Mul": 0.019, "Div": 0.023}.get(function, 0.0353), zy, kind)
            m.record()


FUNCTIONS = {  # operator: (scale of the result, attributes, further constants)
    "Sigmoid": (0.0041, {}, []),
    "Tanh": (0.0081, {}, []),
    "Relu": (0.0213, {}, []),
    "Clip": (0.0213, {}, [np.float32(-0.7), np.float32(1.3)]),
    "LeakyRelu": (0.0271, dict(alpha=0.13), []),
    "PRelu": (0.0271, {}, [np.array([[[0.1]], [[-0.3]], [[0.6]], [[0.0]], [[1.4]]], np.float32)]),
    "HardSwish": (0.0193, {}, []),
    "HardSigmoid": (0.0039, {}, []),
    "Elu": (0.0271, dict(alpha=0.9), []),
    "Gelu": (0.0231, {}, []),
    "Erf": (0.0079, {}, []),
    "Abs": (0.0217, {}, []),
    "Neg": (0.0257, {}, []),
    "Exp": (0.0413, {}, []),
    "Softmax": (0.0039, dict(axis=-1), []),
    "LogSoftmax": (0.0413, dict(axis=-1), []),
}


def qdq_functions():
    for operator, (scale, attributes, constants) in FUNCTIONS.items():
        for name, (kind, zx, zy) in STEPS.items():
            if operator in ["Sigmoid", "Softmax", "Exp", "HardSigmoid"] and zy in (127, 255):
                zy = zy - 120
            if operator == "LogSoftmax" and zy in (-128, 0):
                zy = zy + 110
            m = Case(f"QDQ{operator}", name)
            x = m.real("x", (1, 5, 3, 4), 0.0217, zx, kind)
            m.result(m.node(operator, x, *[m.constant(c) for c in constants], **attributes), scale, zy, kind)
            m.record()


def qdq_pools():
    for name, (kind, zx, zy) in STEPS.items():
        for operator, scale, attributes in [
            ("AveragePool", 0.0217, dict(kernel_shape=[3, 2], pads=[1, 1, 1, 1], strides=[2, 2])),
            ("GlobalAveragePool", 0.0093, {}),
            ("ReduceMean", 0.0123, dict(keepdims=0)),
        ]:
            m = Case(f"QDQ{operator}", name)
            x = m.real("x", (1, 5, 6, 7), X_SCALE, zx, kind)
            axes = [m.constant(np.array([3], np.int64))] if operator == "ReduceMean" else []
            m.result(m.node(operator, x, *axes, **attributes), scale, zy, kind)
            m.record()
        for operator, attributes in [("MaxPool", dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 1])), ("GlobalMaxPool", {}), ("ReduceMax", dict(keepdims=1))]:
            m = Case(f"QDQ{operator}", name)
            x = m.real("x", (1, 5, 6, 7), X_SCALE, zx, kind)
            axes = [m.constant(np.array([1], np.int64))] if operator == "ReduceMax" else []
            m.result(m.node(operator, x, *axes, **attributes), X_SCALE, zx, kind)
            m.record()


def indices(*values):
    return np.array(values, np.int64)


MOVES = {  # operator: (attributes, further inputs)
    "Transpose": (dict(perm=[0, 2, 3, 1]), []),
    "Reshape": ({}, [indices(1, 3, -1)]),
    "Flatten": ({}, []),
    "Slice": ({}, [indices(1, 4), indices(5, 0), indices(1, 3), indices(2, -1)]),
    "Gather": (dict(axis=1), [indices(3, 0, 0, 4)]),
    "GatherElements": (dict(axis=3), [np.arange(60, dtype=np.int64).reshape(1, 5, 6, 2) % 4]),
    "Expand": ({}, [indices(2, 5, 6, 4)]),
    "Tile": ({}, [indices(1, 1, 2, 3)]),
    "Pad": ({}, [indices(0, 0, 1, 2, 0, 0, 0, 1)]),
    "PadEdge": (dict(mode="edge"), [indices(0, 0, 1, 2, 0, 0, 0, 1)]),
    "DepthToSpace": (dict(blocksize=2), []),
    "SpaceToDepth": (dict(blocksize=2), []),
    "Squeeze": ({}, [indices(0)]),
    "Unsqueeze": ({}, [indices(1)]),
    "ResizeNearest": (dict(mode="nearest"), ["", np.array([1, 1, 2, 1.5], np.float32)]),
    "ResizeLinear": (dict(mode="linear"), ["", np.array([1, 1, 2, 1.5], np.float32)]),
    "Split": (dict(axis=1, num_outputs=2), []),
    "Concat": (dict(axis=1), []),
}


def qdq_moves():
    """Steps of one scale on both sides, and of two."""
    for operator, (attributes, more) in MOVES.items():
        for i, (name, (kind, zx, zy)) in enumerate(STEPS.items()):
            rescaled = i % 2 == 1
            if not rescaled:
                zy = zx
            scale = 0.0253 if rescaled else X_SCALE
            m = Case(f"QDQ{operator}", name)
            shape = (1, 8 if operator == "DepthToSpace" else 5, 6, 4)
            x = m.real("x", shape, X_SCALE, zx, kind)
            others = [c if isinstance(c, str) else m.constant(c) for c in more]
            op_type = {"PadEdge": "Pad", "ResizeNearest": "Resize", "ResizeLinear": "Resize"}.get(operator, operator)
            if operator == "Split":
                m.nodes.append(helper.make_node("Split", [x], ["s0", "s1"], **attributes))
                m.output(m.quantize("s0", X_SCALE, zx, kind, result="z"), kind)
                m.result("s1", scale, zy, kind)
            elif operator == "Concat":
                m.result(m.node("Concat", x, m.real("x2", shape, scale, zy, kind), **attributes), scale, zy, kind)
            else:
                m.result(m.node(op_type, x, *others, **attributes), scale, zy, kind)
            m.record()


def qdq_norms():
    for name, (kind, zx, zy) in STEPS.items():
        m = Case("QDQLayerNormalization", name)
        x = m.real("x", (1, 3, 13), X_SCALE, zx, kind)
        factors = [m.constant(m.random.uniform(-1, 1.5, 13).astype(np.float32)), m.constant(m.random.normal(size=13).astype(np.float32))]
        m.result(m.node("LayerNormalization", x, *factors), 0.0271, zy, kind)
        m.record()


RECIPES = [qlinear_conv, qlinear_matmul, qgemm, qlinear_pairs, qlinear_where, qlinear_functions, qlinear_pools, qlinear_concat, integers, dynamic,
           qdq_layers, qdq_pairs, qdq_functions, qdq_pools, qdq_moves, qdq_norms]

if __name__ == "__main__":
    for recipe in RECIPES:
        recipe()
    for operator, arrays in ARCHIVES.items():
        np.savez_compressed(HERE / "operators" / f"{operator}.npz", **arrays)
    print(f"{sum(k.endswith('/model') for a in ARCHIVES.values() for k in a)} cases of {len(ARCHIVES)} operators", file=sys.stderr)
