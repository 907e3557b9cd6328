"""Reading structured ops on buffers: iteration dims, their sizes, and where the operands are accessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects.builtin import DYNAMIC_INDEX, DictionaryAttr, IntegerAttr, StringAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from lamina.diagnostics import LaminaError, error_at, location_text
from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_array, is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import INDEX, Emitter, Index, memref_type

SCHEDULE = "lamina.schedule"
AXES = "lamina.axes"

StructuredOp: TypeAlias = linalg.GenericOp | linalg.FillOp


def is_structured(op: Operation) -> bool:
    """Whether an op is one of the structured ops that the tensor level has."""
    return isinstance(op, linalg.GenericOp | linalg.FillOp)


# Maps


@dataclass(frozen=True)
class Linear:
    """`Σ coefficient · dim + constant` over iteration dims; no coefficient is 0."""

    terms: tuple[tuple[int, int], ...]
    constant: int

    @property
    def plain(self) -> int | None:
        """The dim that this is, unscaled and unshifted, else None."""
        if self.constant == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0]
        return None

    @property
    def plain_terms(self) -> tuple[int, ...]:
        """The dims that it moves with."""
        return tuple(dim for dim, _ in self.terms)

    def coefficient(self, dim: int) -> int:
        """The factor of a dim, 0 where it does not occur."""
        return dict(self.terms).get(dim, 0)


def linear(expression: AffineExpr) -> Linear | None:
    """An affine expression as a sum, None where it divides."""
    terms: dict[int, int] = {}
    constant = _accumulate(expression, 1, terms)
    if constant is None:
        return None
    return Linear(tuple((dim, factor) for dim, factor in sorted(terms.items()) if factor), constant)


def _accumulate(expression: AffineExpr, factor: int, terms: dict[int, int]) -> int | None:
    """Add `factor · expression` to `terms` and return its constant part, None where it is not linear."""
    match expression:
        case AffineConstantExpr(value=value):
            return factor * value
        case AffineDimExpr(position=position):
            terms[position] = terms.get(position, 0) + factor
            return 0
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add, lhs=lhs, rhs=rhs):
            left, right = _accumulate(lhs, factor, terms), _accumulate(rhs, factor, terms)
            return None if left is None or right is None else left + right
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul, lhs=lhs, rhs=AffineConstantExpr(value=value)):
            return _accumulate(lhs, factor * value, terms)
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul, lhs=AffineConstantExpr(value=value), rhs=rhs):
            return _accumulate(rhs, factor * value, terms)
        case _:
            return None


def linear_map(map_: AffineMap) -> tuple[Linear, ...] | None:
    """All results of a map as sums, None where one is not linear."""
    results: list[Linear] = []
    for expression in map_.results:
        found = linear(expression)
        if found is None:
            return None
        results.append(found)
    return tuple(results)


@dataclass(frozen=True)
class Divided:
    """`dim floordiv divisor` or `dim mod divisor`: a panel of a packed operand, or a place in it."""

    dim: int
    divisor: int
    remainder: bool

    @property
    def terms(self) -> tuple[tuple[int, int], ...]:
        """The one dim that it moves with."""
        return ((self.dim, 1),)


@dataclass(frozen=True)
class Grouped:
    """`dim floordiv divisor * factor + rest`: an input feature of the group that output feature `dim` belongs to."""

    dim: int
    divisor: int
    factor: int
    rest: Linear

    @property
    def terms(self) -> tuple[tuple[int, int], ...]:
        """The dims that it moves with."""
        return ((self.dim, self.factor), *self.rest.terms)


Position: TypeAlias = Linear | Divided | Grouped


def position_of(expression: AffineExpr) -> Position | None:
    """An affine expression as a sum or as a dim divided by a constant, None for any other."""
    match expression:
        case AffineBinaryOpExpr(
            kind=AffineBinaryOpKind.FloorDiv | AffineBinaryOpKind.Mod as kind,
            lhs=AffineDimExpr(position=dim),
            rhs=AffineConstantExpr(value=divisor),
        ):
            return Divided(dim, divisor, kind == AffineBinaryOpKind.Mod)
        case _:
            found = linear(expression)
            return _grouped(expression) if found is None else found


def _grouped(expression: AffineExpr) -> Grouped | None:
    """A sum of one quotient, scaled, and what is linear; None for any other expression."""
    match expression:
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add, lhs=lhs, rhs=rhs):
            pass
        case _:
            return None
    for first, second in ((lhs, rhs), (rhs, lhs)):
        rest = linear(second)
        factor = 1
        if isinstance(first, AffineBinaryOpExpr) and first.kind == AffineBinaryOpKind.Mul:
            scale = first.rhs
            if not isinstance(scale, AffineConstantExpr):
                return None
            first, factor = first.lhs, scale.value
        quotient = position_of(first)
        if rest is not None and isinstance(quotient, Divided) and not quotient.remainder and factor > 0:
            return Grouped(quotient.dim, quotient.divisor, factor, rest)
    return None


def group_of(position: Position | None, column: int) -> Grouped | None:
    """Feature `rest`, one dim, of the group that the column belongs to; groups of one column have a linear position."""
    if isinstance(position, Linear) and (features := position.coefficient(column)) > 1 and position.constant == 0:
        rest = tuple(term for term in position.terms if term[0] != column)
        position = Grouped(column, 1, features, Linear(rest, 0))
    if not isinstance(position, Grouped) or position.dim != column or position.rest.plain in (None, column):
        return None
    return position


def positions_of_map(map_: AffineMap) -> tuple[Position, ...] | None:
    """All results of a map, None where one is neither a sum nor a dim divided by a constant."""
    results: list[Position] = []
    for expression in map_.results:
        found = position_of(expression)
        if found is None:
            return None
        results.append(found)
    return tuple(results)


def affine(expression: Position) -> AffineExpr:
    """A position as an affine expression."""
    if isinstance(expression, Divided):
        dim = AffineDimExpr(expression.dim)
        return dim % expression.divisor if expression.remainder else dim // expression.divisor
    if isinstance(expression, Grouped):
        group = AffineDimExpr(expression.dim) // expression.divisor
        return (group if expression.factor == 1 else group * expression.factor) + affine(expression.rest)
    total: AffineExpr | None = None
    for dim, factor in expression.terms:
        term: AffineExpr = AffineDimExpr(dim)
        term = term if factor == 1 else term * factor
        total = term if total is None else total + term
    if total is None:
        return AffineConstantExpr(expression.constant)
    return total + expression.constant if expression.constant else total


def emit_linear(emitter: Emitter, expression: Linear, positions: Sequence[Index]) -> Index:
    """The value of a sum at iteration `positions`."""
    total: Index = 0
    for dim, factor in expression.terms:
        total = emitter.add(total, emitter.multiply(positions[dim], factor))
    return emitter.add(total, expression.constant)


DIVISIONS = {
    AffineBinaryOpKind.FloorDiv: arith.FloorDivSIOp,
    AffineBinaryOpKind.CeilDiv: arith.CeilDivSIOp,
    AffineBinaryOpKind.Mod: arith.RemSIOp,
}


def emit_affine(emitter: Emitter, expression: AffineExpr, positions: Sequence[Index]) -> Index:
    """The value of an affine expression at iteration `positions`; what is divided is taken to be non-negative."""
    found = linear(expression)
    if found is not None:
        return emit_linear(emitter, found, positions)
    if not isinstance(expression, AffineBinaryOpExpr):
        raise ValueError(f"unknown affine expression {expression}")
    left = emit_affine(emitter, expression.lhs, positions)
    right = emit_affine(emitter, expression.rhs, positions)
    if expression.kind == AffineBinaryOpKind.Add:
        return emitter.add(left, right)
    if expression.kind == AffineBinaryOpKind.Mul:
        return emitter.multiply(left, right)
    return emitter.computed(DIVISIONS[expression.kind], (emitter.index(left), emitter.index(right)), INDEX)


# Structured ops


def maps_of(op: StructuredOp) -> list[AffineMap]:
    """The indexing maps of the operands in order."""
    return [attribute.data for attribute in op.get_indexing_maps()]


def iterators_of(op: StructuredOp) -> list[bool]:
    """Of every iteration dim, whether it is parallel."""
    return [kind == linalg.IteratorTypeAttr.parallel() for kind in op.get_iterator_types()]


def axes_of(op: Operation) -> list[str] | None:
    """The names of the iteration dims, where the op has them."""
    names = op.attributes.get(AXES)
    if not is_array(names):
        return None
    return [item.data for item in names if isinstance(item, StringAttr)]


def extent(emitter: Emitter, op: StructuredOp, dim: int) -> Index:
    """The size of an iteration dim: that of an operand's axis that it runs over, a static one where there is one."""
    dynamic: tuple[SSAValue, int] | None = None
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        if not is_memref(operand.type):
            continue
        for axis, expression in enumerate(map_.results):
            if not isinstance(expression, AffineDimExpr) or expression.position != dim:
                continue
            if operand.type.get_shape()[axis] != DYNAMIC_INDEX:
                return operand.type.get_shape()[axis]
            dynamic = dynamic or (operand, axis)
    if dynamic is None:
        raise error_at(op, f"no operand gives the size of iteration dim {dim}")
    return emitter.size(*dynamic)


def require_buffers(op: StructuredOp) -> None:
    """Raise LaminaError where an op still works on tensors."""
    if op.results:
        raise LaminaError(
            f"'{op.name}' works on tensors where buffers are expected",
            where=location_text(op.location),
            hints=("run bufferize before it",),
        )


def body_block(op: StructuredOp) -> Block:
    """The scalar body."""
    return op.body.block


def element_type(buffer: SSAValue) -> Attribute:
    """The element type of a buffer, or the type of a scalar operand."""
    return memref_type(buffer).get_element_type() if is_memref(buffer.type) else buffer.type


# Schedules


@dataclass(frozen=True)
class Schedule:
    """`lamina.schedule` as read from the text. Raises LaminaError for a value of the wrong kind."""

    kind: str
    parallel: tuple[str, ...] = ()
    grain: int = 1
    row: str | None = None
    column: str | None = None
    tile: tuple[tuple[str, int], ...] = ()
    block: tuple[tuple[str, int], ...] = ()
    unroll: int = 1
    accumulators: int = 1
    """Of a contraction: tiles that are added to in turn and summed at the end."""
    prefetch: int = 0
    """Of a contraction with a packed operand: vectors of the panel's next block that a tile asks for at every step; of
    a transpose: how many vectors ahead a block asks for what is read, along its rows, or along its columns where it has
    whole rows."""
    padding: str | None = None
    """`skipped`: taps of a convolution that fall on the padding of its input are left out (see `skip-padding`)."""
    lines: tuple[str, ...] = ()
    """Of a transpose: the axes whose blocks begin where a line of memory does, wherever the buffers begin."""
    whole: tuple[tuple[str, int], ...] = ()
    """Axes of which an op has one tile or block only, with their whole size (-1: dynamic); written by `tile`."""
    blocked: str | None = None
    """The axis of whose blocks the stages with this schedule share a loop (see `passes/loop/blocks.py`)."""
    limited: str | None = None
    """An axis of which a block has only the first positions."""
    limit: str | None = None
    """How many: those up to the block's last row, counted from the `start` or the `end` of both axes."""

    def tile_of(self, axis: str) -> int:
        """The tile size of an axis, 1 by default."""
        return dict(self.tile).get(axis, 1)

    @staticmethod
    def of(op: Operation) -> Schedule | None:
        """The schedule of an op, None where it has none."""
        attribute = op.attributes.get(SCHEDULE)
        if attribute is None:
            return None
        if not isinstance(attribute, DictionaryAttr):
            raise error_at(op, f"{SCHEDULE} must be a dictionary, found {attribute}")
        reader = _ScheduleReader(op, attribute)
        return Schedule(
            kind=reader.text("kind") or "",
            parallel=reader.texts("parallel"),
            grain=reader.integer("grain"),
            row=reader.text("row"),
            column=reader.text("column"),
            tile=reader.integers("tile"),
            block=reader.integers("block"),
            unroll=reader.integer("unroll"),
            accumulators=reader.integer("accumulators"),
            prefetch=reader.integer("prefetch", 0),
            padding=reader.text("padding"),
            lines=reader.texts("lines"),
            whole=reader.integers("whole"),
            blocked=reader.text("blocked"),
            limited=reader.text("limited"),
            limit=reader.text("limit"),
        )


@dataclass(frozen=True)
class _ScheduleReader:
    """Typed access to the entries of a schedule; an entry of the wrong kind is an error at the op."""

    op: Operation
    entries: DictionaryAttr

    def _wrong(self, key: str, expected: str) -> LaminaError:
        return error_at(self.op, f"{SCHEDULE}: expected {expected} as '{key}', found {self.entries.data[key]}")

    def text(self, key: str) -> str | None:
        """A string, or None."""
        value = self.entries.data.get(key)
        if value is None:
            return None
        if not isinstance(value, StringAttr):
            raise self._wrong(key, "a string")
        return value.data

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.entries.data.get(key)
        if value is None:
            return ()
        if not is_array(value):
            raise self._wrong(key, "a list of strings")
        names = tuple(item.data for item in value if isinstance(item, StringAttr))
        if len(names) != len(value):
            raise self._wrong(key, "a list of strings")
        return names

    def integer(self, key: str, default: int = 1) -> int:
        """A positive integer, or the default."""
        value = self.entries.data.get(key)
        if value is None:
            return default
        if not isinstance(value, IntegerAttr) or value.value.data < 1:
            raise self._wrong(key, "a positive integer")
        return value.value.data

    def integers(self, key: str) -> tuple[tuple[str, int], ...]:
        """A dictionary of integers."""
        value = self.entries.data.get(key)
        if value is None:
            return ()
        if not isinstance(value, DictionaryAttr):
            raise self._wrong(key, "a dictionary of integers")
        found = tuple((name, item.value.data) for name, item in value.data.items() if isinstance(item, IntegerAttr))
        if len(found) != len(value.data) or any(number == 0 for _, number in found):
            raise self._wrong(key, "a dictionary of integers that are not 0")
        return found
