"""The passes from tensors to loops, run natively through LLVM's own lowering (mlir-opt, mlir-translate) against NumPy.

Every case runs on the naive path (no schedules), and where it has schedules on the full one as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop_testing import (
    FULL,
    PATHS,
    Native,
    Shapes,
    check,
    empty,
    fill,
    generic,
    lowered,
    module,
    needs_mlir,
)

MULTIPLY_ADD = "    %p = arith.mulf %a, %b : f32\n    %s = arith.addf %out, %p : f32\n    linalg.yield %s : f32"
SUM = "    %s = arith.addf %out, %a fastmath<reassoc> : f32\n    linalg.yield %s : f32"
MAXIMUM = "    %s = arith.maximumf %out, %a : f32\n    linalg.yield %s : f32"
ZERO = "  %zero = arith.constant 0.0 : f32\n"
GELU = """\
    %x = arith.addf %a, %b : f32
    %half = arith.constant 0.5 : f32
    %scale = arith.constant 0.70710678118654757 : f32
    %one = arith.constant 1.0 : f32
    %u = arith.mulf %x, %scale : f32
    %e = math.erf %u : f32
    %f = arith.addf %e, %one : f32
    %h = arith.mulf %x, %half : f32
    %y = arith.mulf %h, %f : f32
    linalg.yield %y : f32"""
RELU = """\
    %x = arith.addf %a, %b : f32
    %nought = arith.constant 0.0 : f32
    %y = arith.maximumf %x, %nought : f32
    linalg.yield %y : f32"""
ERF = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + ERF(x / np.sqrt(2)))


def matmul_schedule(
    tile: str = "m = 8, n = 48", block: str = "m = 64", unroll: int = 2, parallel: str = '"n", "m"'
) -> str:
    return (
        f'{{kind = "contraction", row = "m", column = "n", tile = {{{tile}}}, block = {{{block}}}, unroll = {unroll},'
        f" parallel = [{parallel}]}}"
    )


def matmul_body(shapes: Shapes, epilogue: str | None, schedule: str, own_accumulator: bool = True) -> str:
    target = "%acc0" if own_accumulator and epilogue else "%dst"
    text = ZERO + (empty(shapes, "%acc0", "MN") if target == "%acc0" else "")
    text += fill(shapes, "%F", "%zero", target, "MN")
    text += generic(
        shapes,
        "%C",
        "mnk",
        "k",
        [("%A", "MK", "m, k"), ("%B", "KN", "k, n")],
        ("%F", "MN", "m, n"),
        MULTIPLY_ADD,
        schedule,
    )
    if epilogue is None:
        return text.replace("%C =", "%R =")
    return text + generic(
        shapes, "%R", "mn", "", [("%C", "MN", "m, n"), ("%v", "N", "n")], ("%dst", "MN", "m, n"), epilogue
    )


MATMUL_INPUTS = {"A": ("MK", "f32"), "B": ("KN", "f32"), "v": ("N", "f32")}


@needs_mlir
@PATHS
@pytest.mark.parametrize(
    ("m", "n", "k", "dynamic"),
    [
        (8, 48, 16, ""),
        (1, 10, 7, ""),
        (13, 100, 33, ""),
        (130, 97, 65, ""),
        (70, 50, 9, "M"),
        (64, 61, 5, "N"),
        (9, 30, 12, "K"),
        (75, 101, 11, "MNK"),
        (3, 5, 0, ""),
        (0, 5, 4, "M"),
        (5, 0, 4, "N"),
        (0, 48, 4, ""),
    ],
)
def test_matmul_bias_gelu(passes: Sequence[type], m: int, n: int, k: int, dynamic: str) -> None:
    shapes = Shapes({"M": m, "N": n, "K": k}, dynamic)
    body = matmul_body(shapes, GELU, matmul_schedule())
    result = check(shapes, MATMUL_INPUTS, ("MN", "f32"), body, lambda a, b, v: gelu(a @ b + v), passes)
    if passes is FULL and m and n:
        assert "vector.outerproduct" in str(result)
        assert "memref.alloc(" not in str(result), "the accumulator lives in registers"


@needs_mlir
@pytest.mark.parametrize("own", [True, False], ids=["own accumulator", "in the destination"])
@pytest.mark.parametrize("size", [8, 21, 65])
def test_matmul_bias_relu_on_the_tile(size: int, own: bool) -> None:
    shapes = Shapes({"M": size, "N": size, "K": size})
    body = matmul_body(shapes, RELU, matmul_schedule(), own)
    result = check(shapes, MATMUL_INPUTS, ("MN", "f32"), body, lambda a, b, v: np.maximum(a @ b + v, 0), FULL)
    assert "memref.alloca" not in str(result), "a short epilogue stays in registers"


@needs_mlir
@settings(max_examples=12, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 70), st.integers(0, 130), st.integers(0, 20)),
    dynamic=st.sets(st.sampled_from("MNK")),
    tile=st.sampled_from(["m = 8, n = 48", "m = 1, n = 128", "m = 4, n = 16", "m = 6, n = 64"]),
    block=st.sampled_from(["m = 64", "m = 8", "m = 24", "m = 10"]),
    unroll=st.integers(1, 4),
    parallel=st.sampled_from(['"n", "m"', '"m"', '"n"', ""]),
)
def test_matmul_of_any_schedule(sizes, dynamic, tile, block, unroll, parallel) -> None:
    shapes = Shapes(dict(zip("MNK", sizes, strict=True)), "".join(sorted(dynamic)))
    body = matmul_body(shapes, RELU, matmul_schedule(tile, block, unroll, parallel))
    check(shapes, MATMUL_INPUTS, ("MN", "f32"), body, lambda a, b, v: np.maximum(a @ b + v, 0), FULL)


def test_the_loop_level_of_a_kernel_is_small() -> None:
    shapes = Shapes({"M": 100, "N": 700, "K": 64})
    body = matmul_body(shapes, GELU, matmul_schedule(unroll=4))
    result = lowered(module(shapes, MATMUL_INPUTS, ("MN", "f32"), body), FULL)
    assert sum(1 for _ in result.walk()) < 250


@needs_mlir
@PATHS
@pytest.mark.parametrize(
    ("lhs", "rhs", "result"),
    [("bmk", "bkn", "b, m, n"), ("bkm", "bkn", "b, m, n"), ("bmk", "bnk", "b, m, n"), ("mbk", "bnk", "m, b, n")],
)
@pytest.mark.parametrize("dynamic", ["", "BM"])
def test_batch_matmul_with_transposed_operands(
    passes: Sequence[type], lhs: str, rhs: str, result: str, dynamic: str
) -> None:
    shapes = Shapes({"B": 3, "M": 11, "N": 21, "K": 5}, dynamic)
    axes = result.replace(", ", "").upper()
    schedule = '{kind = "contraction", row = "m", column = "n", tile = {m = 4, n = 16}, block = {m = 8}, parallel = ["b", "n", "m"]}'
    body = ZERO + fill(shapes, "%F", "%zero", "%dst", axes)
    operands = [("%A", lhs.upper(), ", ".join(lhs)), ("%B", rhs.upper(), ", ".join(rhs))]
    body += generic(shapes, "%R", "bmnk", "k", operands, ("%F", axes, result), MULTIPLY_ADD, schedule)
    inputs = {"A": (lhs.upper(), "f32"), "B": (rhs.upper(), "f32")}
    check(
        shapes,
        inputs,
        (axes, "f32"),
        body,
        lambda a, b: np.einsum(f"{lhs},{rhs}->{axes.lower()}", a, b),
        passes,
    )


@needs_mlir
@pytest.mark.parametrize("residual", ["m, n", "n, m", "m", ""])
@pytest.mark.parametrize("output", ["m, n", "n, m"])
def test_epilogue_operands_of_every_kind(residual: str, output: str) -> None:
    shapes = Shapes({"M": 13, "N": 37, "K": 9})
    axes = residual.replace(", ", "").upper()
    out_axes = output.replace(", ", "").upper()
    body = ZERO + empty(shapes, "%acc", "MN") + fill(shapes, "%F", "%zero", "%acc", "MN")
    operands = [("%A", "MK", "m, k"), ("%B", "KN", "k, n")]
    body += generic(shapes, "%C", "mnk", "k", operands, ("%F", "MN", "m, n"), MULTIPLY_ADD, matmul_schedule())
    body += generic(
        shapes, "%R", "mn", "", [("%C", "MN", "m, n"), ("%v", axes, residual)], ("%dst", out_axes, output), RELU
    )

    def expected(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
        value = v.T if axes == "NM" else v[:, None] if axes == "M" else v
        total = np.maximum(a @ b + value, 0)
        return total if out_axes == "MN" else total.T

    inputs = {"A": ("MK", "f32"), "B": ("KN", "f32"), "v": (axes, "f32")}
    check(shapes, inputs, (out_axes, "f32"), body, expected, FULL)


@needs_mlir
def test_epilogue_that_vectors_cannot_compute_runs_on_the_stored_result() -> None:
    shapes = Shapes({"M": 9, "N": 20, "K": 6})
    body = ZERO + empty(shapes, "%acc", "MN") + fill(shapes, "%F", "%zero", "%acc", "MN")
    operands = [("%A", "MK", "m, k"), ("%B", "KN", "k, n")]
    body += generic(shapes, "%C", "mnk", "k", operands, ("%F", "MN", "m, n"), MULTIPLY_ADD, matmul_schedule())
    position = """\
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i32
    %x = arith.sitofp %j : i32 to f32
    %s = arith.addf %a, %x : f32
    linalg.yield %s : f32"""
    body += generic(shapes, "%R", "mn", "", [("%C", "MN", "m, n")], ("%dst", "MN", "m, n"), position)
    inputs = {"A": ("MK", "f32"), "B": ("KN", "f32")}
    check(shapes, inputs, ("MN", "f32"), body, lambda a, b: a @ b + np.arange(9)[:, None], FULL)


@needs_mlir
def test_a_result_that_others_read_is_stored() -> None:
    shapes = Shapes({"M": 9, "N": 20, "K": 6})
    body = ZERO + empty(shapes, "%acc", "MN") + fill(shapes, "%F", "%zero", "%acc", "MN")
    operands = [("%A", "MK", "m, k"), ("%B", "KN", "k, n")]
    body += generic(shapes, "%C", "mnk", "k", operands, ("%F", "MN", "m, n"), MULTIPLY_ADD, matmul_schedule())
    body += empty(shapes, "%t", "MN")
    body += generic(shapes, "%E", "mn", "", [("%C", "MN", "m, n"), ("%v", "N", "n")], ("%t", "MN", "m, n"), RELU)
    both = "    %s = arith.subf %a, %b : f32\n    linalg.yield %s : f32"
    reverse = [("%E", "MN", "m, n"), ("%C", "MN", "8 - m, n")]
    body += generic(shapes, "%R", "mn", "", reverse, ("%dst", "MN", "m, n"), both, '{kind = "rows", parallel = ["m"]}')

    def expected(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.maximum(a @ b + v, 0) - (a @ b)[::-1]

    check(shapes, MATMUL_INPUTS, ("MN", "f32"), body, expected, FULL)


@needs_mlir
@PATHS
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("width", [7, 16])
def test_convolution(passes: Sequence[type], stride: int, channels_last: bool, width: int) -> None:
    """3×3 with bias and ReLU: channels last with columns over features, channels first with columns over positions."""
    size = (width - 3) // stride + 1
    shapes = Shapes({"N": 2, "H": width, "W": width, "C": 3, "K": 3, "L": 3, "F": 20, "O": size, "P": size})
    y, x = (f"y * {stride} + k", f"x * {stride} + l")
    if channels_last:
        axes, position, weights, weight_map, out = "NHWC", f"n, {y}, {x}, c", "KLCF", "k, l, c, f", "NOPF"
        schedule = (
            '{kind = "contraction", row = "x", column = "f", tile = {x = 6, f = 16}, unroll = 2, parallel = ["n", "y"]}'
        )
    else:
        axes, position, weights, weight_map, out = "NCHW", f"n, c, {y}, {x}", "FCKL", "f, c, k, l", "NFOP"
        schedule = '{kind = "contraction", row = "f", column = "x", tile = {f = 8, x = 16}, parallel = ["n", "f"]}'
    result = "n, y, x, f" if channels_last else "n, f, y, x"
    body = ZERO + empty(shapes, "%acc", out) + fill(shapes, "%F", "%zero", "%acc", out)
    operands = [("%X", axes, position), ("%Y", weights, weight_map)]
    body += generic(shapes, "%C", "nyxfklc", "klc", operands, ("%F", out, result), MULTIPLY_ADD, schedule)
    epilogue_map = result.replace("k", "")
    body += generic(
        shapes, "%R", "nyxf", "", [("%C", out, epilogue_map), ("%v", "F", "f")], ("%dst", out, epilogue_map), RELU
    )

    def expected(image: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        image = image if channels_last else image.transpose(0, 2, 3, 1)
        kernel = kernel if channels_last else kernel.transpose(2, 3, 1, 0)
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
        total = np.maximum(np.einsum("nyxckl,klcf->nyxf", windows, kernel) + bias, 0)
        return total if channels_last else total.transpose(0, 3, 1, 2)

    inputs = {"X": (axes, "f32"), "Y": (weights, "f32"), "v": ("F", "f32")}
    lowered_module = check(shapes, inputs, (out, "f32"), body, expected, passes)
    if passes is FULL:
        assert "vector.outerproduct" in str(lowered_module)


@needs_mlir
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolution_multiplies_vectors_of_equal_shape(stride: int) -> None:
    size = (11 - 3) // stride + 1
    shapes = Shapes({"H": 11, "W": 11, "C": 21, "K": 3, "L": 3, "O": size, "P": size})
    schedule = '{kind = "contraction", row = "x", column = "c", tile = {x = 4, c = 16}, parallel = ["y"]}'
    body = ZERO + fill(shapes, "%F", "%zero", "%dst", "OPC")
    operands = [("%X", "HWC", f"y * {stride} + k, x * {stride} + l, c"), ("%Y", "KLC", "k, l, c")]
    body += generic(shapes, "%R", "yxckl", "kl", operands, ("%F", "OPC", "y, x, c"), MULTIPLY_ADD, schedule)

    def expected(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(0, 1))[::stride, ::stride]
        return np.einsum("yxckl,klc->yxc", windows, kernel)

    result = check(shapes, {"X": ("HWC", "f32"), "Y": ("KLC", "f32")}, ("OPC", "f32"), body, expected, FULL)
    assert "math.fma" in str(result)


@needs_mlir
def test_matrix_vector_product_without_a_row_axis() -> None:
    shapes = Shapes({"N": 70, "K": 19})
    schedule = '{kind = "contraction", column = "n", tile = {n = 32}, parallel = ["n"], unroll = 4}'
    body = ZERO + fill(shapes, "%F", "%zero", "%dst", "N")
    operands = [("%A", "K", "k"), ("%B", "KN", "k, n")]
    body += generic(shapes, "%R", "nk", "k", operands, ("%F", "N", "n"), MULTIPLY_ADD, schedule)
    check(shapes, {"A": ("K", "f32"), "B": ("KN", "f32")}, ("N", "f32"), body, lambda a, b: a @ b, FULL)


@needs_mlir
@PATHS
def test_integer_contraction_widens_its_inputs(passes: Sequence[type]) -> None:
    shapes = Shapes({"M": 10, "N": 18, "K": 40})
    widen = """\
    %u = arith.extsi %a : i8 to i32
    %w = arith.extui %b : i8 to i32
    %p = arith.muli %u, %w : i32
    %s = arith.addi %p, %out : i32
    linalg.yield %s : i32"""
    elements = {"%A": "i8", "%B": "i8", "%F": "i32"}
    body = "  %zero = arith.constant 0 : i32\n" + fill(shapes, "%F", "%zero", "%dst", "MN", "i32")
    operands = [("%A", "MK", "m, k"), ("%B", "KN", "k, n")]
    body += generic(
        shapes, "%R", "mnk", "k", operands, ("%F", "MN", "m, n"), widen, matmul_schedule("m = 4, n = 16"), elements
    )
    random = np.random.default_rng(1)
    arrays = {"A": random.integers(-128, 128, (10, 40)), "B": random.integers(-128, 128, (40, 18))}
    check(
        shapes,
        {"A": ("MK", "i8"), "B": ("KN", "i8")},
        ("MN", "i32"),
        body,
        lambda a, b: a.astype(np.int32) @ b.view(np.uint8).astype(np.int32),
        passes,
        arrays=arrays,
    )


# Rows

ROWS = '{kind = "rows", parallel = ["i"], grain = 4}'
SUBTRACT_EXP = "    %s = arith.subf %a, %b : f32\n    %e = math.exp %s : f32\n    linalg.yield %e : f32"
DIVIDE_ADD = """\
    %q = arith.divf %a, %b : f32
    %s = arith.addf %q, %c : f32
    linalg.yield %s : f32"""
DIVIDE = "    %s = arith.divf %a, %b : f32\n    linalg.yield %s : f32"


def softmax_body(shapes: Shapes, residual: bool = False, schedule: str = ROWS) -> str:
    text = ZERO + "  %low = arith.constant 0xFF800000 : f32\n"
    text += empty(shapes, "%e0", "I") + empty(shapes, "%e1", "IJ") + empty(shapes, "%e2", "I")
    text += fill(shapes, "%F0", "%low", "%e0", "I")
    text += generic(shapes, "%M", "ij", "j", [("%x", "IJ", "i, j")], ("%F0", "I", "i"), MAXIMUM, schedule)
    operands = [("%x", "IJ", "i, j"), ("%M", "I", "i")]
    text += generic(shapes, "%E", "ij", "", operands, ("%e1", "IJ", "i, j"), SUBTRACT_EXP, schedule)
    text += fill(shapes, "%F1", "%zero", "%e2", "I")
    text += generic(shapes, "%S", "ij", "j", [("%E", "IJ", "i, j")], ("%F1", "I", "i"), SUM, schedule)
    operands = [("%E", "IJ", "i, j"), ("%S", "I", "i"), *([("%x", "IJ", "i, j")] if residual else [])]
    last = DIVIDE_ADD if residual else DIVIDE
    return text + generic(shapes, "%R", "ij", "", operands, ("%dst", "IJ", "i, j"), last, schedule)


def softmax(x: np.ndarray) -> np.ndarray:
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@needs_mlir
@PATHS
@pytest.mark.parametrize("dynamic", ["", "I", "IJ"])
@pytest.mark.parametrize("rows", [0, 1, 17])
def test_softmax_of_four_stages_is_one_loop(passes: Sequence[type], dynamic: str, rows: int) -> None:
    shapes = Shapes({"I": rows, "J": 33}, dynamic)
    result = check(shapes, {"x": ("IJ", "f32")}, ("IJ", "f32"), softmax_body(shapes), softmax, passes)
    text = str(result)
    if passes is FULL and (rows or dynamic):
        assert text.count("scf.forall") == 1
        assert "{lamina.grain = 4 : i64}" in text
        assert "memref.alloc(" not in text, "rows are on the stack, or in the destination"


@needs_mlir
@pytest.mark.parametrize("residual", [False, True])
def test_large_rows_are_in_the_destination_unless_the_caller_may_own_it(residual: bool) -> None:
    shapes = Shapes({"I": 3, "J": 20000})

    def expected(x: np.ndarray) -> np.ndarray:
        return softmax(x) + x if residual else softmax(x)

    result = check(shapes, {"x": ("IJ", "f32")}, ("IJ", "f32"), softmax_body(shapes, residual), expected, FULL)
    assert ("memref.alloc()" in str(result)) == residual


@needs_mlir
@PATHS
def test_layer_norm(passes: Sequence[type]) -> None:
    shapes = Shapes({"I": 5, "J": 48}, "I")
    text = ZERO + "  %n = arith.constant 48.0 : f32\n  %eps = arith.constant 1.0e-5 : f32\n"
    text += empty(shapes, "%e0", "I") + empty(shapes, "%e1", "I")
    text += fill(shapes, "%F0", "%zero", "%e0", "I")
    text += generic(shapes, "%S", "ij", "j", [("%x", "IJ", "i, j")], ("%F0", "I", "i"), SUM, ROWS)
    square = """\
    %mu = arith.divf %b, %n : f32
    %d = arith.subf %a, %mu : f32
    %q = arith.mulf %d, %d : f32
    %s = arith.addf %out, %q fastmath<reassoc> : f32
    linalg.yield %s : f32"""
    text += fill(shapes, "%F1", "%zero", "%e1", "I")
    operands = [("%x", "IJ", "i, j"), ("%S", "I", "i")]
    text += generic(shapes, "%V", "ij", "j", operands, ("%F1", "I", "i"), square, ROWS)
    normalize = """\
    %mu = arith.divf %b, %n : f32
    %d0 = arith.subf %a, %mu : f32
    %var = arith.divf %c, %n : f32
    %ve = arith.addf %var, %eps : f32
    %r = math.rsqrt %ve : f32
    %y = arith.mulf %d0, %r : f32
    %z = arith.mulf %y, %d : f32
    %w = arith.addf %z, %e : f32
    linalg.yield %w : f32"""
    operands = [*operands, ("%V", "I", "i"), ("%g", "J", "j"), ("%h", "J", "j")]
    text += generic(shapes, "%R", "ij", "", operands, ("%dst", "IJ", "i, j"), normalize, ROWS)

    def expected(x: np.ndarray, g: np.ndarray, h: np.ndarray) -> np.ndarray:
        centered = x - x.mean(-1, keepdims=True)
        return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * g + h

    inputs = {"x": ("IJ", "f32"), "g": ("J", "f32"), "h": ("J", "f32")}
    result = check(shapes, inputs, ("IJ", "f32"), text, expected, passes)
    if passes is FULL:
        assert str(result).count("scf.forall") == 1


@needs_mlir
@PATHS
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dynamic", ["", "ABC"])
def test_reductions_over_any_axis(passes: Sequence[type], axis: int, dynamic: str) -> None:
    shapes = Shapes({"A": 4, "B": 5, "C": 6}, dynamic)
    kept = [name for index, name in enumerate("ABC") if index != axis]
    schedule = f'{{kind = "rows", parallel = ["{kept[0].lower()}"], grain = 2}}'
    out = ", ".join(kept).lower()
    text = ZERO + fill(shapes, "%F", "%zero", "%dst", "".join(kept))
    text += generic(
        shapes, "%R", "abc", "abc"[axis], [("%x", "ABC", "a, b, c")], ("%F", "".join(kept), out), SUM, schedule
    )
    check(shapes, {"x": ("ABC", "f32")}, ("".join(kept), "f32"), text, lambda x: x.sum(axis), passes)


@needs_mlir
@PATHS
def test_reduction_over_an_empty_axis_is_the_identity(passes: Sequence[type]) -> None:
    shapes = Shapes({"I": 4, "J": 0}, "J")
    text = "  %low = arith.constant 0xFF800000 : f32\n" + fill(shapes, "%F", "%low", "%dst", "I")
    text += generic(shapes, "%R", "ij", "j", [("%x", "IJ", "i, j")], ("%F", "I", "i"), MAXIMUM, ROWS)
    check(shapes, {"x": ("IJ", "f32")}, ("I", "f32"), text, lambda x: np.full(4, -np.inf), passes)


@needs_mlir
@PATHS
def test_not_a_number_and_infinities_survive(passes: Sequence[type]) -> None:
    shapes = Shapes({"I": 3, "J": 4})
    values = np.array([[np.nan, 1, 2, 3], [np.inf, 0, -1, -np.inf], [-0.0, 0.0, 1, 2]])
    text = "  %low = arith.constant 0xFF800000 : f32\n" + fill(shapes, "%F", "%low", "%dst", "I")
    text += generic(shapes, "%R", "ij", "j", [("%x", "IJ", "i, j")], ("%F", "I", "i"), MAXIMUM, ROWS)
    check(shapes, {"x": ("IJ", "f32")}, ("I", "f32"), text, lambda x: x.max(-1), passes, arrays={"x": values})


@needs_mlir
@PATHS
def test_gather_by_extract(passes: Sequence[type]) -> None:
    shapes = Shapes({"I": 6, "V": 10, "J": 7}, "V")
    look_up = """\
    %j = linalg.index 1 : index
    %row = arith.index_cast %a : i64 to index
    %v = tensor.extract %t[%row, %j] : tensor<?x7xf32>
    linalg.yield %v : f32"""
    text = generic(shapes, "%R", "ij", "", [("%x", "I", "i")], ("%dst", "IJ", "i, j"), look_up, ROWS, {"%x": "i64"})
    arrays = {"x": np.array([9, 0, 3, 3, 8, 1])}
    inputs = {"x": ("I", "i64"), "t": ("VJ", "f32")}
    check(shapes, inputs, ("IJ", "f32"), text, lambda x, t: t[x], passes, arrays=arrays)


@needs_mlir
@PATHS
@pytest.mark.parametrize("permutation", ["a, c, b", "c, b, a", "b, a, c"])
def test_transposes(passes: Sequence[type], permutation: str) -> None:
    shapes = Shapes({"A": 3, "B": 4, "C": 5}, "A")
    out = permutation.replace(", ", "").upper()
    schedule = f'{{kind = "rows", parallel = ["{out[0].lower()}"]}}'
    text = generic(
        shapes,
        "%R",
        out.lower(),
        "",
        [("%x", "ABC", "a, b, c")],
        ("%dst", out, permutation),
        "    linalg.yield %a : f32",
        schedule,
    )
    order = ["ABC".index(axis) for axis in out]
    check(shapes, {"x": ("ABC", "f32")}, (out, "f32"), text, lambda x: x.transpose(order), passes)


@needs_mlir
@PATHS
def test_reversed_and_divided_positions(passes: Sequence[type]) -> None:
    shapes = Shapes({"I": 8, "J": 5, "H": 4})
    text = generic(
        shapes,
        "%R",
        "ij",
        "",
        [("%x", "IJ", "7 - i, j"), ("%h", "HJ", "i floordiv 2, j")],
        ("%dst", "IJ", "i, j"),
        "    %s = arith.addf %a, %b : f32\n    linalg.yield %s : f32",
        ROWS,
    )
    inputs = {"x": ("IJ", "f32"), "h": ("HJ", "f32")}
    check(shapes, inputs, ("IJ", "f32"), text, lambda x, h: x[::-1] + np.repeat(h, 2, axis=0), passes)


@needs_mlir
@PATHS
@pytest.mark.parametrize(("rows", "columns"), [(100, 70), (0, 3), (4096, 3), (1, 1)])
@pytest.mark.parametrize("dynamic", ["", "I", "IJ"])
def test_elementwise_stages_run_over_one_long_axis(
    passes: Sequence[type], rows: int, columns: int, dynamic: str
) -> None:
    shapes = Shapes({"I": rows, "J": columns}, dynamic)
    add = "    %s = arith.addf %a, %b : f32\n    linalg.yield %s : f32"
    multiply = "    %s = arith.mulf %a, %b : f32\n    linalg.yield %s : f32"
    text = empty(shapes, "%t", "IJ")
    operands = [("%x", "IJ", "i, j"), ("%y", "IJ", "i, j")]
    text += generic(shapes, "%T", "ij", "", operands, ("%t", "IJ", "i, j"), add, ROWS)
    operands = [("%T", "IJ", "i, j"), ("%y", "IJ", "i, j")]
    text += generic(shapes, "%R", "ij", "", operands, ("%dst", "IJ", "i, j"), multiply, ROWS)
    inputs = {"x": ("IJ", "f32"), "y": ("IJ", "f32")}
    result = check(shapes, inputs, ("IJ", "f32"), text, lambda x, y: (x + y) * y, passes)
    if passes is FULL and rows:
        assert "memref.alloc(" not in str(result), "the temporary shrinks to one block"


@needs_mlir
@PATHS
def test_two_results_of_one_stage(passes: Sequence[type]) -> None:
    maps = "affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>"
    attributes = 'lamina.axes = ["i", "j"], lamina.schedule = {kind = "rows", parallel = ["i"]}'
    values, indices = "tensor<6xf32>", "tensor<6xi64>"
    text = f"""
func.func private @k(%x: tensor<6x5xf32>, %d: {values}, %i: {indices}) -> ({values}, {indices}) {{
  %low = arith.constant 0xFF800000 : f32
  %none = arith.constant -1 : i64
  %F = linalg.fill ins(%low : f32) outs(%d : {values}) -> {values}
  %G = linalg.fill ins(%none : i64) outs(%i : {indices}) -> {indices}
  %R, %S = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "reduction"]}}
    ins(%x : tensor<6x5xf32>) outs(%F, %G : {values}, {indices}) attrs = {{{attributes}}} {{
  ^bb0(%a: f32, %b: f32, %c: i64):
    %j = linalg.index 1 : index
    %k = arith.index_cast %j : index to i64
    %more = arith.cmpf ogt, %a, %b : f32
    %v = arith.select %more, %a, %b : f32
    %w = arith.select %more, %k, %c : i64
    linalg.yield %v, %w : f32, i64
  }} -> ({values}, {indices})
  func.return %R, %S : {values}, {indices}
}}
func.func @main(%x: tensor<6x5xf32>) -> ({values}, {indices}) {{
  %d = tensor.empty() : {values}
  %i = tensor.empty() : {indices}
  %R, %S = func.call @k(%x, %d, %i) : (tensor<6x5xf32>, {values}, {indices}) -> ({values}, {indices})
  func.return %R, %S : {values}, {indices}
}}
"""
    native = Native(lowered(text, passes))
    x = np.random.default_rng(3).standard_normal((6, 5)).astype(np.float32)
    extremes, positions = np.zeros(6, np.float32), np.zeros(6, np.int64)
    native([x], [extremes, positions], [])
    np.testing.assert_array_equal(extremes, x.max(1))
    np.testing.assert_array_equal(positions, x.argmax(1))


@needs_mlir
@PATHS
@pytest.mark.parametrize("axis", [0, 1])
def test_running_sums_store_every_step(passes: Sequence[type], axis: int) -> None:
    """A scanned axis is a reduction dim that one of the results has too."""
    shapes = Shapes({"I": 5, "J": 7})
    kept = "ij"[1 - axis]
    kinds = ", ".join('"reduction"' if dim == axis else '"parallel"' for dim in range(2))
    identity, other = "affine_map<(i, j) -> (i, j)>", f"affine_map<(i, j) -> ({kept})>"
    total, line = shapes.tensor("IJ"), shapes.tensor(kept.upper())
    body = ZERO + empty(shapes, "%run", kept.upper()) + fill(shapes, "%F", "%zero", "%run", kept.upper())
    body += f"""
  %L, %R = linalg.generic {{indexing_maps = [{identity}, {other}, {identity}], iterator_types = [{kinds}]}}
    ins(%x : {total}) outs(%F, %dst : {line}, {total})
    attrs = {{lamina.axes = ["i", "j"], lamina.schedule = {{kind = "rows", parallel = ["{kept}"]}}}} {{
  ^bb0(%a: f32, %before: f32, %out: f32):
    %after = arith.addf %before, %a : f32
    linalg.yield %after, %after : f32, f32
  }} -> ({line}, {total})
"""
    check(shapes, {"x": ("IJ", "f32")}, ("IJ", "f32"), body, lambda x: x.cumsum(axis), passes)
