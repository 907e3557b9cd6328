"""Derivatives of reductions. Sums are linear; extremes and products have rules; windows slide back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.ir import SSAValue

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.reduction import CumulativeOp, ReduceOp, ReduceWindowOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule

Builder = DerivativeBuilder
Cotangents = Sequence[Derivative]
TO_THE_END = 2**63 - 1


# ---- whole axes


def _axes(op: ReduceOp) -> tuple[tuple[int, ...], bool]:
    return op.dimensions.get_values(), op.keep_dimensions is not None


def _kept(b: Builder, op: ReduceOp, value: SSAValue) -> SSAValue:
    """A value like the result, with the reduced axes as axes of size 1."""
    axes, kept = _axes(op)
    return b.keep_reduced(value, op.operand, axes, kept)


def _slope(b: Builder, op: ReduceOp) -> SSAValue:
    """The derivative of the result with respect to every element, for kinds other than add."""
    axes, _ = _axes(op)
    if op.kind.data == "multiply":
        return _others(b, op.operand, sorted(axes))
    element_type = b.element_type(op.operand)
    extreme = b.cast(b.compare("EQ", op.operand, _kept(b, op, op.result)), element_type)
    return b.divide(extreme, b.reduce("add", extreme, axes, keep_dimensions=True))


def _others(b: Builder, operand: SSAValue, axes: Sequence[int]) -> SSAValue:
    """For every element the product of all others along the axes: no division, so that zeros are right."""
    if not axes:
        return b.filled_like(operand, 1.0)
    *inner, axis = axes
    # d(Π_axis Π_inner)/dx = (product of the other rows) · (product of the others in its own row)
    row = b.reduce("multiply", operand, inner, keep_dimensions=True) if inner else operand
    before = b.cumulative("multiply", row, axis, exclusive=True)
    after = b.cumulative("multiply", row, axis, exclusive=True, reverse=True)
    others = b.multiply(before, after)
    return b.multiply(others, _others(b, operand, inner)) if inner else others


def _reduce_jvp(b: Builder, op: ReduceOp, tangents: Sequence[Derivative]) -> Derivative:
    (tangent,) = tangents
    assert tangent is not None
    axes, kept = _axes(op)
    if op.kind.data != "add":
        tangent = b.multiply(tangent, _slope(b, op))
    return b.reduce("add", tangent, axes, kept)


def _reduce_vjp(b: Builder, op: ReduceOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    spread = _kept(b, op, t)
    if op.kind.data != "add":
        return (b.multiply(_slope(b, op), spread),)
    return (b.broadcast_like(spread, op.operand),)


# ---- running reductions


def _cumulative_jvp(b: Builder, op: CumulativeOp, tangents: Sequence[Derivative]) -> Derivative:
    (tangent,) = tangents
    assert tangent is not None
    if op.kind.data == "add":
        return b.again(op, (tangent,))
    values, dots = op.operand, tangent
    for value, dot in _steps(b, op, values, dots):
        values, dots = value, dot
    return dots


def _steps(b: Builder, op: CumulativeOp, value: SSAValue, tangent: SSAValue):
    """Value and tangent after each doubling step of the running reduction (Hillis and Steele, 1986)."""
    if op.exclusive is not None:
        value, tangent = _shifted(b, op, value, 1), _shifted(b, op, tangent, 1, tangent=True)
        yield value, tangent
    for distance in _distances(b, op):
        left, dot = _shifted(b, op, value, distance), _shifted(b, op, tangent, distance, tangent=True)
        mine, theirs = _shares(b, op, value, left)
        tangent = b.add(b.multiply(tangent, mine), b.multiply(dot, theirs))
        value = b.create(op.kind.data, (value, left))
        yield value, tangent


def _distances(b: Builder, op: CumulativeOp) -> list[int]:
    size = b.shape(op.operand)[op.dimension.value.data]
    if not isinstance(size, int):
        raise b.error(
            f"{op.name} {op.kind.data}: no derivative along an axis of unknown size; give the axis a static size"
        )
    return [1 << step for step in range(max(size - 1, 0).bit_length())]


def _shares(b: Builder, op: CumulativeOp, value: SSAValue, left: SSAValue) -> tuple[SSAValue, SSAValue]:
    """The derivatives of one combination with respect to both sides."""
    if op.kind.data == "multiply":
        return left, value
    element_type = b.element_type(value)
    result = b.create(op.kind.data, (value, left))
    half = b.select(b.compare("EQ", value, left), b.constant(0.5, element_type), b.constant(1.0, element_type))
    zero = b.zero(element_type)
    return (
        b.select(b.compare("EQ", value, result), half, zero),
        b.select(b.compare("EQ", left, result), half, zero),
    )


IDENTITIES: Mapping[str, float] = {"multiply": 1.0, "maximum": -np.inf, "minimum": np.inf}


def _shifted(
    b: Builder, op: CumulativeOp, value: SSAValue, distance: int, *, tangent: bool = False, back: bool = False
) -> SSAValue:
    """The value moved along the axis, away from where the reduction starts (towards it with `back`)."""
    axis, rank = op.dimension.value.data, b.rank(value)
    filler = 0.0 if tangent else IDENTITIES[op.kind.data]
    amounts = [distance if at == axis else 0 for at in range(rank)]
    opposite = [-amount for amount in amounts]
    low, high = (opposite, amounts) if (op.reverse is not None) != back else (amounts, opposite)
    return b.pad(value, b.constant(filler, b.element_type(value)), low, high)


def _cumulative_vjp(b: Builder, op: CumulativeOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    if op.kind.data == "add":
        axis, exclusive = op.dimension.value.data, op.exclusive is not None
        return (b.cumulative("add", t, axis, exclusive, reverse=op.reverse is None),)
    shares: list[tuple[SSAValue, SSAValue, int]] = []
    value = op.operand
    if op.exclusive is not None:
        value = _shifted(b, op, value, 1)
    for distance in _distances(b, op):
        left = _shifted(b, op, value, distance)
        shares.append((*_shares(b, op, value, left), distance))
        value = b.create(op.kind.data, (value, left))
    for mine, theirs, distance in reversed(shares):
        moved = _shifted(b, op, b.multiply(t, theirs), distance, tangent=True, back=True)
        t = b.add(b.multiply(t, mine), moved)
    if op.exclusive is not None:
        t = _shifted(b, op, t, 1, tangent=True, back=True)
    return (t,)


# ---- windows


def _taps(op: ReduceWindowOp) -> list[tuple[int, ...]]:
    """The offsets of a window's elements."""
    steps = zip(op.window_dimensions.get_values(), op.window_dilations.get_values(), strict=True)
    return list(itertools.product(*(range(0, count * dilation, dilation) for count, dilation in steps)))


def _padded(b: Builder, op: ReduceWindowOp, value: SSAValue, filler: float) -> SSAValue:
    padding = op.padding.get_values()
    if not any(padding):
        return value
    return b.pad(value, b.constant(filler, b.element_type(value)), padding[::2], padding[1::2])


def _at_tap(b: Builder, op: ReduceWindowOp, padded: SSAValue, tap: Sequence[int]) -> SSAValue:
    """Element `tap` of every window."""
    strides = op.window_strides.get_values()
    extents = [
        (count - 1) * dilation
        for count, dilation in zip(op.window_dimensions.get_values(), op.window_dilations.get_values(), strict=True)
    ]
    limits = [at - extent if at != extent else TO_THE_END for at, extent in zip(tap, extents, strict=True)]
    taken = b.slice(padded, tap, limits, strides)
    b.declare(taken, b.abstract(op.result))
    return taken


def _spread_back(b: Builder, op: ReduceWindowOp, t: SSAValue, offset: Sequence[int]) -> SSAValue:
    """The transpose of `_at_tap`, padding included: zeros, with p of `t` at p · stride + offset - padding."""
    zero = b.zero(b.element_type(t))
    padding, strides = op.padding.get_values(), op.window_strides.get_values()
    low = [at - before for at, before in zip(offset, padding[::2], strict=True)]
    interior = [stride - 1 for stride in strides]
    shape, target = b.shape(t), b.shape(op.operand)
    high: list[int] | None = []
    for axis, (size, wanted) in enumerate(zip(shape, target, strict=True)):
        if size == 0:
            return b.zeros_like(op.operand)
        rest = wanted - low[axis] - ((size - 1) * strides[axis] + 1)
        if not isinstance(rest, int):
            high = None
            break
        high.append(rest)
    if high is not None:
        return b.pad(t, zero, low, high, interior)
    spread = b.pad(t, zero, low, [0] * len(low), interior)
    room = b.subtract(b.shape_of(op.operand), b.shape_of(spread))
    spread = b.dynamic_pad(spread, zero, b.constant(np.zeros(len(low), np.int64)), room)
    b.declare(spread, b.abstract(op.operand))
    return spread


def _window_shares(b: Builder, op: ReduceWindowOp) -> list[tuple[SSAValue, tuple[int, ...]]]:
    """Per tap, the derivative of every window's result with respect to it: 1 for the first extreme, else 0."""
    kind = op.kind.data
    padded = _padded(b, op, op.operand, IDENTITIES[kind])
    taps = _taps(op)
    if kind == "multiply":
        values = [_at_tap(b, op, padded, tap) for tap in taps]
        before: list[Derivative] = [None]
        after: list[Derivative] = [None]
        for value in values[:-1]:
            before.append(value if before[-1] is None else b.multiply(before[-1], value))
        for value in reversed(values[1:]):
            after.append(value if after[-1] is None else b.multiply(after[-1], value))
        shares: list[tuple[SSAValue, tuple[int, ...]]] = []
        for tap, left, right in zip(taps, before, reversed(after), strict=True):
            factors = [factor for factor in (left, right) if factor is not None]
            share = b.filled_like(op.result, 1.0) if not factors else factors[0]
            shares.append((share if len(factors) < 2 else b.multiply(*factors), tap))
        return shares
    found: SSAValue | None = None
    result: list[tuple[SSAValue, tuple[int, ...]]] = []
    for tap in taps:
        hit = b.compare("EQ", _at_tap(b, op, padded, tap), op.result)
        first = hit if found is None else b.and_(hit, b.not_(found))
        found = hit if found is None else b.or_(found, hit)
        result.append((first, tap))
    return result


def _reduce_window_jvp(b: Builder, op: ReduceWindowOp, tangents: Sequence[Derivative]) -> Derivative:
    (tangent,) = tangents
    assert tangent is not None
    if op.kind.data == "add":
        return b.again(op, (tangent,))
    padded = _padded(b, op, tangent, 0.0)
    zero = b.zero(b.element_type(tangent))
    terms: list[Derivative] = []
    for share, tap in _window_shares(b, op):
        value = _at_tap(b, op, padded, tap)
        terms.append(b.multiply(value, share) if op.kind.data == "multiply" else b.select(share, value, zero))
    return b.total(terms)


def _reduce_window_vjp(b: Builder, op: ReduceWindowOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    if op.kind.data == "add":
        return (_sum_back(b, op, t),)
    split = _split_windows(b, op)
    if op.kind.data != "multiply" and split is not None:
        return (_first_extreme_back(b, op, t, split),)
    zero = b.zero(b.element_type(t))
    terms: list[Derivative] = []
    for share, tap in _window_shares(b, op):
        part = b.multiply(t, share) if op.kind.data == "multiply" else b.select(share, t, zero)
        terms.append(_spread_back(b, op, part, tap))
    return (b.total(terms),)


def _split_windows(b: Builder, op: ReduceWindowOp) -> list[int] | None:
    """The operand's shape with every windowed axis as two (window, place in it); None where windows overlap, leave
    elements out or are padded, or where a reshape cannot say it. At most one size is -1."""
    windows = op.window_dimensions.get_values()
    if op.window_strides.get_values() != windows or any(op.padding.get_values()):
        return None
    if any(n > 1 and step != 1 for n, step in zip(windows, op.window_dilations.get_values(), strict=True)):
        return None
    sizes: list[int] = []
    for size, window in zip(b.shape(op.operand), windows, strict=True):
        if window == 1:
            sizes.append(size if isinstance(size, int) else -1)
        elif isinstance(size, int) and size % window == 0:
            sizes += [size // window, window]
        else:
            return None
    return None if 0 in sizes or sizes.count(-1) > 1 else sizes


def _first_extreme_back(b: Builder, op: ReduceWindowOp, t: SSAValue, split: Sequence[int]) -> SSAValue:
    """The cotangent of each window at its first extreme: windows side by side are axes of their own.

    One reduction finds the place of the extreme in its window; where a window has none (NaN) nothing gets any.
    """
    windows = op.window_dimensions.get_values()
    inner: list[int] = []
    whole: list[int] = []
    for window in windows:
        whole.append(-1 if split[len(whole)] == -1 else split[len(whole)])
        if window > 1:
            inner.append(len(whole))
            whole.append(1)
    counts = [split[axis] if axis in inner else 1 for axis in range(len(split))]
    places = b.constant(np.arange(np.prod(counts), dtype=np.int32).reshape(counts))
    operand, result, cotangent = b.reshape(op.operand, split), b.reshape(op.result, whole), b.reshape(t, whole)
    nowhere = b.constant(np.int32(np.prod(counts)))
    found = b.select(b.compare("EQ", operand, result), places, nowhere)
    first = b.reduce("minimum", found, inner, keep_dimensions=True)
    spread = b.select(b.compare("EQ", places, first), cotangent, b.zero(b.element_type(t)))
    return b.reshape_like(spread, op.operand)


def _sum_back(b: Builder, op: ReduceWindowOp, t: SSAValue) -> SSAValue:
    """Every element gets the cotangents of the windows that it is in: a sum over windows of the spread cotangent."""
    windows, dilations = op.window_dimensions.get_values(), op.window_dilations.get_values()
    extents = [(count - 1) * dilation for count, dilation in zip(windows, dilations, strict=True)]
    spread = _spread_wide(b, op, t, extents)
    result = b.reduce_window("add", spread, windows, None, dilations)
    b.declare(result, b.abstract(op.operand))
    return result


def _spread_wide(b: Builder, op: ReduceWindowOp, t: SSAValue, extents: Sequence[int]) -> SSAValue:
    """Position p at p · stride + (extent - low padding) of a tensor with `extent` more elements than the operand."""
    zero = b.zero(b.element_type(t))
    padding, strides = op.padding.get_values(), op.window_strides.get_values()
    low = [extent - before for extent, before in zip(extents, padding[::2], strict=True)]
    interior = [stride - 1 for stride in strides]
    high: list[int] = []
    for axis, (size, wanted) in enumerate(zip(b.shape(t), b.shape(op.operand), strict=True)):
        if size == 0 and all(isinstance(n, int) for n in b.shape(op.operand)):
            sizes = [n + extents[at] for at, n in enumerate(b.shape(op.operand)) if isinstance(n, int)]
            return b.broadcast(zero, sizes)
        rest = wanted + extents[axis] - low[axis] - ((size - 1) * strides[axis] + 1)
        if not isinstance(rest, int):
            break
        high.append(rest)
    if len(high) == len(low):
        return b.pad(t, zero, low, high, interior)
    spread = b.pad(t, zero, low, [0] * len(low), interior)
    wanted_sizes = b.add(b.shape_of(op.operand), b.constant(np.asarray(extents, np.int64)))
    room = b.subtract(wanted_sizes, b.shape_of(spread))
    return b.dynamic_pad(spread, zero, b.constant(np.zeros(len(low), np.int64)), room)


RULES: Mapping[type[GraphOp], Rule] = {
    ReduceOp: Rule(_reduce_jvp, _reduce_vjp, note="extremes: ties share evenly; multiply twice: static axes"),
    CumulativeOp: Rule(_cumulative_jvp, _cumulative_vjp, note="kinds other than add: along axes of static size"),
    ReduceWindowOp: Rule(_reduce_window_jvp, _reduce_window_vjp, note="maximum, minimum: the first extreme"),
}
