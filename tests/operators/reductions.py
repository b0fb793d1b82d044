"""Golden values of reductions, choices along an axis and normalizations: writes reduction/<operator>.<case>.txt.

    venv/bin/python tests/operators/reductions.py       (the environment is that of generate.py)

A file holds the operands i0, i1, … of the runtime's operator, the bytes of its parameters, for normalizations epsilon and
the three numbers behind it, and its result y. Where onnxruntime does not take an element type it computes a wider one
that has the same order.
"""

import pathlib
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import helper

FOLDER = pathlib.Path(__file__).parent / "reduction"
TYPES = {"float32": "f32", "int8": "i8", "uint8": "u8", "int32": "i32", "int64": "i64", "bool": "bool", "float64": "f64"}


def run(operator, inputs, attributes, outputs, opset=18):
    """All results of a model of one node; `outputs` are the element types of its results, None for one not wanted."""
    names = ["" if v is None else f"i{i}" for i, v in enumerate(inputs)]
    values = {n: v for n, v in zip(names, inputs) if n}
    wanted = [f"y{i}" if kind else "" for i, kind in enumerate(outputs)]
    node = helper.make_node(operator, names, wanted, **attributes)
    info = helper.make_tensor_value_info
    declared = [info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in values.items()]
    results = [info(n, helper.np_dtype_to_tensor_dtype(np.dtype(k)), None) for n, k in zip(wanted, outputs) if n]
    graph = helper.make_graph([node], "case", declared, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, values)


def write(operator, case, inputs, parameters, y, **more):
    lines = [f"# onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}: reductions.py"]
    arrays = {f"i{i}": v for i, v in enumerate(inputs)} | dict(parameters=np.array(parameters, np.uint8)) | more
    for name, value in (arrays | dict(y=y)).items():
        dims = "".join(f" {d}" for d in value.shape)
        numbers = value.astype(np.uint8) if value.dtype == np.bool_ else value
        lines.append(f"{name} {TYPES[value.dtype.name]}{dims}: {' '.join(str(v) for v in numbers.ravel())}".rstrip())
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{operator}.{case}.txt").write_text("\n".join(lines) + "\n")


def random(case):
    return np.random.default_rng(zlib.crc32(case.encode()))


def wider(x):
    return x.astype(np.int32) if x.dtype in (np.int8, np.uint8, np.bool_) else x


INTEGERS = {"i8": np.int8, "u8": np.uint8, "i32": np.int32, "i64": np.int64}
FUNCTIONS = ["Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"]


def integers(kind, shape):
    low, high = (0, 12) if kind == "u8" else (-6, 7)
    return random(kind).integers(low, high, shape).astype(INTEGERS[kind])


def reduce():
    x = random("reduce").normal(size=(2, 3, 4, 5)).astype(np.float32)
    for code, function in enumerate(FUNCTIONS):
        values = np.abs(x) + np.float32(0.5) if function == "LogSum" else x
        axes = np.array([1, 3] if code % 2 else [0, 2, 3], np.int64)
        opset = 13 if function == "Sum" else 18
        [y] = run(f"Reduce{function}", [values, axes], dict(keepdims=code % 2), ["float32"], opset)
        bits = sum(1 << (1 + int(a)) for a in axes)
        write("reduce_f32", function.lower(), [values], [code, code % 2, bits, 0], y)
    axes = np.array([-1, 0], np.int64)
    [y] = run("ReduceMax", [x, axes], {}, ["float32"])
    write("reduce_f32", "axes_given", [x, axes], [2, 3, 0, 0], y)
    for kind in INTEGERS:
        x = integers(kind, (3, 4, 5))
        for code in [2, 3] if kind in ("i8", "u8") else [0, 1, 2, 3, 4, 5, 7]:
            values = wider(x)
            # onnxruntime rounds the mean of integers in its own ways: numbers without a remainder.
            values = values * 4 if code == 0 else values
            [y] = run(f"Reduce{FUNCTIONS[code]}", [values, np.array([1], np.int64)], {}, [values.dtype.name])
            operand = values if code == 0 else x
            write(f"reduce_{kind}", FUNCTIONS[code].lower(), [operand], [code, 1, 1 << 3, 0], y.astype(x.dtype))
    x = random("bool").integers(0, 2, (4, 3)).astype(np.bool_)
    write("reduce_bool", "any", [x], [2, 0, 1 << 4, 0], run("ReduceMax", [wider(x), np.array([1])], dict(keepdims=0), ["int32"])[0] != 0)
    write("reduce_bool", "all", [x], [3, 0, 1 << 4, 0], run("ReduceMin", [wider(x), np.array([1])], dict(keepdims=0), ["int32"])[0] != 0)


def choices():
    for kind in ["f32", *INTEGERS]:
        x = random("choice").integers(-9, 10, (2, 5, 3)).astype(np.float32) / 4 if kind == "f32" else integers(kind, (2, 5, 3))
        for operator, order in [("ArgMax", 0), ("ArgMin", 1)]:
            for last in [0, 1]:
                attributes = dict(axis=1, keepdims=0, select_last_index=last)
                values = x.astype(np.int32) if kind in ("i8", "u8", "i64") else x
                [y] = run(operator, [values], attributes, ["int64"])
                write(f"arg_extreme_{kind}", f"{operator.lower()}_{'last' if last else 'first'}", [x], [3, order, last, 0], y)
        for largest in [0, 1]:
            values = x.astype(np.int64) if kind != "f32" else x
            y, indices = run("TopK", [values, np.array([3], np.int64)], dict(axis=1, largest=largest), [values.dtype.name, "int64"])
            name = "largest" if largest else "smallest"
            write(f"top_k_{kind}", f"{name}_values", [x], [3, 1 - largest, 0, 0], y.astype(x.dtype))
            write(f"top_k_{kind}", f"{name}_indices", [x], [3, 1 - largest, 1, 0], indices)
        if kind in ("f32", "i32", "i64"):
            for exclusive, reverse in [(0, 0), (1, 0), (0, 1), (1, 1)]:
                attributes = dict(exclusive=exclusive, reverse=reverse)
                [y] = run("CumSum", [x, np.array(1, np.int64)], attributes, [x.dtype.name])
                write(f"cumulative_sum_{kind}", f"{exclusive}{reverse}", [x], [3, exclusive, reverse, 0], y)
            axis = np.array([-1], np.int64)
            [y] = run("CumSum", [x, axis.reshape(())], {}, [x.dtype.name])
            write(f"cumulative_sum_{kind}", "axis_given", [x, axis], [255, 0, 0, 0], y)
    x = random("hardmax").integers(0, 4, (3, 4, 5)).astype(np.float32)
    for axis in range(3):
        write("hardmax_f32", f"axis_{axis}", [x], [2 + axis, 0, 0, 0], run("Hardmax", [x], dict(axis=axis), ["float32"])[0])
    x = random("log_softmax").normal(size=(3, 7)).astype(np.float32) * np.float32(30)
    write("log_softmax_f32", "rows", [x], [], run("LogSoftmax", [x], {}, ["float32"])[0])


def normalizations():
    r = random("normalization")
    x = r.normal(size=(2, 6, 4)).astype(np.float32) + np.float32(2)
    scale, bias = r.normal(size=(2, 4)).astype(np.float32)

    def record(case, inputs, parameters, rows, y, epsilon=1e-5):
        write("normalization_f32", case, inputs, [*parameters, 0, 0], y, epsilon=np.array([epsilon], np.float32), rows=np.array(rows, np.int32))

    kinds = ["float32"] * 3
    y, mean, inverse = run("LayerNormalization", [x, scale, bias], {}, kinds)
    record("layer", [x, scale, bias], [0, 1], [4, 1, 1], y)
    record("layer_mean", [x], [1, 1], [4, 1, 1], mean)
    record("layer_inverse_deviation", [x], [2, 1], [4, 1, 1], inverse)
    wide = r.normal(size=(6, 4)).astype(np.float32)
    [y, *_] = run("LayerNormalization", [x, wide], dict(axis=1, epsilon=0.01), kinds)
    record("layer_axis_1", [x, wide], [0, 1], [24, 1, 1], y, 0.01)
    per_channel = r.normal(size=(2, 6)).astype(np.float32)
    [y] = run("InstanceNormalization", [x, *per_channel], {}, kinds[:1])
    record("instance", [x, *per_channel], [0, 1], [4, 6, 4], y)
    [y] = run("GroupNormalization", [x, *per_channel], dict(num_groups=3), kinds[:1], 21)
    record("group", [x, *per_channel], [0, 1], [8, 3, 4], y)
    y = run("RMSNormalization", [x, scale], {}, kinds[:1], 23)[0]
    record("root_mean_square", [x, scale], [0, 0], [4, 1, 1], y)
    x[0, 0] = 0
    for p in [1, 2]:
        for axis in [1, 2]:
            [y] = run("LpNormalization", [x], dict(axis=axis, p=p), kinds[:1])
            write("lp_normalization_f32", f"p{p}_axis_{axis}", [x], [2 + axis, p, 0, 0], y)


def boxes():
    r = random("boxes")
    corners = r.uniform(0, 10, (2, 12, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + r.uniform(1, 5, (2, 12, 2)).astype(np.float32)], 2)
    scores = r.uniform(0, 1, (2, 3, 12)).astype(np.float32)
    for center in [0, 1]:
        limits = [np.array([4], np.int64), np.array([0.3], np.float32), np.array([0.25], np.float32)]
        [y] = run("NonMaxSuppression", [boxes, scores, *limits], dict(center_point_box=center), ["int64"])
        write("non_max_suppression_f32", "center" if center else "corners", [boxes, scores, *limits], [center, 0, 0, 0], y)


if __name__ == "__main__":
    reduce()
    choices()
    normalizations()
    boxes()
