"""Programs that between them use every graph op on the types and shapes that trip GPU kernels up.

A case builds outputs from its inputs with the graph builder; what is expected comes from the ops' NumPy references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    f32,
    f64,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.ir import Block, Operation, Region, SSAValue

from lamina.context import LaminaContext
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.dims import parse_dim
from lamina.dialects.graph.types import BFLOAT16, dtype_of, element_type_of
from lamina.targets.reference.evaluate import evaluate
from support.derivative_cases import CASES

Build = Callable[..., Sequence[SSAValue]]

REFUSED: dict[str, str] = {}
"""Ops that no GPU kernel does, with the reason."""


@dataclass(frozen=True)
class Program:
    """A function of arrays. `dims` gives sizes names; `tolerance` relative to the largest number of a result."""

    name: str
    inputs: tuple[np.ndarray, ...]
    build: Build = field(repr=False)
    dims: tuple[Sequence[str], ...] = ()
    tolerance: float = 2e-5

    def module(self, context: LaminaContext) -> ModuleOp:
        """The program in a context."""
        names = self.dims or tuple([str(size) for size in array.shape] for array in self.inputs)
        known = [
            AbstractTensor(tuple(parse_dim(name) for name in dims), element_type_of(array.dtype))
            for dims, array in zip(names, self.inputs, strict=True)
        ]
        block = Block(arg_types=[one.type for one in known])
        builder = GraphBuilder.at_end(block, context.resources)
        for argument, one in zip(block.args, known, strict=True):
            builder.declare(argument, one)
        outputs = list(self.build(builder, *block.args))
        block.add_op(func.ReturnOp(*outputs))
        attributes = [
            DictionaryAttr(
                {"lamina.name": StringAttr(f"x{number}"), "lamina.dims": ArrayAttr([StringAttr(one) for one in dims])}
            )
            for number, dims in enumerate(names)
        ]
        types = FunctionType.from_lists([one.type for one in known], [output.type for output in outputs])
        results = [DictionaryAttr({"lamina.name": StringAttr(f"y{number}")}) for number in range(len(outputs))]
        main = func.FuncOp("main", types, Region(block), arg_attrs=ArrayAttr(attributes), res_attrs=ArrayAttr(results))
        module = ModuleOp([main])
        module.verify()
        return module

    def expected(self, module: ModuleOp, context: LaminaContext) -> Sequence[np.ndarray]:
        """The results by the references of the ops."""
        with np.errstate(all="ignore"):
            return evaluate(module, self.inputs, context.resources)


def ops_of(module: ModuleOp) -> set[str]:
    """The names of a program's graph ops."""
    return {op.name for op in module.walk() if isinstance(op, Operation) and op.name.startswith("graph.")}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def special(*shape: int, extreme: bool = True) -> np.ndarray:
    """Normal numbers with NaN, infinities and zeros of both signs among them; unless told not to, tiny and huge ones."""
    array = normal(*shape, seed=1)
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, *([1e-40, 3e38] if extreme else [])], np.float32)
    flat = array.reshape(-1)
    flat[:: max(1, len(flat) // 20)] = np.resize(values, len(flat[:: max(1, len(flat) // 20)]))
    return array


UNARY = (
    *("abs", "negate", "sign", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "asin", "acos"),
    *("atan", "sinh", "cosh", "asinh", "acosh", "atanh", "tanh", "erf", "logistic", "floor", "ceil"),
    *("round_nearest_even", "relu", "gelu", "silu", "stop_gradient"),
)
BINARY = ("add", "subtract", "multiply", "divide", "remainder", "maximum", "minimum")
LOGIC = ("and", "or", "xor")


def _unary(b: GraphBuilder, x: SSAValue) -> Sequence[SSAValue]:
    outputs = [b.create(name, (x,)) for name in UNARY]
    return [*outputs, b.is_nan(x), b.is_inf(x), b.gelu(x, "tanh"), b.not_(b.is_nan(x))]


def _binary(b: GraphBuilder, x: SSAValue, y: SSAValue, i: SSAValue, k: SSAValue) -> Sequence[SSAValue]:
    shift = b.clamp(np.int32(0), k, np.int32(31))
    divisor = b.select(b.compare("EQ", k, np.int32(0)), b.add(k, np.int32(1)), k)
    return [
        *(b.create(name, (x, y)) for name in BINARY),
        b.power(b.abs(x), y),
        b.atan2(x, y),
        *(b.create(name, (i, k)) for name in (*LOGIC, "add", "subtract", "multiply", "maximum", "minimum")),
        b.create("divide", (i, divisor)),
        b.create("remainder", (i, divisor)),
        b.create("shift_left", (i, shift)),
        b.create("shift_right", (i, shift)),
        *(b.compare(direction, x, y) for direction in ("EQ", "NE", "LT", "LE", "GT", "GE")),
        *(b.compare(direction, i, k) for direction in ("EQ", "LT", "GE")),
        b.select(b.compare("LT", x, y), x, b.negate(y)),
        b.clamp(np.float32(-0.5), x, np.float32(0.5)),
        b.cast(x, i32),
        b.cast(x, i8),
        b.cast(i, f32),
        b.cast(x, i1),
        b.cast(x, f64),
        b.bitcast(x, i32),
    ]


def _shapes(b: GraphBuilder, x: SSAValue) -> Sequence[SSAValue]:
    sizes = b.shape_of(x)
    return [
        b.add(b.cast(b.dimension(x, 0), f32), x),
        b.broadcast(x, (2, -1, -1)),
        b.dynamic_broadcast(x, b.concatenate([b.constant(np.array([3], np.int64)), sizes], 0)),
        b.dynamic_reshape(b.negate(x), b.constant(np.array([-1], np.int64))),
        b.iota(i64, (3, 5), 1),
        b.iota(f32, (3, 5), 0),
        b.add(b.dynamic_iota(f32, sizes, 1), x),
        b.transpose(x, (1, 0)),
        b.pad(x, np.float32(3), (1, 0), (2, 1)),
        b.reverse(x, (0, 1)),
        b.slice(x, (1, 0), (2**40, -1), (2, 1)),
        b.reshape(b.exp(x), (-1,)),
    ]


def _reductions(b: GraphBuilder, x: SSAValue, i: SSAValue, flags: SSAValue) -> Sequence[SSAValue]:
    outputs: list[SSAValue] = []
    for kind in ("add", "multiply", "maximum", "minimum"):
        outputs += [b.reduce(kind, x, axes) for axes in ((1,), (0,), (0, 1))]
        outputs += [b.reduce(kind, i, axes) for axes in ((1,), (0,))]
    outputs += [b.reduce(kind, flags, (1,)) for kind in ("and", "or")]
    for kind in ("maximum", "minimum"):
        outputs += [
            b.arg_reduce(kind, x, axis, keep, last) for axis, keep, last in ((0, False, False), (1, True, True))
        ]
    return outputs


def _rows(b: GraphBuilder, x: SSAValue) -> Sequence[SSAValue]:
    width = b.shape(x)[-1]
    scale = normal(width, seed=3) if isinstance(width, int) else np.float32(1)
    outputs = [b.softmax(x, axis) for axis in (0, 1)] + [b.log_softmax(x, axis) for axis in (0, 1)]
    outputs += [b.mean(x, axes) for axes in ((0,), (1,))]
    if isinstance(width, int):
        outputs += [b.layer_norm(x, scale, scale, 1, 1e-5), b.rms_norm(x, scale, 1, 1e-5)]
    return outputs


def _sorts(b: GraphBuilder, x: SSAValue, i: SSAValue) -> Sequence[SSAValue]:
    outputs = [b.arg_sort(x, axis, descending) for axis, descending in ((1, False), (0, True))]
    outputs += [b.arg_sort(i, 1), b.sort(x, 1), b.sort(i, 1, True)]
    return [*outputs, *b.top_k(x, 3, 1)]


def _cumulative(b: GraphBuilder, x: SSAValue, i: SSAValue) -> Sequence[SSAValue]:
    outputs: list[SSAValue] = []
    for axis in (0, 1):
        for kind, exclusive, reverse in (("add", False, False), ("maximum", True, False), ("minimum", False, True)):
            outputs.append(b.cumulative(kind, x, axis, exclusive, reverse))
        outputs.append(b.cumulative("add", i, axis, True, True))
    return outputs


def _scatters(
    b: GraphBuilder, x: SSAValue, i: SSAValue, places: SSAValue, u: SSAValue, v: SSAValue
) -> Sequence[SSAValue]:
    form = {
        "update_window_dims": [1],
        "inserted_window_dims": [0],
        "scatter_dims_to_operand_dims": [0],
        "index_vector_dim": 1,
    }
    return [
        *(b.scatter(kind, x, places, u, **form) for kind in ("assign", "add", "multiply", "maximum", "minimum")),
        *(b.scatter(kind, i, places, v, **form) for kind in ("assign", "add", "multiply", "maximum", "minimum")),
    ]


def _control(b: GraphBuilder, x: SSAValue, flag: SSAValue) -> Sequence[SSAValue]:
    (chosen,) = b.if_(flag, lambda: [b.exp(x)], lambda: [b.negate(x)])
    barrier = b.create_with_regions("optimization_barrier", [b.tanh(x)], (), 1)[0]
    b.declare(barrier, b.abstract(x))
    return [chosen, barrier]


def _scan(b: GraphBuilder, x: SSAValue) -> Sequence[SSAValue]:
    def step(_: SSAValue, carried: Sequence[SSAValue], slices: Sequence[SSAValue]) -> tuple[list, list]:
        after = b.add(carried[0], b.tanh(slices[0]))
        return [after], [b.multiply(after, slices[0])]

    start = b.constant(np.zeros(b.shape(x)[1:], np.float32))
    (last,), (rows,) = b.scan([start], [x], step)
    return [last, rows]


def _while(b: GraphBuilder, x: SSAValue) -> Sequence[SSAValue]:
    count = b.constant(np.array(0, np.int64))
    return b.while_(
        [count, x],
        lambda values: [b.compare("LT", values[0], np.int64(3))],
        lambda values: [b.add(values[0], np.int64(1)), b.tanh(values[1])],
    )[1:]


def _transposes(b: GraphBuilder, x: SSAValue, y: SSAValue, z: SSAValue) -> Sequence[SSAValue]:
    return [
        b.add(b.transpose(x, (0, 2, 1)), z),
        b.multiply(b.transpose(y, (1, 0)), np.float32(2)),
        b.cast(b.transpose(y, (1, 0)), i32),
        b.group_norm(b.reshape(x, (3, 8, 5, 41)), np.arange(8, dtype=np.float32), np.ones(8, np.float32), 1, 4, 1e-5),
    ]


def _types(b: GraphBuilder, x: SSAValue, i: SSAValue, places: SSAValue) -> Sequence[SSAValue]:
    """The kinds of kernels on an element type that is not f32."""
    width = b.shape(x)[1]
    form = {"update_window_dims": [1], "inserted_window_dims": [0], "scatter_dims_to_operand_dims": [0]}
    updates = b.slice(x, (0, 0), (8, 2**40))
    return [
        b.softmax(x, 1),
        b.reduce("add", x, (0,)),
        b.reduce("maximum", x, (1,)),
        b.arg_reduce("minimum", x, 1),
        b.cumulative("maximum", x, 1),
        b.transpose(x, (1, 0)),
        b.add(b.multiply(x, x), x),
        b.broadcast(b.reshape(x, (-1, 1, width)), (-1, 3, width)),
        *(b.scatter(kind, x, places, updates, index_vector_dim=1, **form) for kind in ("assign", "maximum", "add")),
        b.cumulative("add", i, 1),
        b.reduce("maximum", i, (0, 1)),
        b.transpose(b.compare("LT", i, b.constant(np.array(3, dtype_of(b.element_type(i))))), (1, 0)),
    ]


def _long_rows(b: GraphBuilder, x: SSAValue) -> Sequence[SSAValue]:
    return [b.sort(x, 1), b.arg_sort(x, 1, True), *b.top_k(x, 100, 1), b.softmax(x, 1)]


def _vectors(b: GraphBuilder, x: SSAValue, v: SSAValue, w: SSAValue) -> Sequence[SSAValue]:
    """Rows of dynamic length with what is added to every row or column of them."""
    return [b.multiply(b.add(x, v), w), b.add(b.slice(x, (0, 0), (3, 2**40)), v)]


def _attention(b: GraphBuilder, q: SSAValue, k: SSAValue, v: SSAValue, mask: SSAValue) -> Sequence[SSAValue]:
    return [
        b.attention(q, k, v, scale=0.3),
        b.attention(q, k, v, scale=0.3, causal="end"),
        b.attention(q, k, v, mask, scale=0.3),
        b.attention(q, k, v, b.cast(b.compare("GT", mask, np.float32(0)), f32), scale=0.3, causal="start"),
    ]


def _attention_long(b: GraphBuilder, q: SSAValue, k: SSAValue, v: SSAValue, mask: SSAValue) -> Sequence[SSAValue]:
    return [b.attention(q, k, v, scale=0.1, causal="start"), b.attention(q, k, v, mask, scale=0.1, causal="end")]


def _attention_narrow(b: GraphBuilder, q: SSAValue, k: SSAValue, v: SSAValue, mask: SSAValue) -> Sequence[SSAValue]:
    return [b.attention(q, k, v, mask, scale=0.3), b.attention(q, k, v, scale=0.3, causal="start")]


def _together(*families: str, dtype: type = np.float32) -> Program:
    """The cases of derivatives whose names start with one of some words, as one program in f32."""
    # Captured f64 weights do not go with f32 inputs.
    cases = [case for case in CASES if case.name.startswith(families) and not case.name.endswith("_symbolic_input")]

    def converted(array: np.ndarray) -> np.ndarray:
        return array.astype(dtype) if array.dtype == np.float64 else array

    def build(b: GraphBuilder, *arguments: SSAValue) -> Sequence[SSAValue]:
        outputs: list[SSAValue] = []
        rest = list(arguments)
        for case in cases:
            own, rest = rest[: len(case.inputs)], rest[len(case.inputs) :]
            outputs.append(case.build(b, *own))
        return outputs

    return Program("_".join(families), tuple(converted(one) for case in cases for one in case.inputs), build)


def integers(*shape: int, low: int = -50, high: int = 50) -> np.ndarray:
    return np.random.default_rng([7, *shape]).integers(low, high, shape).astype(np.int32)


NAMES = (("n", "m"), ("m",), ("n", "1"))
PLACES = np.array([[5], [1], [5], [77], [0], [5], [-1], [33]], np.int64)

PROGRAMS: tuple[Program, ...] = (
    Program("unary", (special(7, 37),), _unary),
    Program("binary", (special(5, 33), special(5, 33)[::-1].copy(), integers(5, 33), integers(5, 33, low=-3)), _binary),
    Program("shapes", (normal(7, 9),), _shapes),
    Program("shapes_symbolic", (normal(6, 11),), _shapes, (("n", "m"),)),
    Program("shapes_empty", (normal(0, 11),), _shapes, (("n", "m"),)),
    Program("reductions", (normal(35, 70), integers(35, 70), integers(35, 70) > -49), _reductions),
    Program(
        "reductions_symbolic", (normal(3, 300), integers(3, 300), integers(3, 300) > 0), _reductions, (("n", "m"),) * 3
    ),
    Program("reductions_special", (special(9, 33, extreme=False), integers(9, 33), integers(9, 33) > 0), _reductions),
    Program("rows", (normal(70, 129),), _rows),
    Program("rows_short", (normal(130, 7),), _rows),
    Program("rows_long", (normal(2, 5000),), _rows),
    Program("rows_special", (special(13, 64, extreme=False),), _rows),
    Program("rows_symbolic", (normal(5, 77),), _rows, (("n", "m"),)),
    Program("sorts", (special(5, 33), integers(5, 33, low=-3, high=3)), _sorts),
    Program("sorts_long", (normal(2, 1500), integers(2, 1500)), _sorts),
    Program("rows_of_several_blocks", (normal(1, 70001),), _long_rows),
    Program("cumulative", (normal(5, 33), integers(5, 33)), _cumulative),
    Program("cumulative_long", (normal(3, 3000), integers(3, 3000)), _cumulative),
    Program("cumulative_symbolic", (normal(3, 300), integers(3, 300)), _cumulative, (("n", "m"),) * 2),
    Program("cumulative_parts", (normal(1, 8300), integers(1, 8300)), _cumulative),
    Program("cumulative_parts_symbolic", (normal(2, 2100), integers(2, 2100)), _cumulative, (("2", "m"),) * 2),
    Program("scatters", (normal(40, 9), integers(40, 9), PLACES, normal(8, 9), integers(8, 9)), _scatters),
    Program("transposes", (normal(3, 40, 41), normal(65, 130), normal(3, 41, 40)), _transposes),
    Program(
        "types_f16", (normal(40, 24).astype(np.float16), integers(9, 40).astype(np.int8), PLACES), _types, (), 2e-3
    ),
    Program(
        "types_bf16", (normal(40, 24).astype(BFLOAT16), integers(9, 40).astype(np.int16), PLACES), _types, (), 2e-2
    ),
    Program("types_f64", (normal(40, 24).astype(np.float64), integers(9, 40).astype(np.int64), PLACES), _types),
    Program("types_u8", (normal(40, 24), integers(9, 40, low=0).astype(np.uint8), PLACES), _types),
    Program("control", (normal(5, 6), np.array(True)), _control),
    Program("scan", (normal(5, 6),), _scan),
    Program("while", (normal(5, 6),), _while),
    Program("attention", (normal(4, 40, 16), normal(2, 70, 16), normal(2, 70, 24), normal(40, 70)), _attention),
    Program(
        "attention_long",
        (normal(2, 4, 129, 64), normal(2, 4, 100, 64), normal(2, 4, 100, 64), normal(129, 100) > -2),
        _attention_long,
    ),
    Program(
        "attention_symbolic",
        (normal(2, 33, 128), normal(1, 65, 128), normal(1, 65, 17), normal(33, 65)),
        _attention,
        (("2", "m", "128"), ("1", "n", "128"), ("1", "n", "17"), ("m", "n")),
    ),
    Program(
        "attention_f16",
        tuple(
            one.astype(np.float16) for one in (normal(4, 40, 16), normal(2, 37, 16), normal(2, 37, 24), normal(40, 37))
        ),
        _attention_narrow,
        (),
        2e-3,
    ),
    Program(
        "attention_bf16",
        tuple(one.astype(BFLOAT16) for one in (normal(1, 19, 9), normal(1, 33, 9), normal(1, 33, 5), normal(19, 33))),
        _attention_narrow,
        (("1", "m", "9"), ("1", "n", "9"), ("1", "n", "5"), ("m", "n")),
        2e-2,
    ),
    *(
        Program(f"vectors_{columns}", (normal(5, columns), normal(columns), normal(5, 1)), _vectors, NAMES)
        for columns in (12, 13, 1)
    ),
    Program(
        "vectors_f16",
        tuple(one.astype(np.float16) for one in (normal(6, 1032), normal(1032), normal(6, 1))),
        _vectors,
        NAMES,
        2e-3,
    ),
    _together("dynamic", "pad", "slice", "concatenate", "gather", "pack", "unpack", "reverse"),
    _together("reduce_window", "resize", "batch_norm", "layer_norm_axes", "mean"),
    _together("matmul", "dot_general", "outer_product", "attention"),
    _together("convolution"),
)


SMALL = 1e-30
"""Where a result is no larger than this, only its absolute difference counts."""


def assert_equals(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    expected = np.asarray(expected)
    # A file of arrays does not know bf16.
    found = found.view(expected.dtype) if found.dtype.kind == "V" else found
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind not in "fV":
        np.testing.assert_array_equal(found, expected)
        return
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    scale = min(max(1.0, float(finite.max(initial=SMALL))), 100.0)
    np.testing.assert_allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=tolerance * scale
    )
