"""Records golden values of single operators with onnxruntime: writes <operator>/<case>.txt beside this file.

    python -m venv venv && venv/bin/pip install numpy onnx==1.22.0 onnxruntime==1.32.0
    venv/bin/python tests/operators/generate.py

A file holds arrays, one a line: `name type dimensions: values`. Tensors are in the runtime's layouts: NHWC activations,
GHWIO and HWC float32 weights, OHWI and HWC int8 weights. The runtime's tests read all of them; nothing is random but the
seeded values.
"""

import pathlib
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
TYPES = {np.dtype(np.float32): "f32", np.dtype(np.int8): "i8", np.dtype(np.int32): "i32", np.dtype(np.float64): "f64",
         np.dtype(np.uint8): "u8", np.dtype(np.int64): "i64", np.dtype(np.bool_): "bool"}
OPSET = 17


def run(operator, inputs, attributes, constants=(), domain="", opset=OPSET, kind=None):
    """Runs a model of one node; `inputs` in node order, None for an absent one; `kind` is the type of its output."""
    names, values, initializers = [], {}, []
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"i{i}")
        if value is None:
            continue
        if i in constants:
            initializers.append(numpy_helper.from_array(value, f"i{i}"))
        else:
            values[f"i{i}"] = value
    node = helper.make_node(operator, names, ["y"], domain=domain, **attributes)
    declared = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in values.items()]
    if kind is None:
        kind = TensorProto.INT8 if domain or operator.startswith("QLinear") else TensorProto.FLOAT
    graph = helper.make_graph([node], "case", declared, [helper.make_tensor_value_info("y", kind, None)], initializers)
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, values)[0]


def write(folder, case, **arrays):
    lines = [f"# onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, opset {OPSET}: generate.py"]
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            value = np.asarray(value)
            value = value.astype(np.int32) if value.dtype == np.int64 else value
        dims = "".join(f" {d}" for d in value.shape)
        lines.append(f"{name} {TYPES[value.dtype]}{dims}: {' '.join(str(v) for v in value.ravel())}")
    path = HERE / folder / f"{case}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def random(folder, case):
    return np.random.default_rng(zlib.crc32(f"{folder}/{case}".encode()))


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


def window(attributes, kernel):
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    return dict(
        kernel=list(kernel),
        stride=attributes.get("strides", [1, 1]),
        dilation=attributes.get("dilations", [1, 1]),
        padding=[top, left, bottom, right],
    )


CONVOLUTIONS = {  # case: (image, channels, filters, kernel, groups, attributes)
    "3x3_same": ((5, 6), 3, 4, (3, 3), 1, dict(pads=[1, 1, 1, 1])),
    "1x1": ((3, 4), 17, 5, (1, 1), 1, {}),
    "one_sided_padding_stride_2": ((7, 6), 2, 3, (3, 3), 1, dict(pads=[0, 0, 1, 1], strides=[2, 2])),
    "dilated": ((8, 9), 2, 2, (3, 2), 1, dict(dilations=[2, 3], pads=[1, 2, 0, 3])),
    "groups": ((4, 4), 6, 9, (3, 3), 3, dict(pads=[1, 1, 1, 1])),
    "one_dimensional": ((1, 12), 2, 4, (1, 5), 1, dict(pads=[0, 2, 0, 2])),
    "stride_beyond_kernel": ((9, 9), 1, 2, (2, 2), 1, dict(strides=[4, 3])),
}
DEPTHWISE = {
    "3x3_same": ((5, 4), 5, 5, (3, 3), 5, dict(pads=[1, 1, 1, 1])),
    "multiplier_2_stride_2": ((6, 7), 3, 6, (3, 3), 3, dict(pads=[1, 0, 1, 1], strides=[2, 2])),
    "wide_kernel": ((4, 9), 18, 18, (2, 5), 18, {}),
}


def filters(folder, w, groups):
    """OIHW to the layouts of the runtime: float32, int8."""
    if folder.startswith("depthwise"):
        hwc = w[:, 0].transpose(1, 2, 0)
        return hwc, hwc
    o, i, h, k = w.shape
    return w.reshape(groups, o // groups, i, h, k).transpose(0, 3, 4, 2, 1), w.transpose(0, 2, 3, 1)


def convolutions(folder, cases):
    for case, (image, channels, outputs, kernel, groups, attributes) in cases.items():
        r = random(folder, case)
        attributes = dict(attributes, group=groups)
        shape = (outputs, channels // groups, *kernel)
        x = r.normal(size=(1, channels, *image)).astype(np.float32)
        w, b = r.normal(size=shape).astype(np.float32), r.normal(size=outputs).astype(np.float32)
        y = run("Conv", [x, w, b], attributes)
        numbers = dict(window(attributes, kernel), groups=[groups])
        write(folder + "_f32", case, **numbers, x=nhwc(x), weights=filters(folder, w, groups)[0], bias=b, y=nhwc(y))

        x = r.integers(-128, 128, (1, channels, *image)).astype(np.int8)
        w, b = r.integers(-127, 128, shape).astype(np.int8), r.integers(-9999, 9999, outputs).astype(np.int32)
        x_scale, w_scale = np.float32(0.031), (r.random(outputs) * 0.02 + 0.001).astype(np.float32)
        x_zero, y_zero = np.int8(r.integers(-128, 128)), np.int8(r.integers(-60, 60))
        y_scale = np.float32(x_scale * w_scale.mean() * 74 * 74 * np.sqrt(w[0].size) / 60)
        inputs = [x, x_scale, x_zero, w, w_scale, np.zeros(outputs, np.int8), y_scale, y_zero, b]
        y = run("QLinearConv", [np.asarray(v) for v in inputs], attributes, constants=range(1, 9))
        factor = np.float64(x_scale) * w_scale.astype(np.float64) / np.float64(y_scale)
        zeros = np.array([x_zero, y_zero], np.int32)
        write(folder + "_i8", case, **numbers, x=nhwc(x), weights=filters(folder, w, groups)[1], bias=b, factors=factor,
              zero_points=zeros, y=nhwc(y))


def fully_connected():
    for case, (rows, inputs, outputs) in {"one_row": (1, 37, 5), "rows": (3, 8, 21)}.items():
        r = random("fully_connected", case)
        x, w = r.normal(size=(rows, inputs)).astype(np.float32), r.normal(size=(inputs, outputs)).astype(np.float32)
        b = r.normal(size=outputs).astype(np.float32)
        write("fully_connected_f32", case, x=x, weights=w, bias=b, y=run("Gemm", [x, w, b], {}))
        x, w = r.integers(-128, 128, (rows, inputs)).astype(np.int8), r.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        scales = [np.float32(0.02), (r.random(outputs) * 0.01 + 0.002).astype(np.float32), np.float32(0.4)]
        zeros = [np.int8(-7), np.zeros(outputs, np.int8), np.int8(11)]
        arrays = [x, scales[0], zeros[0], w, scales[1], zeros[1], scales[2], zeros[2]]
        y = run("QLinearMatMul", [np.asarray(v) for v in arrays], {}, constants=range(1, 8))
        factor = np.float64(scales[0]) * scales[1].astype(np.float64) / np.float64(scales[2])
        write("fully_connected_i8", case, x=x, weights=w.T, bias=np.zeros(outputs, np.int32), factors=factor,
              zero_points=np.array([-7, 11], np.int32), y=y)


def batch_matmul():
    for case, (a_shape, b_shape, transposed) in {
        "stack": ((3, 4, 5), (3, 5, 18), False),
        "shared_right": ((2, 4, 7), (1, 7, 3), False),
        "transposed": ((2, 3, 6), (2, 6, 4), True),
        "broadcast_both_ways": ((3, 1, 4, 5), (1, 2, 5, 3), False),
        "broadcast_rank_5": ((2, 1, 3, 2, 4), (1, 2, 1, 4, 5), True),
        "fewer_axes": ((3, 5), (2, 2, 5, 4), False),
    }.items():
        r = random("batch_matmul", case)
        a, b = r.normal(size=a_shape).astype(np.float32), r.normal(size=b_shape).astype(np.float32)
        stored = (lambda m: m.swapaxes(-1, -2)) if transposed else (lambda m: m)
        layout = dict(layout=[int(transposed)])
        write("batch_matmul_f32", case, **layout, a=a, b=stored(b), y=run("MatMul", [a, b], {}))
        a, b = r.integers(-128, 128, a_shape).astype(np.int8), r.integers(-128, 128, b_shape).astype(np.int8)
        zeros = [np.int8(5), np.int8(-128), np.int8(-3)]
        scales = [np.float32(0.011), np.float32(0.007), np.float32(0.03)]
        arrays = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
        y = run("QLinearMatMul", [np.asarray(v) for v in arrays], {}, constants=(1, 2, 4, 5, 6, 7))
        factor = [np.float64(scales[0]) * np.float64(scales[1]) / np.float64(scales[2])]
        write("batch_matmul_i8", case, **layout, a=a, b=stored(b), factors=factor,
              zero_points=np.array(zeros, np.int32), y=y)


def binary():
    shapes = {
        "same": ((2, 3, 5), (2, 3, 5)),
        "scalar": ((1, 4, 4, 3), (1,)),
        "per_channel": ((1, 4, 3, 37), (37,)),
        "both_ways": ((2, 1, 4, 1), (3, 1, 5)),
        "rank_5": ((2, 1, 3, 1, 2), (1, 2, 1, 4, 2)),
    }
    for case, (a_shape, b_shape) in shapes.items():
        r = random("binary", case)
        for code, operator in enumerate(["Add", "Sub", "Mul", "Div"]):
            a, b = r.normal(size=a_shape).astype(np.float32), r.normal(size=b_shape).astype(np.float32)
            write("binary_f32", f"{operator.lower()}_{case}", function=[code], a=a, b=b, y=run(operator, [a, b], {}))
        zeros, scales = [np.int8(-20), np.int8(31), np.int8(4)], [np.float32(0.02), np.float32(0.05), np.float32(0.045)]
        for operator, folder in (("QLinearAdd", "add_i8"), ("QLinearMul", "mul_i8")):
            a, b = r.integers(-128, 128, a_shape).astype(np.int8), r.integers(-128, 128, b_shape).astype(np.int8)
            arrays = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
            y = run(operator, [np.asarray(v) for v in arrays], {}, constants=(1, 2, 4, 5, 6, 7), domain="com.microsoft")
            s = [np.float64(v) for v in scales]
            factors = [s[0] / s[2], s[1] / s[2]] if operator == "QLinearAdd" else [s[0] * s[1] / s[2]]
            write(folder, case, a=a, b=b, factors=factors, zero_points=np.array(zeros, np.int32), y=y)


def unary():
    r = random("unary", "values")
    x = np.concatenate([r.normal(size=40) * 4, [0.0, -0.0, 88.0, -88.0, 1e-6, 20.0]]).astype(np.float32)
    limits = [np.float32(-0.5), np.float32(2.0)]
    write("unary_f32", "clip", function=[0], limits=limits, x=x, y=run("Clip", [x, *map(np.asarray, limits)], {}))
    unlimited = [np.float32(-np.inf), np.float32(np.inf)]
    for code, operator in ((1, "Sigmoid"), (2, "Tanh")):
        write("unary_f32", operator.lower(), function=[code], limits=unlimited, x=x, y=run(operator, [x], {}))


def elementwise():
    """<operator of the runtime>.<case>: i0, i1, … in its order, the numbers or the function in its parameters, y."""

    def record(operator, case, inputs, onnx_name, attributes={}, opset=OPSET, **parameters):
        arrays = {f"i{i}": v for i, v in enumerate(inputs)}
        # onnxruntime has no small integers here; numpy is what ONNX's reference is made of.
        try:
            kinds = {"compare": TensorProto.BOOL, "cast": attributes.get("to")}
            kind = kinds.get(operator.split("_")[0]) or helper.np_dtype_to_tensor_dtype(inputs[-1].dtype)
            kind = helper.np_dtype_to_tensor_dtype(inputs[0].dtype) if operator.startswith("pow") else kind
            y = run(onnx_name, inputs, attributes, opset=opset, kind=kind)
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
            y = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Max": np.maximum, "Min": np.minimum,
                 "Div": lambda a, b: np.trunc(a / b).astype(a.dtype)}[onnx_name](*inputs)
        write("elementwise", f"{operator}.{case}", **parameters, **arrays, y=y)

    r = random("elementwise", "values")
    x = np.concatenate([r.normal(size=40) * 4, [0.0, -0.0, 80.0, -80.0, 1e-6, 20.0, 0.5, -0.5, 1.5, 2.5]]).astype(np.float32)
    positive = np.abs(x) + np.float32(1e-3)
    for operator, onnx_name, attributes, numbers in [
        ("abs", "Abs", {}, []), ("exp", "Exp", {}, []), ("erf", "Erf", {}, []),
        ("leaky_relu", "LeakyRelu", dict(alpha=0.2), [0.2]), ("elu", "Elu", dict(alpha=1.5), [1.5]),
        ("celu", "Celu", dict(alpha=2.0), [2.0]), ("selu", "Selu", dict(alpha=2.0, gamma=3.0), [2.0, 3.0]),
        ("hard_sigmoid", "HardSigmoid", dict(alpha=0.3, beta=0.4), [0.3, 0.4]), ("hard_swish", "HardSwish", {}, []),
        ("softplus", "Softplus", {}, []), ("softsign", "Softsign", {}, []),
        ("thresholded_relu", "ThresholdedRelu", dict(alpha=1.25), [1.25]), ("sign", "Sign", {}, []),
        ("floor", "Floor", {}, []), ("ceil", "Ceil", {}, []), ("round", "Round", {}, []),
        ("sin", "Sin", {}, []), ("cos", "Cos", {}, []), ("mish", "Mish", {}, []),
        ("gelu", "Gelu", dict(approximate="none"), []), ("gelu_tanh", "Gelu", dict(approximate="tanh"), []),
        ("sqrt", "Sqrt", {}, []), ("log", "Log", {}, []), ("reciprocal", "Reciprocal", {}, []),
    ]:
        values = positive if operator in ("sqrt", "log", "reciprocal") else x
        values = np.minimum(values, np.float32(5.0)) if operator == "exp" else values
        opset = 20 if operator in ("mish", "gelu", "gelu_tanh") else OPSET
        numbers = np.array(numbers + [0.0] * (2 - len(numbers)), np.float32)
        record(f"{operator}_f32", "values", [values], onnx_name, attributes, opset, numbers=numbers)
    y = x * run("Sigmoid", [np.float32(1.702) * x], {})
    write("elementwise", "swish_f32.values", numbers=np.array([1.702, 0.0], np.float32), i0=x, y=y)

    shapes = {"scalar": ((2, 3, 4), (1,)), "both_ways": ((2, 1, 4, 1), (3, 1, 5)), "rank_5": ((2, 1, 3, 1, 2), (1, 2, 1, 4, 2))}
    integers = ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mod", "Mod", "And", "Or", "Xor"]
    relations = ["Equal", "Less", "LessOrEqual"]
    kinds = {"f32": np.float32, "i8": np.int8, "u8": np.uint8, "i32": np.int32, "i64": np.int64, "bool": np.bool_}
    for case, (a_shape, b_shape) in shapes.items():
        r = random("elementwise", case)
        a, b = r.normal(size=a_shape).astype(np.float32), r.normal(size=b_shape).astype(np.float32)
        for operator, onnx_name in (("max", "Max"), ("min", "Min"), ("prelu", "PRelu"), ("pow", "Pow")):
            if onnx_name == "PRelu" and case != "scalar":
                continue
            record(f"{operator}_f32", case, [np.abs(a) if operator == "pow" else a, b], onnx_name)
        for name, kind in kinds.items():
            low, high = (0, 2) if name == "bool" else (0, 13) if name == "u8" else (-11, 12)
            a, b = r.integers(low, high, a_shape).astype(kind), r.integers(low, high, b_shape).astype(kind)
            if not (name == "bool" and case == "scalar"):
                for code, onnx_name in enumerate(relations):
                    if name != "bool" or onnx_name == "Equal":
                        record(f"compare_{name}", f"{onnx_name.lower()}_{case}", [a, b], onnx_name, opset=19, function=[code])
            for code, onnx_name in enumerate(integers):
                if name == "f32" or (name == "bool") != (onnx_name in ("And", "Or", "Xor")):
                    continue
                divisor = np.where(b == 0, kind(3), b) if onnx_name in ("Div", "Mod") else b
                attributes = dict(fmod=1) if code == 7 else {}
                own = {"i8": "s8"}.get(name, name)
                record(f"binary_{own}", f"{onnx_name.lower()}{code}_{case}", [a, divisor], onnx_name, attributes, function=[code])
        for name in ("i32", "i64"):
            a, n = r.integers(-5, 6, a_shape).astype(kinds[name]), r.integers(0, 6, b_shape)
            record(f"pow_{name}", f"integer_{case}", [a, n.astype(kinds[name])], "Pow")
            record(f"pow_{name}", f"float_{case}", [a, n.astype(np.float32)], "Pow")
            record(f"pow_{name}", f"root_{case}", [np.abs(a), (n + 0.5).astype(np.float32)], "Pow")
        condition = r.integers(0, 2, a_shape).astype(np.bool_)
        for operator, kind in (("where_b1", np.uint8), ("where_b4", np.float32), ("where_b8", np.int64)):
            a, b = r.integers(0, 50, b_shape).astype(kind), r.integers(50, 99, a_shape).astype(kind)
            record(operator, case, [condition, a, b], "Where")
    r = random("elementwise", "cast")
    for source, kind in kinds.items():
        values = r.integers(0, 2 if source == "bool" else 120, 20).astype(kind)
        values = (values - np.float32(59.5)).astype(kind) if source not in ("bool", "u8") else values
        for target, to in kinds.items():
            given = np.abs(values) if target == "u8" and source != "bool" else values
            to = helper.np_dtype_to_tensor_dtype(np.dtype(to))
            record(f"cast_to_{target}", f"from_{source}", [given], "Cast", dict(to=to))


def pools():
    cases = {
        "2x2": ((4, 6), 3, (2, 2), dict(strides=[2, 2])),
        "3x3_padded": ((5, 5), 17, (3, 3), dict(pads=[1, 1, 1, 1], strides=[2, 2])),
        "one_sided": ((5, 4), 2, (3, 2), dict(pads=[0, 0, 2, 1], strides=[2, 1])),
        "ceil": ((6, 5), 2, (3, 3), dict(pads=[1, 0, 0, 1], strides=[2, 2], ceil_mode=1)),
        "whole_image": ((7, 5), 20, (7, 5), {}),
    }
    for case, (image, channels, kernel, attributes) in cases.items():
        r = random("pool", case)
        x = r.normal(size=(1, channels, *image)).astype(np.float32)
        attributes = dict(attributes, kernel_shape=kernel)
        y = run("MaxPool", [x], attributes)
        write("max_pool_2d_f32", case, **window(attributes, kernel), x=nhwc(x), y=nhwc(y))
        q = r.integers(-128, 128, (1, channels, *image)).astype(np.int8)
        # onnxruntime has no int8 maximum with ceil_mode and asymmetric padding alike on all versions: use float32.
        y = run("MaxPool", [q.astype(np.float32)], attributes).astype(np.int8)
        write("max_pool_2d_i8", case, **window(attributes, kernel), x=nhwc(q), y=nhwc(y))
        for include in (0, 1):
            averaged = dict(attributes, count_include_pad=include)
            name = f"{case}_include_{include}"
            numbers = dict(window(attributes, kernel), count_include_pad=[include])
            write("average_pool_2d_f32", name, **numbers, x=nhwc(x), y=nhwc(run("AveragePool", [x], averaged)))
            # Scales whose ratio makes no exact ties: the runtime rounds those up, numpy to even.
            scales, zeros = (np.float32(0.03), np.float32(0.0213)), (np.int8(-9), np.int8(6))
            # The float32 operator between an exact dequantization and a rounding, as QLinearAveragePool defines it.
            real = run("AveragePool", [(q.astype(np.float32) - zeros[0]) * scales[0]], averaged)
            y = np.clip(np.rint(real / scales[1]) + zeros[1], -128, 127).astype(np.int8)
            write("average_pool_2d_i8", name, **numbers, x=nhwc(q), factors=[np.float64(scales[0]) / np.float64(scales[1])],
                  zero_points=np.array(zeros, np.int32), y=nhwc(y))
    # One scale, as quantized models have it: one mean in n is a tie, and the rounding errors of the float32 sum decide it.
    # onnxruntime sums in the order (kh, kw) where strides are above 2, in other orders elsewhere.
    cases = {
        "8x8": ((8, 8), 64, (8, 8), dict(strides=[8, 8])),
        "4x3": ((12, 9), 24, (4, 3), dict(strides=[4, 3])),
        "padded": ((14, 11), 20, (4, 4), dict(pads=[1, 2, 1, 1], strides=[3, 3])),
        "padded_include": ((14, 11), 20, (4, 4), dict(pads=[1, 2, 1, 1], strides=[3, 3], count_include_pad=1)),
    }
    for case, (image, channels, kernel, attributes) in cases.items():
        r = random("pool_dequantized", case)
        scale, zero = np.float32(0.12706915), np.int8(-9)
        q = r.integers(-128, 128, (1, channels, *image)).astype(np.int8)
        attributes = dict(attributes, kernel_shape=kernel)
        real = run("AveragePool", [(q.astype(np.float32) - zero) * scale], attributes)
        y = np.clip(np.rint(real / scale) + zero, -128, 127).astype(np.int8)
        numbers = dict(window(attributes, kernel), count_include_pad=[attributes.get("count_include_pad", 0)])
        write("average_pool_2d_dequantized_i8", case, **numbers, x=nhwc(q), scale=[scale], y=nhwc(y))


def softmax():
    for case, shape in {"ten_classes": (1, 10), "rows": (2, 3, 33), "one": (4, 1), "thousand": (1, 1000)}.items():
        r = random("softmax", case)
        x = (r.normal(size=shape) * 3).astype(np.float32)
        write("softmax_f32", case, x=x, y=run("Softmax", [x], dict(axis=-1)))
        q, scale = r.integers(-128, 128, shape).astype(np.int8), np.float32(0.07)
        real = run("Softmax", [q.astype(np.float32) * scale], dict(axis=-1))
        y = np.clip(np.rint(real * 256) - 128, -128, 127).astype(np.int8)
        write("softmax_i8", case, x=q, factors=[np.float64(scale)], y=y)


def movement():
    r = random("movement", "values")
    for case, shape, order in [
        ("nchw_to_nhwc", (1, 3, 4, 5), (0, 2, 3, 1)),
        ("matrix", (6, 7), (1, 0)),
        ("rank_5", (2, 3, 1, 4, 5), (3, 0, 4, 2, 1)),
        ("same_order", (2, 3, 4), (0, 1, 2)),
    ]:
        x = r.normal(size=shape).astype(np.float32)
        y = run("Transpose", [x], dict(perm=list(order)))
        write("transpose_f32", case, permutation=list(order), x=x, y=y)
    for case, shape, pads in [
        ("image", (1, 4, 5, 2), (0, 1, 2, 0, 0, 3, 0, 0)),
        ("vector", (3,), (2, 1)),
        ("all_axes", (2, 2, 2), (1, 1, 1, 1, 1, 1)),
    ]:
        x = r.normal(size=shape).astype(np.float32)
        y = run("Pad", [x, np.array(pads, np.int64), np.asarray(np.float32(-1.5))], dict(mode="constant"), constants=(1, 2))
        write("pad_f32", case, before=list(pads[: len(shape)]), value=[np.float32(-1.5)], x=x, y=y)
    for case, shapes, axis in [
        ("channels", [(1, 2, 3, 4), (1, 2, 3, 1), (1, 2, 3, 5)], 3),
        ("rows", [(2, 3), (4, 3)], 0),
        ("middle", [(2, 1, 3), (2, 2, 3)], 1),
    ]:
        xs = [r.normal(size=s).astype(np.float32) for s in shapes]
        y = run("Concat", xs, dict(axis=axis))
        write("concat_f32", case, axis=[axis], **{f"x{i}": x for i, x in enumerate(xs)}, y=y)


if __name__ == "__main__":
    convolutions("conv_2d", CONVOLUTIONS)
    convolutions("depthwise_conv_2d", DEPTHWISE)
    fully_connected()
    batch_matmul()
    binary()
    unary()
    elementwise()
    pools()
    softmax()
    movement()
