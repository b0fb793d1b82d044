"""Records what onnxruntime computes for small float models: writes <name>.npz beside this file.

    python -m venv venv && venv/bin/pip install numpy onnx==1.22.0 onnxruntime==1.32.0
    venv/bin/python tests/float32/generate.py

An archive holds for each case `<case>/model`, the bytes of the ONNX file, and `<case>/<tensor>` for its inputs and
outputs. Archives of operators have one sample, those of networks (`network_*.npz`) have `N_SAMPLES` along the first axis.
"""

import pathlib
import sys
import zlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
N_SAMPLES = 24
F32, I64 = np.float32, np.int64
ARCHIVES = {}


class Case:
    """A graph under construction; methods give the name of their result."""

    def __init__(self, archive, case, opset=22):
        self.archive, self.case, self.opset = archive, case, opset
        self.nodes, self.initializers, self.inputs, self.outputs, self.feeds = [], [], [], [], {}
        self.random = np.random.default_rng(zlib.crc32(f"{archive}/{case}".encode()))

    def constant(self, values):
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(np.prod(shape[1:]) or 1)
        return self.constant((self.random.normal(size=shape) * scale).astype(F32))

    def given(self, name, values):
        """An input with these values."""
        self.feeds[name] = np.asarray(values)
        return name

    def normal(self, name, *shape):
        """An input of normally distributed numbers."""
        return self.given(name, self.random.normal(size=shape).astype(F32))

    def node(self, op_type, *inputs, n=1, **attributes):
        results = [f"{op_type}_{len(self.nodes)}_{i}" for i in range(n)]
        self.nodes.append(helper.make_node(op_type, list(inputs), results, name=f"{op_type}_{len(self.nodes)}", **attributes))
        return results[0] if n == 1 else results

    def output(self, *names):
        self.outputs += names

    def record(self, n_samples=None):
        def info(name, values):
            shape = values.shape if n_samples is None else (1, *values.shape[1:])
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), shape)

        def model(outputs):
            inputs = [info(n, v) for n, v in self.feeds.items()]
            graph = helper.make_graph(self.nodes, self.case, inputs, outputs, self.initializers)
            return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        untyped = [helper.make_empty_tensor_value_info(n) for n in self.outputs]
        session = onnxruntime.InferenceSession(model(untyped).SerializeToString(), options)
        if n_samples is None:
            results = session.run(None, self.feeds)
        else:
            one = [session.run(None, {n: v[i : i + 1] for n, v in self.feeds.items()}) for i in range(n_samples)]
            results = [np.concatenate(r) for r in zip(*one)]
        typed = [info(n, r) for n, r in zip(self.outputs, results)]
        archive = ARCHIVES.setdefault(self.archive, {})
        archive[f"{self.case}/model"] = np.frombuffer(model(typed).SerializeToString(), np.uint8)
        for name, value in [*self.feeds.items(), *zip(self.outputs, results)]:
            archive[f"{self.case}/{name}"] = value


def ints(*values):
    return np.array(values, I64)


TYPES = {"f32": F32, "i8": np.int8, "u8": np.uint8, "i32": np.int32, "i64": I64, "bool": np.bool_}


def of_type(m, shape, kind):
    if kind == "f32":
        return m.random.normal(size=shape).astype(F32)
    if kind == "bool":
        return m.random.random(shape) < 0.5
    return m.random.integers(-100 if kind != "u8" else 0, 100, shape).astype(TYPES[kind])


MOVES = {  # operator: {case: (shape, further inputs, attributes)}
    "Slice": {
        "steps": ((2, 5, 6), [ints(1, 0), ints(5, 6), ints(1, 2), ints(2, 3)], {}),
        "backwards": ((4, 5, 6), [ints(-1, 100), ints(-100, -4), ints(0, 2), ints(-1, -2)], {}),
        "rank_5": ((1, 2, 3, 4, 5), [ints(1, -3), ints(3, 1000), ints(-3, -1)], {}),
    },
    "Gather": {
        "rows": ((5, 3), [ints(4, -1, 0, -5, 2)], {}),
        "last_axis": ((2, 3, 7), [np.array([[6, -7], [3, 0]], np.int32)], dict(axis=-1)),
        "scalar": ((3, 4, 5), [np.array(2, I64)], dict(axis=1)),
    },
    "GatherElements": {
        "rows": ((3, 4), [np.array([[0, -1, 2, 1], [2, 2, 0, -3]], I64)], dict(axis=0)),
        "last_axis": ((2, 3, 5), [np.arange(12, dtype=I64).reshape(2, 3, 2) % 5 - 2], dict(axis=2)),
    },
    "GatherND": {
        "points": ((3, 4, 5), [np.array([[0, -1, 2], [2, 3, -5]], I64)], {}),
        "rows": ((3, 4, 5), [np.array([[[1, 3]], [[-3, 0]]], I64)], {}),
        "batches": ((2, 3, 4), [np.array([[[1], [-1]], [[0], [2]]], I64)], dict(batch_dims=1)),
        "two_batch_axes": ((2, 2, 3, 4), [np.array([[[2, 1], [0, -1]], [[-3, 0], [1, 3]]], I64)], dict(batch_dims=2)),
    },
    "ScatterND": {
        "points": ((4, 5), [np.array([[0, -1], [3, 2]], I64), "update:2"], {}),
        "rows": ((4, 5, 2), [np.array([[-2], [1]], I64), "update:2,5,2"], {}),
    },
    "ScatterElements": {
        "rows": ((3, 4), [np.array([[0, -1, 2, 1], [2, 0, 0, -3]], I64), "update:2,4"], dict(axis=0)),
        "last_axis": ((2, 3, 5), [np.array([[[4, -5]], [[1, 2]]], I64), "update:2,1,2"], dict(axis=-1)),
    },
    "Expand": {
        "both_ways": ((3, 1, 2), [ints(2, 3, 4, 2)], {}),
        "fewer_axes": ((2, 1, 5), [ints(3, 1)], {}),
    },
    "Tile": {"all_axes": ((2, 3, 2), [ints(2, 1, 3)], {}), "rank_5": ((1, 2, 1, 3, 2), [ints(2, 2, 3, 1, 2)], {})},
    "Transpose": {
        "reversed": ((2, 3, 4), [], {}),
        "rank_5": ((2, 3, 1, 4, 2), [], dict(perm=[3, 0, 4, 2, 1])),
    },
    "Pad": {
        "constant": ((2, 3, 4), [ints(0, 2, 1, 1, 0, 3), "pad"], {}),
        "edge": ((2, 3, 4), [ints(1, 0, 2, 0, 2, 1)], dict(mode="edge")),
        "reflect": ((3, 4, 5), [ints(0, 2, 1, 1, 3, 4)], dict(mode="reflect")),
        "wrap": ((3, 4, 5), [ints(0, 2, 1, 1, 3, 4)], dict(mode="wrap")),
        "negative": ((3, 4, 5), [ints(0, -1, 2, 0, 1, -2), "pad"], {}),
    },
    "DepthToSpace": {"DCR": ((1, 12, 2, 3), [], dict(blocksize=2)), "CRD": ((1, 18, 2, 2), [], dict(blocksize=3, mode="CRD"))},
    "SpaceToDepth": {"2": ((1, 3, 4, 6), [], dict(blocksize=2))},
    "Trilu": {"upper": ((2, 4, 5), [np.array(1, I64)], {}), "lower": ((5, 4), [np.array(-1, I64)], dict(upper=0))},
    "Split": {"even": ((2, 6, 3), [], dict(axis=1, num_outputs=3)), "sizes": ((2, 7), [ints(1, 4, 2)], dict(axis=-1))},
    "Concat": {"rows": ((2, 3, 4), ["more:3,3,4", "more:1,3,4"], dict(axis=0)), "last": ((2, 3, 4), ["more:2,3,1"], dict(axis=-1))},
    "Reshape": {"zero_and_rest": ((2, 3, 4), [ints(0, -1, 2)], {})},
}
# What onnxruntime has in float32 only, or not in bool.
MOVED_TYPES = {"DepthToSpace": ["f32", "u8"], "SpaceToDepth": ["f32"], "Trilu": ["f32", "i64", "bool"], "Pad": ["f32", "i8", "i32", "i64"]}


def moves():
    for operator, cases in MOVES.items():
        for case, (shape, more, attributes) in cases.items():
            for kind in MOVED_TYPES.get(operator, ["f32", "i8", "i32", "i64", "bool"]):
                m = Case(operator, f"{case}_{kind}")
                inputs = [m.given("x", of_type(m, shape, kind))]
                for i, other in enumerate(more):
                    if not isinstance(other, str):
                        inputs.append(m.constant(other))
                    elif other == "pad":
                        inputs.append(m.constant(np.array(7, TYPES[kind])))
                    else:
                        dims = [int(d) for d in other.split(":")[1].split(",")]
                        inputs.append(m.given(f"x{i}", of_type(m, dims, kind)))
                n = {"even": 3, "sizes": 3}.get(case, 1)
                results = m.node(operator, *inputs, n=n, **attributes)
                m.output(*([results] if n == 1 else results))
                m.record()


def given_indices():
    for case, (shape, more, attributes) in MOVES["GatherND"].items():
        m = Case("GatherND", f"{case}_given")
        m.output(m.node("GatherND", m.given("x", of_type(m, shape, "f32")), m.given("i", more[0]), **attributes))
        m.record()


def resizes():
    # Whole numbers of elements: otherwise onnxruntime aligns corners by the rounded length, the standard's examples do not.
    sizes = {"up": [1, 1, 2.0, 3.0], "down": [1, 1, 0.5, 0.5], "mixed": [1, 1, 1.5, 0.75]}
    transformations = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    for mode in ["nearest", "linear", "cubic"]:
        for transformation in transformations:
            for name, scales in sizes.items():
                m = Case("Resize", f"{mode}_{transformation}_{name}")
                rounding = dict(nearest_mode=["round_prefer_floor", "floor", "ceil"][len(name) % 3]) if mode == "nearest" else {}
                x = m.normal("x", 1, 2, 8, 8)
                m.output(m.node("Resize", x, "", m.constant(np.array(scales, F32)), mode=mode,
                                coordinate_transformation_mode=transformation, **rounding))
                m.record()


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent_layer(m, operator, x, n_inputs, hidden, direction="forward", states=(), **attributes):
    n = 2 if direction == "bidirectional" else 1
    gates = GATES[operator] * hidden
    weights = [m.weights(n, gates, n_inputs), m.weights(n, gates, hidden), m.weights(n, 2 * gates, scale=0.2)]
    n_outputs = 3 if operator == "LSTM" else 2
    return m.node(operator, x, *weights, *states, n=n_outputs, hidden_size=hidden, direction=direction, **attributes)


def recurrent():
    steps, batch, n_inputs, hidden = 5, 2, 3, 4
    for operator in GATES:
        for direction in ["forward", "reverse", "bidirectional"]:
            n = 2 if direction == "bidirectional" else 1
            m = Case(operator, direction)
            m.output(*recurrent_layer(m, operator, m.normal("x", steps, batch, n_inputs), n_inputs, hidden, direction))
            m.record()
            m = Case(operator, f"{direction}_initial_state")
            x = m.normal("x", steps, batch, n_inputs)
            states = ["", m.normal("h", n, batch, hidden)]
            if operator == "LSTM":
                states += [m.normal("c", n, batch, hidden), m.weights(n, 3 * hidden, scale=0.5)]
            m.output(*recurrent_layer(m, operator, x, n_inputs, hidden, direction, states))
            m.record()
    m = Case("GRU", "reset_after_product")
    m.output(*recurrent_layer(m, "GRU", m.normal("x", 5, 2, 3), 3, 4, linear_before_reset=1))
    m.record()
    # Gates are clipped; the cell behind its last function is not in onnxruntime, so GRU is recorded.
    m = Case("GRU", "clipped")
    m.output(*recurrent_layer(m, "GRU", m.normal("x", 5, 2, 3), 3, 4, clip=0.4))
    m.record()
    m = Case("RNN", "relu")
    m.output(*recurrent_layer(m, "RNN", m.normal("x", 5, 2, 3), 3, 4, activations=["Relu"]))
    m.record()


def attention():
    def case(name, q, k, v, mask=None, **attributes):
        m = Case("Attention", name, opset=23)
        inputs = [m.normal("q", *q), m.normal("k", *k), m.normal("v", *v)]
        if mask is not None:
            inputs.append(m.constant(mask))
        m.output(m.node("Attention", *inputs, **attributes))
        m.record()

    heads, wide = (2, 3, 4, 8), (2, 3, 6, 8)
    case("plain", heads, wide, (2, 3, 6, 10))
    case("causal", heads, heads, heads, is_causal=1)
    case("scaled", heads, wide, wide, scale=0.2)
    case("softcap", heads, wide, wide, softcap=2.0)
    case("grouped", (2, 4, 3, 8), (2, 2, 5, 8), (2, 2, 5, 8))
    case("rows", (2, 4, 24), (2, 6, 24), (2, 6, 24), q_num_heads=3, kv_num_heads=3)
    case("added_mask", heads, wide, wide, mask=np.linspace(-3, 2, 24, dtype=F32).reshape(4, 6))
    case("mask", heads, wide, wide, mask=np.tri(4, 6, 1).astype(bool))


def rotary():
    for name, shape, attributes in [
        ("halves", (2, 3, 4, 8), {}),
        ("interleaved", (2, 3, 4, 8), dict(interleaved=1)),
        ("partial", (2, 3, 4, 8), dict(rotary_embedding_dim=4)),
        ("rows", (2, 4, 24), dict(num_heads=3)),
    ]:
        m = Case("RotaryEmbedding", name, opset=23)
        half = attributes.get("rotary_embedding_dim", 8) // 2
        angles = m.random.uniform(-3, 3, (16, half))
        positions = np.array([[0, 3, 7, 15], [2, 1, 9, 4]], I64)
        inputs = [m.normal("x", *shape), m.constant(np.cos(angles).astype(F32)), m.constant(np.sin(angles).astype(F32))]
        m.output(m.node("RotaryEmbedding", *inputs, m.constant(positions), **attributes))
        m.record()


def whole_tensors():
    for name, attributes in [("maps", {}), ("rows", dict(axes=[1, 2]))]:
        m = Case("MeanVarianceNormalization", name)
        m.output(m.node("MeanVarianceNormalization", m.normal("x", 2, 3, 4, 5), **attributes))
        m.record()


def blocked_weights():
    """Weights with a scale for each block of an axis."""
    for name, axis, block, blocks, points in [("rows", 0, 4, (3, 6), None), ("columns", 1, 2, (12, 3), np.int8), ("ragged", 0, 5, (3, 6), np.uint8)]:
        m = Case("DequantizeLinear", f"blocks_{name}")
        kind = points or np.int8
        w = m.constant(m.random.integers(0 if kind is np.uint8 else -128, 128, (12, 6)).astype(kind))
        inputs = [w, m.constant(m.random.uniform(0.01, 0.02, blocks).astype(F32))]
        if points:
            inputs.append(m.constant(m.random.integers(0, 20, blocks).astype(kind)))
        w = m.node("DequantizeLinear", *inputs, axis=axis, block_size=block)
        m.output(m.node("MatMul", m.normal("x", 2, 3, 12), w))
        m.record()


def network(name, opset=22):
    return Case(f"network_{name}", "network", opset)


def dense(m, x, n_inputs, n_outputs):
    return m.node("Gemm", x, m.weights(n_outputs, n_inputs), m.weights(n_outputs, scale=0.1), transB=1)


def lstm_classifier():
    m = network("lstm_classifier")
    x = m.node("Transpose", m.normal("x", N_SAMPLES, 12, 6), perm=[1, 0, 2])
    _, h, _ = recurrent_layer(m, "LSTM", x, 6, 8, "bidirectional")
    h = m.node("Reshape", m.node("Transpose", h, perm=[1, 0, 2]), m.constant(ints(1, 16)))
    m.output(m.node("Softmax", dense(m, h, 16, 5)))
    m.record(N_SAMPLES)


def gru_over_conv():
    m = network("gru_over_conv")
    x = m.node("Conv", m.normal("x", N_SAMPLES, 3, 20), m.weights(8, 3, 3), m.weights(8, scale=0.1), pads=[1, 1], strides=[2])
    x = m.node("Relu", x)
    y, _ = recurrent_layer(m, "GRU", m.node("Transpose", x, perm=[2, 0, 1]), 8, 6, linear_before_reset=1)
    y = m.node("Transpose", m.node("Squeeze", y, m.constant(ints(1))), perm=[1, 2, 0])
    m.output(m.node("Conv", y, m.weights(4, 6, 1), m.weights(4, scale=0.1)))
    m.record(N_SAMPLES)


def rnn_sequence():
    m = network("rnn_sequence")
    x = m.node("Transpose", m.normal("x", N_SAMPLES, 9, 4), perm=[1, 0, 2])
    y, _ = recurrent_layer(m, "RNN", x, 4, 6)
    y = m.node("Transpose", m.node("Squeeze", y, m.constant(ints(1))), perm=[1, 0, 2])
    m.output(m.node("Add", m.node("MatMul", y, m.weights(6, 3)), m.weights(3, scale=0.1)))
    m.record(N_SAMPLES)


def attention_block():
    m = network("attention_block", 23)
    x = m.normal("x", N_SAMPLES, 7, 16)
    q, k, v = (m.node("Add", m.node("MatMul", x, m.weights(16, 16, scale=0.25)), m.weights(16, scale=0.1)) for _ in range(3))
    y = m.node("Attention", q, k, v, q_num_heads=2, kv_num_heads=2, is_causal=1)
    y = m.node("Add", x, m.node("MatMul", y, m.weights(16, 16, scale=0.25)))
    y = m.node("LayerNormalization", y, m.constant(np.ones(16, F32)), m.constant(np.zeros(16, F32)))
    m.output(m.node("MatMul", m.node("Gelu", y), m.weights(16, 4, scale=0.25)))
    m.record(N_SAMPLES)


def masked():
    m = network("masked")
    x = m.node("Conv", m.normal("x", N_SAMPLES, 2, 6, 6), m.weights(4, 2, 3, 3), m.weights(4, scale=0.1))
    positive = m.node("Greater", x, m.constant(F32(0.1)))
    small = m.node("Less", m.node("Abs", x), m.constant(F32(1.5)))
    both = m.node("And", positive, small)
    x = m.node("Where", both, m.node("Mul", x, m.constant(F32(1.7))), m.node("Sub", x, m.constant(F32(0.2))))
    x = m.node("Where", m.node("Not", positive), m.constant(F32(-0.3)), x)
    m.output(m.node("Conv", x, m.weights(3, 4, 1, 1)))
    m.record(N_SAMPLES)


def normalized_maps():
    m = network("normalized_maps")
    x = m.node("Conv", m.normal("x", N_SAMPLES, 3, 8, 8), m.weights(6, 3, 3, 3), m.weights(6, scale=0.1), pads=[1, 1, 1, 1])
    factors = [m.constant(m.random.uniform(0.5, 1.5, 6).astype(F32)), m.weights(6, scale=0.3)]
    x = m.node("PRelu", m.node("InstanceNormalization", x, *factors), m.constant(m.random.uniform(-0.2, 0.5, (6, 1, 1)).astype(F32)))
    x = m.node("Conv", x, m.weights(5, 6, 3, 3), m.weights(5, scale=0.1), strides=[2, 2])
    m.output(m.node("GlobalAveragePool", m.node("Elu", x)))
    m.record(N_SAMPLES)


def reductions():
    m = network("reductions")
    x = m.node("Conv", m.normal("x", N_SAMPLES, 3, 6, 6), m.weights(8, 3, 3, 3), m.weights(8, scale=0.1))
    axes = m.constant(ints(2, 3))
    parts = [m.node(f, x, axes, keepdims=0) for f in ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceLogSumExp"]]
    parts = [m.node("Concat", *parts[:2], axis=1), *(dense(m, p, 8, 4) for p in parts[2:])]
    m.output(dense(m, m.node("Concat", *parts, axis=1), 36, 5))
    m.record(N_SAMPLES)


def chosen():
    m = network("chosen")
    x = m.node("Conv", m.normal("x", N_SAMPLES, 3, 6, 6), m.weights(8, 3, 3, 3), m.weights(8, scale=0.1))
    x = m.node("Reshape", x, m.constant(ints(1, 8, 16)))
    values, _ = m.node("TopK", x, m.constant(ints(3)), n=2, axis=2)
    m.output(dense(m, m.node("Reshape", values, m.constant(ints(1, 24))), 24, 5))
    m.output(m.node("ReduceMin", x, m.constant(ints(1)), keepdims=0))
    m.record(N_SAMPLES)


RECIPES = [moves, given_indices, resizes, recurrent, attention, rotary, whole_tensors, blocked_weights, lstm_classifier, gru_over_conv, rnn_sequence,
           attention_block, masked, normalized_maps, reductions, chosen]

if __name__ == "__main__":
    for recipe in RECIPES:
        recipe()
    for name, arrays in ARCHIVES.items():
        np.savez_compressed(HERE / f"{name}.npz", **arrays)
    print(f"{sum(k.endswith('/model') for a in ARCHIVES.values() for k in a)} cases in {len(ARCHIVES)} files", file=sys.stderr)
