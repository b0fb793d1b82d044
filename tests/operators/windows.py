"""Records golden values of transposed convolutions and of operators over windows in the file's own layout, as generate.py.

    venv/bin/python tests/operators/windows.py
"""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from generate import filters, nhwc, random, run, window, write

TRANSPOSED = {  # case: (image, channels, filters, kernel, groups, attributes)
    "4x4_stride_2": ((3, 4), 5, 6, (4, 4), 1, dict(strides=[2, 2], pads=[1, 1, 1, 1])),
    "output_padding": ((3, 3), 2, 3, (3, 3), 1, dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
    "dilated": ((4, 3), 3, 2, (3, 2), 1, dict(strides=[3, 2], dilations=[2, 3], pads=[1, 0, 2, 1])),
    "groups": ((3, 3), 6, 10, (3, 3), 2, dict(strides=[2, 1], pads=[0, 1, 0, 1])),
    "one_dimensional": ((1, 7), 4, 5, (1, 4), 1, dict(strides=[1, 2], pads=[0, 1, 0, 1])),
    "stride_beyond_kernel": ((2, 3), 2, 17, (2, 2), 1, dict(strides=[4, 3])),
}


def quantized_transpose(x, x_scale, x_zero, w, w_scale, bias, y_scale, y_zero, attributes):
    """DequantizeLinear, ConvTranspose, QuantizeLinear: onnxruntime has no integer operator for it."""
    real = (x.astype(np.float32) - np.float32(x_zero)) * x_scale
    weights = w.astype(np.float32) * w_scale
    y = run("ConvTranspose", [real, weights, bias], attributes)
    return np.clip(np.rint(y / y_scale) + y_zero, -128, 127).astype(np.int8)


def transposed():
    for case, (image, channels, outputs, kernel, groups, attributes) in TRANSPOSED.items():
        r = random("conv_transpose_2d", case)
        attributes = dict(attributes, group=groups)
        shape = (channels, outputs // groups, *kernel)
        # [C, O / groups, ..] as the OIHW of a convolution.
        def oihw(w):
            parts = w.reshape(groups, channels // groups, outputs // groups, *kernel)
            return parts.transpose(0, 2, 1, 3, 4).reshape(outputs, channels // groups, *kernel)

        x = r.normal(size=(1, channels, *image)).astype(np.float32)
        w, b = r.normal(size=shape).astype(np.float32), r.normal(size=outputs).astype(np.float32)
        numbers = dict(window(attributes, kernel), groups=[groups])
        y = run("ConvTranspose", [x, w, b], attributes)
        write("conv_transpose_2d_f32", case, **numbers, x=nhwc(x), weights=filters("", oihw(w), groups)[0], bias=b, y=nhwc(y))

        x = r.integers(-128, 128, (1, channels, *image)).astype(np.int8)
        w, b = r.integers(-127, 128, shape).astype(np.int8), r.integers(-9999, 9999, outputs).astype(np.int32)
        # One scale for each output channel; those of a group are the file's second axis, so they repeat.
        per_output = (r.random(outputs // groups) * 0.02 + 0.001).astype(np.float32)
        x_scale, x_zero, y_zero = np.float32(0.031), np.int8(r.integers(-128, 128)), np.int8(r.integers(-60, 60))
        y_scale = np.float32(x_scale * per_output.mean() * 74 * 74 * np.sqrt(w[:, 0].size / groups) / 60)
        w_scale = np.tile(per_output, groups)
        bias = (b * x_scale * w_scale).astype(np.float32)
        y = quantized_transpose(x, x_scale, x_zero, w, per_output.reshape(1, -1, 1, 1), bias, y_scale, y_zero, attributes)
        factor = np.float64(x_scale) * w_scale.astype(np.float64) / np.float64(y_scale)
        write("conv_transpose_2d_i8", case, **numbers, x=nhwc(x), weights=filters("", oihw(w), groups)[1], bias=b,
              factors=factor, zero_points=np.array([x_zero, y_zero], np.int32), y=nhwc(y))


def window_nd(attributes, kernel):
    n = len(kernel)
    pads = attributes.get("pads", [0] * 2 * n)
    fill = lambda values, one: [one] * (3 - n) + list(values)
    return dict(
        kernel=fill(kernel, 1),
        stride=fill(attributes.get("strides", [1] * n), 1),
        dilation=fill(attributes.get("dilations", [1] * n), 1),
        padding=fill(pads[:n], 0),
        padding_after=fill(pads[n:], 0),
    )


def convolutions_nd():
    cases = {  # case: (shape of x, outputs, kernel, groups, attributes)
        "one_axis": ((1, 4, 11), 6, (3,), 2, dict(strides=[2], pads=[1, 2], dilations=[2])),
        "batch": ((3, 2, 5, 6), 4, (3, 2), 1, dict(strides=[2, 1], pads=[1, 0, 1, 1])),
        "three_axes": ((2, 4, 4, 5, 3), 2, (2, 3, 2), 2, dict(strides=[1, 2, 1], pads=[1, 1, 0, 0, 1, 1])),
    }
    for case, (shape, outputs, kernel, groups, attributes) in cases.items():
        r = random("conv_nd", case)
        x, b = r.normal(size=shape).astype(np.float32), r.normal(size=outputs).astype(np.float32)
        attributes = dict(attributes, group=groups)
        numbers = dict(window_nd(attributes, kernel), groups=[groups])
        w = r.normal(size=(outputs, shape[1] // groups, *kernel)).astype(np.float32)
        write("conv_nd_f32", case, **numbers, x=x, weights=w, bias=b, y=run("Conv", [x, w, b], attributes))
        w = r.normal(size=(shape[1], outputs // groups, *kernel)).astype(np.float32)
        y = run("ConvTranspose", [x, w, b], attributes)
        write("conv_transpose_nd_f32", case, **numbers, x=x, weights=w, bias=b, y=y)


def indices(x, attributes):
    """The second result of MaxPool."""
    node = helper.make_node("MaxPool", ["x"], ["y", "i"], **attributes)
    declared = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    result = helper.make_tensor_value_info("i", TensorProto.INT64, None)
    graph = helper.make_graph([node], "case", [declared], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def pools_nd():
    cases = {
        "one_axis": ((2, 3, 12), (3,), dict(strides=[2], pads=[1, 1])),
        "ceil": ((1, 2, 6, 5), (3, 3), dict(pads=[1, 0, 0, 1], strides=[2, 2], ceil_mode=1)),
        "dilated": ((2, 2, 7, 8), (2, 3), dict(dilations=[3, 2], pads=[0, 1, 1, 0])),
        "three_axes": ((1, 2, 4, 5, 6), (2, 3, 2), dict(strides=[1, 2, 2], pads=[1, 1, 0, 0, 1, 1])),
        "whole": ((2, 5, 3, 4), (3, 4), {}),
    }
    for case, (shape, kernel, attributes) in cases.items():
        r = random("pool_nd", case)
        x, q = r.normal(size=shape).astype(np.float32), r.integers(-128, 128, shape).astype(np.int8)
        u = (q.astype(np.int32) + 128).astype(np.uint8)
        attributes, numbers = dict(attributes, kernel_shape=kernel), window_nd(attributes, kernel)
        maximum = lambda v: run("MaxPool", [v.astype(np.float32)], attributes).astype(v.dtype)
        for name, values in (("f32", x), ("i8", q), ("u8", u)):
            stored = values.astype(np.int32) if name == "u8" else values
            y = maximum(values)
            write(f"max_pool_nd_{name}", case, **numbers, x=stored, y=y.astype(np.int32) if name == "u8" else y)
            # No two elements of a window are alike in float32; integers have to take the first.
            for order in (0, 1):
                i = indices(values.astype(np.float32), dict(attributes, storage_order=order))
                write(f"max_pool_indices_nd_{name}", f"{case}_order_{order}", **numbers, order=[order], x=stored, y=i)
        for include in (0, 1):
            y = run("AveragePool", [x], dict(attributes, count_include_pad=include), opset=22)
            write("average_pool_nd_f32", f"{case}_include_{include}", **numbers, count_include_pad=[include], x=x, y=y)
        for p in (1, 2, 3):
            norm = {k: v for k, v in attributes.items() if k != "ceil_mode"}
            y = run("LpPool", [x], dict(norm, p=p), opset=22)
            write("lp_pool_nd_f32", f"{case}_p_{p}", **numbers, p=[p], x=x, y=y)


def norms():
    for case, shape, size, numbers in [
        ("odd", (2, 7, 3, 2), 3, dict(alpha=0.5, beta=0.5, bias=1.25)),
        ("wide", (1, 4, 5, 3), 9, dict(alpha=1e-3, beta=0.75, bias=1.0)),
        ("single", (1, 3, 2, 2), 1, dict(alpha=2.0, beta=1.0, bias=2.0)),
    ]:
        x = random("local_response_norm", case).normal(size=shape).astype(np.float32) * 3
        y = run("LRN", [x], dict(numbers, size=size))
        write("local_response_norm_f32", case, size=[size], numbers=[np.float32(v) for v in numbers.values()], x=x, y=y)
    for case, shape in {"maps": (3, 4, 2, 5), "rows": (2, 6), "three_axes": (1, 2, 3, 2, 2)}.items():
        r = random("batch_normalization", case)
        x = r.normal(size=shape).astype(np.float32)
        scale, bias, mean = (r.normal(size=shape[1]).astype(np.float32) for _ in range(3))
        variance = r.random(shape[1]).astype(np.float32)
        y = run("BatchNormalization", [x, scale, bias, mean, variance], dict(epsilon=1e-3))
        write("batch_normalization_f32", case, epsilon=[np.float32(1e-3)], x=x, scale=scale, bias=bias, mean=mean,
              variance=variance, y=y)


if __name__ == "__main__":
    transposed()
    convolutions_nd()
    pools_nd()
    norms()
