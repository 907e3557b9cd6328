"""What scalar and vector ops compute for many threads at once, in NumPy.

A value is an array whose first axis are the threads, or that has one entry where all threads have the same; vectors add
their axes. Inactive threads compute too, and nobody looks at what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    BFloat16Type,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    FloatAttr,
    IndexType,
    IntegerAttr,
)
from xdsl.ir import Attribute, Operation

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import is_integer, is_memref, is_vector

Lanes: TypeAlias = "npt.NDArray[Any]"
Unary: TypeAlias = "Callable[[Lanes], Lanes]"
Binary: TypeAlias = "Callable[[Lanes, Lanes], Lanes]"
Case: TypeAlias = "Callable[..., Lanes]"

FLOATS: Mapping[type[Attribute], Any] = {
    Float16Type: np.float16,
    BFloat16Type: ml_dtypes.bfloat16,
    Float32Type: np.float32,
    Float64Type: np.float64,
}


def element_of(type_: Attribute) -> Attribute:
    """The element type of a vector or a buffer, a scalar's own."""
    return type_.get_element_type() if is_vector(type_) or is_memref(type_) else type_


def dtype_of(type_: Attribute) -> np.dtype[Any]:
    """The dtype of a scalar type, or of the elements of a vector or a buffer."""
    element = element_of(type_)
    if isinstance(element, IndexType):
        return np.dtype(np.int64)
    if is_integer(element):
        width = element.width.data
        return np.dtype(np.bool_) if width == 1 else np.dtype(f"i{max(1, width // 8)}")
    found = FLOATS.get(type(element))
    if found is None:
        raise LaminaError(f"{element} has no form in NumPy")
    return np.dtype(found)


def shape_of(type_: Attribute) -> tuple[int, ...]:
    """The axes of a vector, none for a scalar."""
    return tuple(type_.get_shape()) if is_vector(type_) else ()


def constant(op: Operation) -> Lanes:
    """The value of `arith.constant`, the same for all threads."""
    value, type_ = op.properties["value"], op.results[0].type
    dtype, shape = dtype_of(type_), shape_of(type_)
    if isinstance(value, DenseIntOrFPElementsAttr):
        dense = cast("DenseIntOrFPElementsAttr[Any]", value)
        numbers: list[Any] = [one.value.data for one in dense.iter_attrs()]
    elif isinstance(value, IntegerAttr | FloatAttr):
        numbers = [cast("IntegerAttr[Any] | FloatAttr[Any]", value).value.data]
    else:
        raise LaminaError(f"'{op.name}' of {value}")
    if dtype.kind == "b":
        return np.array([bool(one) for one in numbers]).reshape(1, *(shape if len(numbers) > 1 else (1,) * len(shape)))
    if dtype.kind == "i":
        bits = 8 * dtype.itemsize
        numbers = [(int(one) + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for one in numbers]
    found = np.array(numbers, dtype)
    return np.broadcast_to(found.reshape(shape) if len(numbers) > 1 else found.reshape((1,) * len(shape)), shape)[None]


def unsigned(x: Lanes) -> Lanes:
    """Integers as unsigned ones of the same bits."""
    return x.view(np.dtype(f"u{x.dtype.itemsize}")) if x.dtype.kind == "i" else x


def _signed(function: Binary) -> Binary:
    """What is defined on unsigned numbers, on signed ones of the same bits."""

    def case(left: Lanes, right: Lanes) -> Lanes:
        found = function(unsigned(np.ascontiguousarray(left)), unsigned(np.ascontiguousarray(right)))
        return found.view(left.dtype)

    return case


def _divide(left: Lanes, right: Lanes) -> Lanes:
    """C's division: towards zero."""
    safe = np.where(right == 0, 1, right).astype(right.dtype)
    quotient = np.abs(left) // np.abs(safe)
    return np.where((left < 0) != (safe < 0), -quotient, quotient).astype(left.dtype)


def _divide_up(left: Lanes, right: Lanes) -> Lanes:
    safe = np.where(right == 0, 1, right).astype(right.dtype)
    return -(-left // safe)


def _divide_down(left: Lanes, right: Lanes) -> Lanes:
    return left // np.where(right == 0, 1, right).astype(right.dtype)


def _unsigned_divide(left: Lanes, right: Lanes) -> Lanes:
    return left // np.maximum(right, 1)


def _unsigned_remainder(left: Lanes, right: Lanes) -> Lanes:
    return left % np.maximum(right, 1)


def _fused(left: Lanes, right: Lanes, total: Lanes) -> Lanes:
    """In f64 and rounded once more: right but for double rounding; f64 itself is not fused."""
    wide = [one.astype(np.float64) for one in (left, right, total)]
    return (wide[0] * wide[1] + wide[2]).astype(left.dtype)


def _remainder(left: Lanes, right: Lanes) -> Lanes:
    return left - _divide(left, right) * right


def _shift(operator: Binary) -> Binary:
    def case(left: Lanes, right: Lanes) -> Lanes:
        bits = 8 * left.dtype.itemsize
        return operator(left, np.minimum(right, bits - 1).astype(left.dtype))

    return case


def _compare_integers(op: Operation, left: Lanes, right: Lanes) -> Lanes:
    number = _integer(op, "predicate")
    if number >= 6:
        left, right = unsigned(np.ascontiguousarray(left)), unsigned(np.ascontiguousarray(right))
    return INTEGER_COMPARISONS[number](left, right)


def _compare_floats(op: Operation, left: Lanes, right: Lanes) -> Lanes:
    return FLOAT_COMPARISONS[_integer(op, "predicate")](left, right)


def _integer(op: Operation, name: str) -> int:
    value = op.properties[name]
    return cast("IntegerAttr[Any]", value).value.data if isinstance(value, IntegerAttr) else 0


INTEGER_COMPARISONS: Sequence[Binary] = (
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.less, np.less_equal, np.greater, np.greater_equal,
)  # fmt: skip


def _unordered(left: Lanes, right: Lanes) -> Lanes:
    return np.isnan(left.astype(np.float64)) | np.isnan(right.astype(np.float64))


FLOAT_COMPARISONS: Sequence[Binary] = (
    lambda left, right: np.zeros(np.broadcast(left, right).shape, np.bool_),
    np.equal, np.greater, np.greater_equal, np.less, np.less_equal,
    lambda left, right: (left != right) & ~_unordered(left, right),
    lambda left, right: ~_unordered(left, right),
    lambda left, right: (left == right) | _unordered(left, right),
    lambda left, right: ~(left <= right),
    lambda left, right: ~(left < right),
    lambda left, right: ~(left >= right),
    lambda left, right: ~(left > right),
    np.not_equal,
    _unordered,
    lambda left, right: np.ones(np.broadcast(left, right).shape, np.bool_),
)  # fmt: skip
"""By the number of a predicate of `arith.cmpf`."""


def _convert(op: Operation, x: Lanes) -> Lanes:
    return x.astype(dtype_of(op.results[0].type))


def _convert_unsigned(op: Operation, x: Lanes) -> Lanes:
    return unsigned(np.ascontiguousarray(x)).astype(dtype_of(op.results[0].type))


def _extend_signed(op: Operation, x: Lanes) -> Lanes:
    wide = x.astype(dtype_of(op.results[0].type))
    return -wide if x.dtype.kind == "b" else wide


def _convert_signed(op: Operation, x: Lanes) -> Lanes:
    return _convert(op, -x.astype(np.int8) if x.dtype.kind == "b" else x)


def _truncate(op: Operation, x: Lanes) -> Lanes:
    dtype = dtype_of(op.results[0].type)
    return (x & 1).astype(np.bool_) if dtype.kind == "b" else x.astype(dtype)


def _float_to_integer(op: Operation, x: Lanes) -> Lanes:
    """Truncated and kept within the type's range; NaN is 0."""
    dtype = dtype_of(op.results[0].type)
    if op.name == "arith.fptoui":
        dtype = np.dtype(f"u{dtype.itemsize}")
    limits = np.iinfo(dtype)
    wide = np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0.0, posinf=2.0**70, neginf=-(2.0**70))
    low, high = wide <= float(limits.min), wide >= float(limits.max)
    found: Lanes = np.where(low | high, 0, wide).astype(dtype)
    found[low], found[high] = limits.min, limits.max
    return found.view(dtype_of(op.results[0].type))


def _bitcast(op: Operation, x: Lanes) -> Lanes:
    return np.ascontiguousarray(x).view(dtype_of(op.results[0].type))


def _select(op: Operation, condition: Lanes, on_true: Lanes, on_false: Lanes) -> Lanes:
    while condition.ndim < max(on_true.ndim, on_false.ndim):
        condition = condition[..., None]
    return np.where(condition, on_true, on_false)


def _in_f64(function: Unary) -> Unary:
    def case(x: Lanes) -> Lanes:
        return function(x.astype(np.float64)).astype(x.dtype)

    return case


def _round_away(x: Lanes) -> Lanes:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _inverse_root(x: Lanes) -> Lanes:
    return 1 / np.sqrt(x)


def _count_leading_zeros(x: Lanes) -> Lanes:
    bits = 8 * x.dtype.itemsize
    left, count = unsigned(np.ascontiguousarray(x)).copy(), np.full(x.shape, bits, x.dtype)
    for position in range(bits):
        count = np.where((left >> np.array(position, left.dtype)) & 1 != 0, bits - 1 - position, count)
    return count.astype(x.dtype)


PLAIN: Mapping[str, Case] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": _divide,
    "arith.divui": _signed(_unsigned_divide),
    "arith.floordivsi": _divide_down,
    "arith.ceildivsi": _divide_up,
    "arith.ceildivui": _divide_up,
    "arith.remsi": _remainder,
    "arith.remui": _signed(_unsigned_remainder),
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": _shift(np.left_shift),
    "arith.shrsi": _shift(np.right_shift),
    "arith.shrui": _signed(_shift(np.right_shift)),
    "arith.minsi": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.minui": _signed(np.minimum),
    "arith.maxui": _signed(np.maximum),
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.remf": np.fmod,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "math.copysign": np.copysign,
    "math.fma": _fused,
    "vector.fma": _fused,
    "arith.negf": np.negative,
    "math.absf": np.abs,
    "math.absi": np.abs,
    "math.sqrt": _in_f64(np.sqrt),
    "math.rsqrt": _in_f64(_inverse_root),
    "math.floor": np.floor,
    "math.ceil": np.ceil,
    "math.trunc": np.trunc,
    "math.round": _in_f64(_round_away),
    "math.roundeven": np.rint,
    "math.exp": _in_f64(np.exp),
    "math.exp2": _in_f64(np.exp2),
    "math.log": _in_f64(np.log),
    "math.log2": _in_f64(np.log2),
    "math.tanh": _in_f64(np.tanh),
    "math.sin": _in_f64(np.sin),
    "math.cos": _in_f64(np.cos),
    "math.ctlz": _count_leading_zeros,
}
"""What operands alone decide."""

WITH_OP: Mapping[str, Case] = {
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": _select,
    "arith.extf": _convert,
    "arith.truncf": _convert,
    "arith.extsi": _extend_signed,
    "arith.extui": _convert_unsigned,
    "arith.trunci": _truncate,
    "arith.index_cast": _extend_signed,
    "arith.index_castui": _convert_unsigned,
    "arith.sitofp": _convert_signed,
    "arith.uitofp": _convert_unsigned,
    "arith.fptosi": _float_to_integer,
    "arith.fptoui": _float_to_integer,
    "arith.bitcast": _bitcast,
    "vector.bitcast": _bitcast,
}
"""What the op's attributes or types decide as well."""


# Vectors


def _positions(op: Operation, name: str) -> list[int]:
    value: Any = op.properties[name]
    return [int(one) for one in value.get_values()]


def _extract(op: Operation, x: Lanes, *dynamic: Lanes) -> Lanes:
    at = _resolved(op, dynamic)
    return x[(slice(None), *at)] if all(isinstance(one, int) for one in at) else _gathered(x, at)


def _insert(op: Operation, value: Lanes, x: Lanes, *dynamic: Lanes) -> Lanes:
    at = _resolved(op, dynamic)
    if not all(isinstance(one, int) for one in at):
        raise LaminaError(f"'{op.name}' at a position that is computed is not checked")
    lanes = max(len(value), len(x))
    found = np.array(np.broadcast_to(x, (lanes, *x.shape[1:])))
    found[(slice(None), *at)] = value
    return found


def _resolved(op: Operation, dynamic: Sequence[Lanes]) -> list[int | Lanes]:
    rest = iter(dynamic)
    return [next(rest) if one == np.iinfo(np.int64).min else one for one in _positions(op, "static_position")]


def _gathered(x: Lanes, at: Sequence[int | Lanes]) -> Lanes:
    lanes = max(len(x), *(len(one) for one in at if not isinstance(one, int)))
    wide = np.broadcast_to(x, (lanes, *x.shape[1:]))
    return wide[(np.arange(lanes), *at)]


def _broadcast(op: Operation, x: Lanes) -> Lanes:
    shape = shape_of(op.results[0].type)
    inner = x.shape[1:]
    return np.broadcast_to(x.reshape(len(x), *(1,) * (len(shape) - len(inner)), *inner), (len(x), *shape))


def _from_elements(op: Operation, *elements: Lanes) -> Lanes:
    lanes = max((len(one) for one in elements), default=1)
    columns = [np.broadcast_to(one, (lanes,)) for one in elements]
    return np.stack(columns, axis=1).reshape(lanes, *shape_of(op.results[0].type))


def _shape_cast(op: Operation, x: Lanes) -> Lanes:
    return x.reshape(len(x), *shape_of(op.results[0].type))


def _extract_strided(op: Operation, x: Lanes) -> Lanes:
    offsets, sizes = ([int(one.value.data) for one in cast(Any, op.properties[name])] for name in ("offsets", "sizes"))
    return x[(slice(None), *(slice(at, at + size) for at, size in zip(offsets, sizes, strict=True)))]


def _vector_reduction(op: Operation, x: Lanes, *initial: Lanes) -> Lanes:
    kind = str(op.properties["kind"]).split("<")[-1].split(">")[0]
    function = REDUCTIONS.get(kind)
    if function is None:
        raise LaminaError(f"'{op.name}' of kind {kind} is not checked")
    found = x[:, 0]
    for column in range(1, x.shape[1]):
        found = function(found, x[:, column])
    return function(initial[0], found) if initial else found


def _outer_product(op: Operation, left: Lanes, right: Lanes, *total: Lanes) -> Lanes:
    """Columns times rows, or columns times a number, added to a sum."""
    product = (left[:, :, None], right[:, None, :]) if right.ndim > 1 else (left, right[:, None])
    return _fused(*product, total[0]) if total else product[0] * product[1]


REDUCTIONS: Mapping[str, Case] = {
    "add": np.add,
    "mul": np.multiply,
    "minsi": np.minimum,
    "maxsi": np.maximum,
    "minimumf": np.minimum,
    "maximumf": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}

VECTORS: Mapping[str, Case] = {
    "vector.extract": _extract,
    "vector.insert": _insert,
    "vector.broadcast": _broadcast,
    "vector.splat": _broadcast,
    "vector.from_elements": _from_elements,
    "vector.shape_cast": _shape_cast,
    "vector.extract_strided_slice": _extract_strided,
    "vector.outerproduct": _outer_product,
    "vector.reduction": _vector_reduction,
}
