"""Elementwise ops and constants: references against ONNX Runtime, Python's math and exact integers."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from xdsl.dialects.builtin import DenseResourceAttr, IntegerType, TensorType, bf16, f16, f32, i1, i64
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.test_value import create_ssa_value

from graph_testing import (
    ALL,
    BOOL,
    FLOATS,
    INTEGERS,
    SPECIAL_FLOATS,
    arrays,
    assert_round_trips,
    assert_same_bits,
    canonicalized,
    check_hooks,
    constants,
    context,
    evaluate,
    function,
    graph_op,
    onnx_runtime,
    quietly,
    shapes,
    tensor,
    text,
)
from lamina.diagnostics import LaminaError
from lamina.dialects.graph import elementwise as ew
from lamina.dialects.graph.base import AbstractTensor, InferenceError
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.dims import evaluate as evaluate_dim
from lamina.dialects.graph.dims import maximum, symbol
from lamina.dialects.graph.types import BFLOAT16, DTYPES, ELEMENT_TYPES, dtype_of, element_type_of
from lamina.parser import parse_text
from lamina.resources import ResourceStore

F32 = np.dtype(np.float32)
FEW = settings(max_examples=15, deadline=None)
SOME = settings(max_examples=40, deadline=None)

# What an op is called in ONNX, and how far ONNX Runtime's approximation may be from a correctly rounded one.
ONNX_UNARY = {
    ew.AbsOp: ("Abs", 0), ew.NegateOp: ("Neg", 0), ew.SignOp: ("Sign", 0), ew.ExpOp: ("Exp", 4e-6),
    ew.LogOp: ("Log", 4e-6), ew.SqrtOp: ("Sqrt", 0), ew.SinOp: ("Sin", 4e-6), ew.CosOp: ("Cos", 4e-6),
    ew.TanOp: ("Tan", 4e-6), ew.AsinOp: ("Asin", 4e-6), ew.AcosOp: ("Acos", 4e-6), ew.AtanOp: ("Atan", 4e-6),
    ew.SinhOp: ("Sinh", 4e-6), ew.CoshOp: ("Cosh", 4e-6), ew.AsinhOp: ("Asinh", 4e-6), ew.AcoshOp: ("Acosh", 4e-6),
    ew.AtanhOp: ("Atanh", 4e-6), ew.TanhOp: ("Tanh", 4e-6), ew.ErfOp: ("Erf", 4e-6), ew.LogisticOp: ("Sigmoid", 4e-6),
    ew.FloorOp: ("Floor", 0), ew.CeilOp: ("Ceil", 0), ew.RoundNearestEvenOp: ("Round", 0), ew.IsNanOp: ("IsNaN", 0),
}  # fmt: skip


@pytest.mark.parametrize("op", ONNX_UNARY, ids=lambda op: op.name)
@FEW
@given(data=st.data())
def test_unary_agrees_with_onnx_runtime(op, data):
    elements = st.sampled_from(SPECIAL_FLOATS) | st.floats(-20, 20, width=32)
    array = data.draw(hnp.arrays(np.float32, shapes(), elements=elements))
    name, tolerance = ONNX_UNARY[op]
    if name in ("Sin", "Cos", "Tan"):
        array = np.where(np.isinf(array), np.float32(1), array)  # ONNX Runtime's answer there is not NaN on all CPUs
    module = function(lambda x: op(x), array)
    actual = evaluate(module, array)
    expected = onnx_runtime(name, [array])
    if tolerance:
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=2e-7)
    else:
        np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == expected.dtype


def guarded(function, *domain):
    def call(x):
        try:
            return function(x)
        except (ValueError, OverflowError):
            return dict(domain).get(x, math.nan)

    return call


def exponential(x):
    return math.inf if x > 709 else math.exp(x)


MATH = {
    ew.AbsOp: abs, ew.NegateOp: lambda x: -x,
    ew.ExpOp: exponential, ew.Expm1Op: lambda x: math.inf if x > 709 else math.expm1(x),
    ew.LogOp: guarded(math.log, (0.0, -math.inf)), ew.Log1pOp: guarded(math.log1p, (-1.0, -math.inf)),
    ew.SqrtOp: guarded(math.sqrt), ew.RsqrtOp: guarded(lambda x: 1 / math.sqrt(x) if x else math.copysign(math.inf, x)),
    ew.SinOp: guarded(math.sin), ew.CosOp: guarded(math.cos), ew.TanOp: guarded(math.tan),
    ew.AsinOp: guarded(math.asin), ew.AcosOp: guarded(math.acos), ew.AtanOp: math.atan,
    ew.SinhOp: lambda x: math.copysign(math.inf, x) if abs(x) > 709 else math.sinh(x),
    ew.CoshOp: lambda x: math.inf if abs(x) > 709 else math.cosh(x),
    ew.AsinhOp: math.asinh, ew.AcoshOp: guarded(math.acosh),
    ew.AtanhOp: guarded(math.atanh, (1.0, math.inf), (-1.0, -math.inf)), ew.TanhOp: math.tanh, ew.ErfOp: math.erf,
    ew.LogisticOp: lambda x: 1 / (1 + exponential(-x)) if x > -709 else (math.nan if math.isnan(x) else 0.0),
    ew.FloorOp: lambda x: float(math.floor(x)) if math.isfinite(x) else x,
    ew.CeilOp: lambda x: float(math.ceil(x)) if math.isfinite(x) else x,
    ew.RoundNearestEvenOp: lambda x: float(round(x)) if math.isfinite(x) else x,
}  # fmt: skip


@pytest.mark.parametrize("op", MATH, ids=lambda op: op.name)
@FEW
@given(data=st.data())
def test_unary_is_a_rounding_of_the_exact_value(op, data):
    """All float types against Python's math in double precision: within one unit in the last place of the type."""
    dtype = data.draw(st.sampled_from(FLOATS))
    elements = st.sampled_from(SPECIAL_FLOATS) | st.floats(-30, 30, width=16)
    array = quietly(data.draw(hnp.arrays(np.float64, shapes(2), elements=elements)), dtype)
    actual = evaluate(function(lambda x: op(x), array), array)
    exact = np.array([MATH[op](float(x)) for x in array.reshape(-1)], np.float64).reshape(array.shape)
    assert actual.dtype == dtype
    epsilon = {2: 2.0**-7 if dtype == BFLOAT16 else 2.0**-10, 4: 4e-7, 8: 4e-15}[dtype.itemsize]
    smallest = {2: 2.0**-133 if dtype == BFLOAT16 else 2.0**-24, 4: 1e-37, 8: 1e-300}[dtype.itemsize]
    with np.errstate(all="ignore"):
        expected = quietly(exact, dtype).astype(np.float64)
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=epsilon, atol=smallest)


ONNX_BINARY = {
    ew.AddOp: ("Add", {}), ew.SubtractOp: ("Sub", {}), ew.MultiplyOp: ("Mul", {}), ew.DivideOp: ("Div", {}),
    ew.RemainderOp: ("Mod", {"fmod": 1}), ew.PowerOp: ("Pow", {}), ew.MaximumOp: ("Max", {}), ew.MinimumOp: ("Min", {}),
}  # fmt: skip


@pytest.mark.parametrize("op", ONNX_BINARY, ids=lambda op: op.name)
@FEW
@given(data=st.data())
def test_float_binary_agrees_with_onnx_runtime(op, data):
    pair = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=4))
    elements = st.sampled_from(SPECIAL_FLOATS) | st.floats(-20, 20, width=32)
    left, right = (data.draw(hnp.arrays(np.float32, shape, elements=elements)) for shape in pair.input_shapes)
    name, attributes = ONNX_BINARY[op]
    actual = evaluate(function(lambda x, y: op(x, y), left, right), left, right)
    expected = onnx_runtime(name, [left, right], **attributes)
    np.testing.assert_allclose(actual, expected, rtol=1e-6 if op is ew.PowerOp else 0, atol=0)
    assert actual.shape == pair.result_shape


def wrapped(value: int, dtype) -> int:
    bits = dtype.itemsize * 8
    value %= 1 << bits
    return value - (1 << bits) if dtype.kind == "i" and value >= 1 << (bits - 1) else value


def divided(a: int, b: int) -> int:
    if b == 0:
        return -1
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def powered(a: int, b: int) -> int:
    if b >= 0:
        return pow(a, b, 1 << 64)
    return {1: 1, -1: 1 if b % 2 == 0 else -1}.get(a, 0)


EXACT = {
    ew.AddOp: lambda a, b, bits: a + b, ew.SubtractOp: lambda a, b, bits: a - b,
    ew.MultiplyOp: lambda a, b, bits: a * b, ew.DivideOp: lambda a, b, bits: divided(a, b),
    ew.RemainderOp: lambda a, b, bits: a if b == 0 else a - b * divided(a, b),
    ew.PowerOp: lambda a, b, bits: powered(a, b),
    ew.MaximumOp: lambda a, b, bits: max(a, b), ew.MinimumOp: lambda a, b, bits: min(a, b),
    ew.AndOp: lambda a, b, bits: a & b, ew.OrOp: lambda a, b, bits: a | b, ew.XorOp: lambda a, b, bits: a ^ b,
    ew.ShiftLeftOp: lambda a, b, bits: a << b if 0 <= b < bits else 0,
    ew.ShiftRightOp: lambda a, b, bits: a >> b if 0 <= b < bits else (-1 if a < 0 else 0),
}  # fmt: skip


@pytest.mark.parametrize("op", EXACT, ids=lambda op: op.name)
@SOME
@given(data=st.data())
def test_integers_are_exact_and_wrap(op, data):
    dtype = data.draw(st.sampled_from(INTEGERS))
    shape = data.draw(shapes(2))
    left, right = data.draw(arrays(dtype, shape)), data.draw(arrays(dtype, shape) | st.just(np.full(shape, 5, dtype)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = evaluate(function(lambda x, y: op(x, y), left, right), left, right)
    bits = dtype.itemsize * 8
    pairs = zip(left.reshape(-1).tolist(), right.reshape(-1).tolist(), strict=True)
    expected = [wrapped(EXACT[op](a, b, bits), dtype) for a, b in pairs]
    assert actual.reshape(-1).tolist() == expected
    assert actual.dtype == dtype


@given(dtype=st.sampled_from(INTEGERS), data=st.data())
@SOME
def test_integer_unary_is_exact(dtype, data):
    array = data.draw(arrays(dtype, shapes(2)))
    exact = {
        ew.AbsOp: abs, ew.NegateOp: lambda a: -a, ew.SignOp: lambda a: (a > 0) - (a < 0), ew.NotOp: lambda a: ~a,
    }  # fmt: skip
    for op, rule in exact.items():
        actual = evaluate(function(lambda x, op=op: op(x), array), array)
        assert actual.reshape(-1).tolist() == [wrapped(rule(a), dtype) for a in array.reshape(-1).tolist()]
        assert actual.dtype == dtype


@given(data=st.data())
@FEW
def test_booleans_agree_with_onnx_runtime(data):
    left, right = (data.draw(arrays(BOOL, (3, 2))) for _ in range(2))
    for op, name in ((ew.AndOp, "And"), (ew.OrOp, "Or"), (ew.XorOp, "Xor")):
        actual = evaluate(function(lambda x, y, op=op: op(x, y), left, right), left, right)
        assert_same_bits(actual, onnx_runtime(name, [left, right]))
    assert_same_bits(evaluate(function(lambda x: ew.NotOp(x), left), left), onnx_runtime("Not", [left]))


@given(data=st.data())
@FEW
def test_is_inf_agrees_with_onnx_runtime(data):
    array = data.draw(arrays(F32, (7,)))
    negative, positive = data.draw(st.booleans()), data.draw(st.booleans())
    actual = evaluate(function(lambda x: ew.IsInfOp(x, negative, positive), array), array)
    expected = onnx_runtime("IsInf", [array], detect_negative=int(negative), detect_positive=int(positive))
    assert_same_bits(actual, expected)


@pytest.mark.parametrize("direction", ["EQ", "NE", "LT", "LE", "GT", "GE"])
@SOME
@given(data=st.data())
def test_compare_is_python_s(direction, data):
    dtype = data.draw(st.sampled_from(ALL))
    left, right = (data.draw(arrays(dtype, (4,))) for _ in range(2))
    actual = evaluate(function(lambda x, y: ew.CompareOp(direction, x, y), left, right), left, right)
    python = {"EQ": "__eq__", "NE": "__ne__", "LT": "__lt__", "LE": "__le__", "GT": "__gt__", "GE": "__ge__"}
    kind = float if dtype in FLOATS else int
    pairs = zip(left, right, strict=True)
    assert actual.tolist() == [getattr(kind(a), python[direction])(kind(b)) for a, b in pairs]
    assert actual.dtype == BOOL


@given(data=st.data())
@FEW
def test_select_and_clamp_agree_with_onnx_runtime(data):
    pred = data.draw(arrays(BOOL, (3, 1)))
    left, right = data.draw(arrays(F32, (1, 4))), data.draw(arrays(F32, (3, 4)))
    actual = evaluate(function(lambda p, x, y: ew.SelectOp(p, x, y), pred, left, right), pred, left, right)
    np.testing.assert_array_equal(actual, onnx_runtime("Where", [pred, left, right]))  # it loses the sign of -0.0
    number = st.floats(-8, 8, width=32)
    lower, upper = np.float32(data.draw(number)), np.float32(data.draw(number))
    assume(lower <= upper)
    bounds = np.asarray(lower), np.asarray(upper)
    module = function(lambda a, x, b: ew.ClampOp(a, x, b), bounds[0], right, bounds[1])
    actual = evaluate(module, bounds[0], right, bounds[1])
    np.testing.assert_array_equal(actual, onnx_runtime("Clip", [right, *bounds]))


def nearest(value: Fraction, dtype) -> float:
    """The float of a 16-bit type nearest to an exact value, ties to even: by looking at the candidates."""
    integer = np.dtype(np.uint16)
    guess = int(np.asarray(quietly(np.asarray(float(abs(value))), dtype)).view(integer))
    largest = 0x7F7F if dtype == BFLOAT16 else 0x7BFF
    step = 2.0**120 if dtype == BFLOAT16 else 2.0**5  # one unit past the largest, halved, rounds to infinity
    candidates = [bits for bits in (guess - 1, guess, guess + 1) if 0 <= bits <= largest]
    floats = {bits: Fraction(float(np.asarray(bits, integer).view(dtype))) for bits in candidates}
    if abs(value) >= Fraction(float(np.asarray(largest, integer).view(dtype))) + Fraction(step) / 2:
        return math.copysign(math.inf, value)
    best = min(candidates, key=lambda bits: (abs(floats[bits] - abs(value)), bits % 2))
    return math.copysign(float(floats[best]), value) if value else 0.0


@pytest.mark.parametrize("target", DTYPES, ids=str)
@SOME
@given(data=st.data())
def test_cast_is_exact(target, data):
    """Every pair of element types against exact arithmetic."""
    source = data.draw(st.sampled_from(ALL))
    array = data.draw(arrays(source, (5,)))
    dtype = dtype_of(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = evaluate(function(lambda x: ew.CastOp(x, target), array), array)
    assert actual.dtype == dtype
    for before, after in zip(array, actual, strict=True):
        value = float(before) if source in FLOATS else int(before)
        assert cast_one(value, source, dtype, after), (before, after)


def cast_one(value, source, dtype, after) -> bool:
    if dtype == BOOL:
        return bool(after) == (value != 0)
    if dtype.kind in "iu":
        if source not in FLOATS:
            return int(after) == wrapped(value, dtype)
        limits = np.iinfo(dtype)
        if math.isnan(value):
            return int(after) == 0
        if math.isinf(value):
            return int(after) == (limits.max if value > 0 else limits.min)
        return int(after) == min(max(math.trunc(value), int(limits.min)), int(limits.max))
    if math.isnan(value):
        return math.isnan(float(after))
    if math.isinf(value):
        return float(after) == value
    if dtype.itemsize == 2:
        return float(after) == nearest(Fraction(value), dtype)
    if dtype == np.float64:
        return float(after) == float(value)
    with np.errstate(over="ignore"):
        below, above = (float(np.nextafter(after, np.float32(end))) for end in (-np.inf, np.inf))
    if math.isinf(float(after)):
        return abs(Fraction(value)) >= Fraction(2) ** 128 - Fraction(2) ** 103
    distance = abs(Fraction(float(after)) - Fraction(value))
    return all(math.isinf(other) or distance <= abs(Fraction(other) - Fraction(value)) for other in (below, above))


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        (np.float64(1 + 2**-8 + 2**-40), bf16, 1 + 2**-7),
        (np.float64(1 + 2**-11 + 2**-40), f16, 1 + 2**-10),
        (np.int64((1 << 30) + (1 << 22) + 1), bf16, (1 << 30) + (1 << 23)),
        (np.uint64(2**64 - 1), bf16, 2.0**64),
        (np.int64(2**63 - 1), bf16, 2.0**63),
        (np.int64(65520), f16, math.inf),
    ],
)
def test_cast_rounds_once(value, target, expected):
    array = np.asarray(value)
    assert float(evaluate(function(lambda x: ew.CastOp(x, target), array), array)) == expected


@given(array=arrays(F32, shapes(2)))
@FEW
def test_bitcast_keeps_bits(array):
    bits = evaluate(function(lambda x: ew.BitcastOp(x, ELEMENT_TYPES[np.dtype(np.uint32)]), array), array)
    assert bits.tobytes() == array.tobytes()
    assert bits.shape == array.shape


# Every op, drawn


def draw_op(op, data):
    """A module with one op of this class on drawn inputs, and the inputs."""
    if op is ConstantOp:
        array = data.draw(arrays(data.draw(st.sampled_from(ALL)), shapes(3)))
        return function(lambda: ConstantOp.from_array(array, ResourceStore())), []
    accepted = [dtype for dtype in ALL if op.ELEMENTS.accepts(ELEMENT_TYPES[dtype])]
    dtype = data.draw(st.sampled_from(accepted))
    count = len(op.get_irdl_definition().operands)
    shape_list = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)
    ).input_shapes
    dtypes = [dtype] * count
    if op is ew.SelectOp:
        dtypes[0] = BOOL
    inputs = [data.draw(arrays(kind, shape)) for kind, shape in zip(dtypes, shape_list, strict=True)]
    if op is ew.CompareOp:
        direction = data.draw(st.sampled_from(sorted(ew.COMPARISONS)))
        return function(lambda x, y: op(direction, x, y), *inputs), inputs
    if op is ew.IsInfOp:
        flags = data.draw(st.tuples(st.booleans(), st.booleans()))
        return function(lambda x: op(x, *flags), *inputs), inputs
    if op is ew.CastOp:
        target = ELEMENT_TYPES[data.draw(st.sampled_from(ALL))]
        return function(lambda x: op(x, target), *inputs), inputs
    if op is ew.BitcastOp:
        fitting = [kind for kind in ALL if kind.itemsize == dtype.itemsize and BOOL not in (kind, dtype)] or [dtype]
        assume(dtype != BOOL)
        target = ELEMENT_TYPES[data.draw(st.sampled_from(fitting))]
        return function(lambda x: op(x, target), *inputs), inputs
    return function(lambda *operands: op(*operands), *inputs), inputs


@pytest.mark.parametrize("op", [ConstantOp, *ew.ELEMENTWISE_OPS], ids=lambda op: op.name)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_hook(op, data):
    module, inputs = draw_op(op, data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_hooks(module, inputs)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_canonicalization_keeps_every_bit(data):
    """Binary ops, select and clamp with constants that invite rewrites."""
    dtype = data.draw(st.sampled_from([F32, np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.float16), BOOL]))
    accepted = [
        op for op in ew.ELEMENTWISE_OPS if issubclass(op, ew.BinaryOp) and op.ELEMENTS.accepts(ELEMENT_TYPES[dtype])
    ]
    op = data.draw(st.sampled_from(accepted))
    shape = data.draw(st.sampled_from([(), (3,), (2, 3)]))
    array = data.draw(arrays(dtype, shape))
    if dtype == BOOL:
        neutral = np.asarray(data.draw(st.booleans()))
    elif dtype.kind == "f":
        choices = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, np.inf, -np.inf, np.nan]
        neutral = np.asarray(data.draw(st.sampled_from(choices)), dtype)
    else:
        limits = np.iinfo(dtype)
        neutral = np.asarray(data.draw(st.sampled_from([0, 1, 2, int(limits.min), int(limits.max)])), dtype)
    neutral = np.full(data.draw(st.sampled_from([(), (1,), (3,)])), neutral)
    swap = data.draw(st.booleans())

    def build(x):
        (constant,) = constants(neutral)
        return [constant, op(constant, x) if swap else op(x, constant)]

    module = function(build, array)
    expected = evaluate(module, array)
    actual = evaluate(canonicalized(module), array)
    if op is ew.PowerOp and dtype.kind == "f":
        np.testing.assert_allclose(
            actual.astype(np.float64), expected.astype(np.float64), rtol=2e-3 if dtype.itemsize == 2 else 3e-7
        )
        zero = expected == 0
        np.testing.assert_array_equal(np.signbit(actual)[zero], np.signbit(expected)[zero])
    elif op in (ew.MaximumOp, ew.MinimumOp):
        np.testing.assert_array_equal(actual, expected)
    else:
        assert_same_bits(actual, expected)


@given(dtypes=st.lists(st.sampled_from(ALL), min_size=3, max_size=3), data=st.data())
@settings(max_examples=100, deadline=None)
def test_merged_casts_keep_every_bit(dtypes, data):
    source, middle, target = dtypes
    array = data.draw(arrays(source, (6,)))

    def build(x):
        first = ew.CastOp(x, ELEMENT_TYPES[middle])
        return [first, ew.CastOp(first, ELEMENT_TYPES[target])]

    module = function(build, array)
    assert_same_bits(evaluate(canonicalized(module), array), evaluate(module, array))


# Inference


@given(data=st.data())
@SOME
def test_broadcasting_of_symbolic_sizes(data):
    """Where the symbols stand for sizes that fit, the inferred shape is NumPy's."""
    pair = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=2, max_side=4))
    sizes = {}

    def abstract(shape, prefix):
        dims = []
        for axis, size in enumerate(shape):
            if size != 1 and data.draw(st.booleans()):
                name = f"{prefix}{axis}"
                sizes[name] = size
                dims.append(symbol(name))
            else:
                dims.append(size)
        return AbstractTensor(tuple(dims), f32)

    operands = [abstract(shape, prefix) for shape, prefix in zip(pair.input_shapes, "ab", strict=True)]
    op = function(lambda x, y: ew.AddOp(x, y), *(np.zeros(shape, F32) for shape in pair.input_shapes))
    add = graph_op(op)
    (result,) = add.infer(operands)
    assert tuple(evaluate_dim(dim, sizes) for dim in result.shape) == pair.result_shape
    for left, right in add.constraints(operands):
        assert evaluate_dim(left, sizes) == evaluate_dim(right, sizes)


def infer(op, *operands):
    return op.infer(operands)[0]


def test_arithmetic_on_sizes():
    s = symbol("s")
    vector = create_ssa_value(TensorType(i64, [2]))
    sizes = AbstractTensor((2,), i64, (s, 6))
    two = AbstractTensor((), i64, (2,))
    add, multiply, divide = (op(vector, vector) for op in (ew.AddOp, ew.MultiplyOp, ew.DivideOp))
    assert infer(add, sizes, two).elements == (s + 2, 8)
    assert infer(multiply, sizes, two).elements == (2 * s, 12)
    assert infer(divide, sizes, two).elements == (s // 2, 3)
    assert infer(divide, AbstractTensor((1,), i64, (-7,)), two).elements == (-3,)
    assert infer(divide, two, AbstractTensor((), i64, (0,))).elements is None
    assert infer(ew.MaximumOp(vector, vector), sizes, two).elements == (maximum(s, 2), 6)
    equal = infer(ew.CompareOp("EQ", vector, vector), sizes, AbstractTensor((), i64, (-1,)))
    assert equal.elements == (0, 0)
    pred = create_ssa_value(TensorType(i1, [2]))
    assert infer(ew.SelectOp(pred, vector, vector), equal, two, sizes).elements == (s, 6)
    assert infer(ew.CastOp(vector, ELEMENT_TYPES[np.dtype(np.int32)]), sizes).elements == (s, 6)
    assert infer(ew.CastOp(vector, ELEMENT_TYPES[np.dtype(np.int8)]), sizes).elements is None
    assert infer(ew.CastOp(vector, f32), sizes).elements is None
    large = AbstractTensor((1,), i64, (2**62,))
    assert infer(add, large, large).elements is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("graph.add %x, %y : tensor<4xf32>, tensor<3xf32> -> tensor<4xf32>", r"graph.add: expected shapes that"),
        ("graph.tanh %x : tensor<4xf32> -> tensor<4xf64>", "expected tensor<4xf32>, found tensor<4xf64>"),
        ("graph.tanh %i : tensor<4xi32>", "graph.tanh: operand 0: expected a float, found i32"),
        ("graph.add %b, %b : tensor<4xi1>", "expected a float or an integer, found i1"),
        ("graph.and %x, %x : tensor<4xf32>", "expected an integer or i1, found f32"),
        ("graph.add %x, %i : tensor<4xf32>, tensor<4xi32> -> tensor<4xf32>", "operand 1: expected f32 as operand 0"),
        ("graph.compare LESS, %x, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xi1>", "expected one of EQ"),
        ("graph.select %x, %x, %x : tensor<4xf32>", "pred: expected i1, found f32"),
        ("graph.bitcast %x : tensor<4xf32> -> tensor<4xi64>", "expected element types of one width"),
        ("graph.cast %x : tensor<4xf32> -> tensor<4xi4>", "expected an element type, found i4"),
        ("graph.tanh %x : tensor<4xf32> -> tensor<5xf32>", "expected tensor<4xf32>, found tensor<5xf32>"),
    ],
)
def test_refuses(line, message):
    arguments = "%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>"
    source = f"func.func @f({arguments}) {{\n  %0 = {line}\n  func.return\n}}"
    module = parse_text(context(), source, "test.mlir")
    with pytest.raises(VerifyException, match=message):
        module.verify()


def test_a_result_may_be_less_static_than_inferred():
    source = (
        "func.func @f(%x: tensor<4xf32>) {\n  %0 = graph.tanh %x : tensor<4xf32> -> tensor<?xf32>\n  func.return\n}"
    )
    assert_round_trips(parse_text(context(), source, "test.mlir"))


def test_builders_refuse_what_does_not_fit():
    with pytest.raises(InferenceError, match="broadcast together"):
        ew.AddOp(create_ssa_value(TensorType(f32, [2])), create_ssa_value(TensorType(f32, [3])))


# Constants


@given(dtype=st.sampled_from(ALL), data=st.data())
@settings(max_examples=60, deadline=None)
def test_constants_hold_their_array(dtype, data):
    array = data.draw(arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=12)))
    resources = ResourceStore()
    op = ConstantOp.from_array(array, resources)
    op.verify()
    assert op.result.type == tensor(array)
    assert op.array(resources).tobytes() == array.tobytes()
    splat = array.size > 0 and len({element.tobytes() for element in array.reshape(-1)}) == 1
    zeros = array.size > 0 and not array.any()  # xDSL prints zeros of both signs as a splat
    assert isinstance(op.value, DenseResourceAttr) == (not splat and (array.size > 64 or zeros))
    elements = op.small_integer_elements()
    if dtype in FLOATS or array.ndim > 1 or array.size > 32:
        assert elements is None
    else:
        assert elements == tuple(int(element) for element in array.reshape(-1))
    assert_round_trips(function(lambda: ConstantOp.from_array(array, resources)))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_constants_of_nan_and_infinity_read_back(dtype):
    array = quietly(np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45]), dtype)
    module = function(lambda: constants(array)[0])
    again = parse_text(context(), text(module), "test.mlir")
    assert graph_op(again).array(ResourceStore()).tobytes() == array.tobytes()


def test_equal_booleans_are_equal_attributes():
    made = constants(np.array([True, False]))[0]
    read = parse_text(context(), "%0 = graph.constant dense<[true, false]> : tensor<2xi1>", "test.mlir")
    assert next(iter(read.ops)).value == made.value


def test_other_byte_order_and_strides():
    array = np.arange(200, dtype=">i4").reshape(10, 20).T
    resources = ResourceStore()
    op = ConstantOp.from_array(array, resources)
    np.testing.assert_array_equal(op.array(resources), array)
    assert op.array(resources).dtype == np.int32


def test_unsupported_dtypes_are_refused():
    with pytest.raises(LaminaError, match="complex64"):
        element_type_of(np.complex64)
    with pytest.raises(LaminaError, match="i4"):
        dtype_of(IntegerType(4))
