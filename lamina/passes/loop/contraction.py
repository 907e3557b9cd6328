"""Reading a scheduled contraction: its axes, its multiply-add body, and the stages that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr

from lamina.diagnostics import error_at
from lamina.dialects.loop import arith, memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.cleanup import touches_memory
from lamina.passes.loop.emitter import memref_type
from lamina.passes.loop.plan_arena import users_through_views
from lamina.passes.loop.stages import captured_buffers
from lamina.passes.loop.structured import (
    Linear,
    Schedule,
    axes_of,
    body_block,
    group_of,
    is_structured,
    iterators_of,
    linear_map,
    maps_of,
    positions_of_map,
)
from lamina.passes.loop.vector_access import can_access, is_vectorizable

CASTS = (arith.ExtFOp, arith.TruncFOp, arith.ExtSIOp, arith.ExtUIOp, arith.SIToFPOp, arith.UIToFPOp)
PRODUCTS = {arith.MulfOp: arith.AddfOp, arith.MuliOp: arith.AddiOp}


@dataclass(frozen=True)
class Factor:
    """One factor of the product: an input, and the casts from its element type, in order."""

    input: int
    casts: tuple[Operation, ...]


@dataclass(frozen=True)
class Epilogue:
    """An elementwise stage on the contraction's result, its positions over the contraction's dims."""

    op: linalg.GenericOp
    positions: tuple[tuple[Linear, ...], ...]


@dataclass(frozen=True)
class Groups:
    """Narrow groups of features side by side in the vectors of a contraction.

    Input number `input` has `features` for each group, one after the other; `feature` is the reduction over those of
    one group. A vector has `count` groups of `outputs` columns.
    """

    input: int
    feature: int
    features: int
    outputs: int
    count: int


@dataclass
class Contraction:
    """A contraction, what initializes its accumulator, and what is computed from its result at once."""

    op: linalg.GenericOp
    schedule: Schedule
    row: int | None
    column: int
    reductions: list[int]
    others: list[int]
    positions: list[tuple[Linear, ...]]
    factors: tuple[Factor, Factor]
    groups: Groups | None = None
    fill: linalg.FillOp | None = None
    epilogues: list[Epilogue] = field(default_factory=list[Epilogue])

    @property
    def accumulator(self) -> SSAValue:
        """The buffer of the sums."""
        return self.op.outputs[0]

    @property
    def stages(self) -> list[Operation]:
        """All ops that it stands for."""
        fills: list[Operation] = [] if self.fill is None else [self.fill]
        return [*fills, self.op, *(epilogue.op for epilogue in self.epilogues)]

    @property
    def vector_dims(self) -> list[int]:
        """The dims of the accumulator tile: row, if there is one, and column."""
        return [self.column] if self.row is None else [self.row, self.column]

    def is_needed(self, buffer: SSAValue) -> bool:
        """Whether anything but these stages reads a buffer that they write."""
        root = buffer
        while isinstance(root.owner, memref.SubviewOp | memref.CastOp | memref.ReinterpretCastOp):
            root = root.owner.operands[0]
        if not isinstance(root.owner, memref.AllocOp | memref.AllocaOp):
            return True
        views = (memref.SubviewOp, memref.CastOp, memref.ReinterpretCastOp)
        stages = self.stages
        return any(user not in stages and not isinstance(user, views) for user in users_through_views(root))


def read_contraction(op: linalg.GenericOp, schedule: Schedule) -> Contraction:
    """A scheduled contraction and the stages around it. Raises LaminaError for one that vectors cannot compute."""
    names = axes_of(op)
    if names is None or schedule.column is None:
        raise error_at(op, "a contraction needs lamina.axes and a column axis in its schedule")
    for axis in (schedule.row, schedule.column):
        if axis is not None and axis not in names:
            raise error_at(op, f"its schedule names axis '{axis}', its axes are {', '.join(names)}")
    row = None if schedule.row is None else names.index(schedule.row)
    column = names.index(schedule.column)
    parallel = iterators_of(op)
    dims = [column] if row is None else [row, column]
    if not all(parallel[dim] for dim in dims):
        raise error_at(op, "the row and column axes of a contraction must be parallel")
    positions: list[tuple[Linear, ...]] = []
    groups: Groups | None = None
    for number, map_ in enumerate(maps_of(op)):
        found = linear_map(map_)
        if found is None or any(abs(position.coefficient(column)) > 1 for position in found):
            found, read = _read_groups(op, schedule, number, column)
            groups = read or groups
        if found is None or not can_access(found, dims):
            raise error_at(op, f"vectors cannot be read at {map_}")
        positions.append(found)
    factors = read_factors(body_block(op))
    if factors is None or len(op.outputs) != 1:
        raise error_at(op, "the body of a contraction must be a product added to the result")
    contraction = Contraction(
        op,
        schedule,
        row,
        column,
        [dim for dim, is_parallel in enumerate(parallel) if not is_parallel],
        [dim for dim, is_parallel in enumerate(parallel) if is_parallel and dim not in dims],
        positions,
        factors,
        groups,
    )
    contraction.fill = fill_before(op)
    _take_epilogues(contraction)
    return contraction


def _read_groups(
    op: linalg.GenericOp, schedule: Schedule, number: int, column: int
) -> tuple[tuple[Linear, ...] | None, Groups | None]:
    """Where an input with narrow groups is read from, as if its features were the columns; None for any other input."""
    positions = positions_of_map(maps_of(op)[number])
    if positions is None or number >= len(op.inputs):
        return None, None
    *others, last = positions
    lines = [position for position in others if isinstance(position, Linear)]
    group = group_of(last, column)
    sizes = [memref_type(op.inputs[number]).get_shape()[-1], memref_type(op.outputs[0]).get_shape()[-1]]
    if group is None or len(lines) < len(others) or DYNAMIC_INDEX in sizes:
        return linear_map(maps_of(op)[number]), None
    count = sizes[1] // group.divisor
    # One tile has all groups, and windows that overlap are none.
    fits = sizes[1] <= schedule.tile_of(schedule.column or "") and sizes[0] == count * group.factor
    if not fits or iterators_of(op)[group.rest.terms[0][0]]:
        return linear_map(maps_of(op)[number]), None
    features = Linear(((column, 1),), 0)
    return (*lines, features), Groups(number, group.rest.terms[0][0], group.factor, group.divisor, count)


def read_factors(block: Block) -> tuple[Factor, Factor] | None:
    """The factors of a body `yield c + f(a) * g(b)`, None for another body."""
    terminator = block.last_op
    if terminator is None or len(terminator.operands) != 1:
        return None
    total = terminator.operands[0].owner
    if isinstance(total, Block):
        return None
    accumulator = block.args[-1]
    terms = [operand for operand in total.operands if operand is not accumulator]
    if len(terms) != 1 or len(total.operands) != 2:
        return None
    product = terms[0].owner
    if isinstance(product, Block) or PRODUCTS.get(type(product)) is not type(total):  # pyright: ignore
        return None
    left, right = (_read_factor(operand, block) for operand in product.operands)
    return None if left is None or right is None else (left, right)


def _read_factor(value: SSAValue, block: Block) -> Factor | None:
    casts: list[Operation] = []
    while isinstance(value.owner, CASTS):
        casts.append(value.owner)
        value = value.owner.operands[0]
    if not isinstance(value, BlockArgument) or value.block is not block or value is block.args[-1]:
        return None
    return Factor(value.index, tuple(reversed(casts)))


def fill_before(op: linalg.GenericOp) -> linalg.FillOp | None:
    """The fill that gives the accumulator its initial value, if nothing touches the buffer in between."""
    buffer = op.outputs[0]
    previous = op.prev_op
    while previous is not None:
        if isinstance(previous, linalg.FillOp) and previous.outputs[0] is buffer:
            return previous
        if is_structured(previous) and (buffer in previous.operands or buffer in captured_buffers(previous)):
            return None
        if not is_structured(previous) and touches_memory(previous):
            return None
        previous = previous.prev_op
    return None


def _take_epilogues(contraction: Contraction) -> None:
    """Find the stages right after the contraction that can be computed on its tiles."""
    axes = {contraction.accumulator: contraction.positions[-1]}
    following = contraction.op.next_op
    while following is not None:
        if isinstance(following, linalg.GenericOp):
            positions = _epilogue_positions(contraction, following, axes)
            if positions is None:
                return
            contraction.epilogues.append(Epilogue(following, positions))
            for output, position in zip(following.outputs, positions[len(following.inputs) :], strict=True):
                axes[output] = position
        elif is_structured(following) or touches_memory(following):
            return
        following = following.next_op


def _epilogue_positions(
    contraction: Contraction, op: linalg.GenericOp, axes: dict[SSAValue, tuple[Linear, ...]]
) -> tuple[tuple[Linear, ...], ...] | None:
    """The positions of an epilogue's operands over the contraction's dims; None where the op is no epilogue."""
    if not all(iterators_of(op)) or not is_vectorizable(body_block(op)) or captured_buffers(op):
        return None
    dims: dict[int, int] = {}
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        known = axes.get(operand)
        if known is None:
            continue
        for expression, position in zip(map_.results, known, strict=True):
            if not isinstance(expression, AffineDimExpr) or position.plain is None:
                return None
            if dims.setdefault(expression.position, position.plain) != position.plain:
                return None
    if len(dims) != len(op.iterator_types) or len(set(dims.values())) != len(dims):
        return None
    found: list[tuple[Linear, ...]] = []
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        positions = linear_map(map_)
        if positions is None:
            return None
        renamed = tuple(
            Linear(tuple(sorted((dims[dim], factor) for dim, factor in position.terms)), position.constant)
            for position in positions
        )
        if is_memref(operand.type) and not can_access(renamed, contraction.vector_dims):
            return None
        found.append(renamed)
    reads_accumulator = any(operand in axes for operand in op.inputs)
    writes_tiles = all(_is_tile(positions, contraction.vector_dims) for positions in found[len(op.inputs) :])
    return tuple(found) if reads_accumulator and writes_tiles else None


def _is_tile(positions: Sequence[Linear], dims: Sequence[int]) -> bool:
    return all(any(position.plain == dim for position in positions) for dim in dims)
