"""Which structured ops of a kernel go into one parallel loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.diagnostics import error_at
from lamina.dialects.loop import memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.bufferizer import underlying
from lamina.passes.loop.cleanup import touches_memory
from lamina.passes.loop.emitter import Constants
from lamina.passes.loop.restrict import has_subviews, load_irregular_operands
from lamina.passes.loop.structured import Schedule, StructuredOp, axes_of, iterators_of, maps_of
from lamina.passes.size_classes import SizeClasses

Names = Sequence[str | None]


@dataclass
class Group:
    """Structured ops that go into one parallel loop, in order, and the names of their iteration dims."""

    schedule: Schedule
    anchor: StructuredOp
    ops: list[StructuredOp] = field(default_factory=list[StructuredOp])
    names: dict[StructuredOp, list[str]] = field(default_factory=dict[StructuredOp, list[str]])

    def add(self, op: StructuredOp, names: Sequence[str]) -> None:
        """Append an op."""
        self.ops.append(op)
        self.names[op] = list(names)

    def accesses(self) -> list[tuple[SSAValue, list[int | None]]]:
        """The buffers that the ops access, with the axes at which the parallel dims are."""
        return [
            (operand, positions_of(map_, self.names[op], self.schedule.parallel))
            for op in self.ops
            for operand, map_ in zip(op.operands, maps_of(op), strict=True)
            if is_memref(operand.type)
        ]

    def written(self) -> set[SSAValue]:
        """The buffers that the ops write."""
        return {underlying(output) for op in self.ops for output in op.outputs}

    def temporaries(self) -> dict[SSAValue, list[int]]:
        """Buffers of this kernel that only this group uses, with the axes of which an iteration has one position."""
        members = set(self.ops)
        found: dict[SSAValue, list[int]] = {}
        for buffer, positions in self.accesses():
            if not isinstance(buffer.owner, memref.AllocOp) or buffer in found:
                continue
            users = {use.operation for use in buffer.uses if not isinstance(use.operation, memref.DeallocOp)}
            if users <= members:
                found[buffer] = [position for position in positions if position is not None]
        return found


def positions_of(map_: AffineMap, names: Sequence[str], axes: Sequence[str]) -> list[int | None]:
    """For named axes, the operand axis that runs over each alone, None where there is none."""
    at = {
        names[expression.position]: axis
        for axis, expression in enumerate(map_.results)
        if isinstance(expression, AffineDimExpr)
    }
    return [at.get(axis) for axis in axes]


def find_groups(block: Block, constants: Constants) -> list[Group]:
    """The groups of a kernel, in order; ops without a schedule are in none."""
    finder = _Finder(constants)
    for op in list(block.ops):
        if isinstance(op, linalg.FillOp):
            finder.fills.append(op)
        elif isinstance(op, linalg.GenericOp):
            finder.take(op)
        elif touches_memory(op):
            finder.stop()
    return [group for group in finder.groups if group.schedule.parallel]


class _Finder:
    def __init__(self, constants: Constants):
        self.constants = constants
        self.groups: list[Group] = []
        self.open: Group | None = None
        self.fills: list[linalg.FillOp] = []
        """Fills whose reader has not come yet."""

    def stop(self) -> None:
        """Keep what comes before apart from what follows."""
        self.open = None
        self.fills.clear()

    def take(self, op: linalg.GenericOp) -> None:
        """Put an op into the open group, or open one for it."""
        op = self._place(op)
        # A fill that this op has used is done, wherever it stands now.
        self.fills = [fill for fill in self.fills if fill.outputs[0] not in (*op.operands, *captured_buffers(op))]

    def _place(self, op: linalg.GenericOp) -> linalg.GenericOp:
        schedule = Schedule.of(op)
        steps = _cut_steps(op, schedule)
        if schedule is not None and schedule.parallel:
            op = load_irregular_operands(op, self.constants, steps)
        epilogue = self._epilogue_names(op)
        if epilogue is not None and self.open is not None:
            self.open.add(op, epilogue)
            return op
        names = axes_of(op)
        if schedule is None or names is None or not has_subviews(op, steps) or has_empty_operand(op):
            self.open = None
            return op
        self._check_axes(op, schedule, names)
        if self.open is None or not self._fits(op, schedule, names):
            self.open = Group(schedule, op)
            self.groups.append(self.open)
        self._add_with_fills(op, names)
        return op

    def _check_axes(self, op: linalg.GenericOp, schedule: Schedule, names: Sequence[str]) -> None:
        named = [*schedule.parallel, *(axis for axis in (schedule.row, schedule.column) if axis is not None)]
        for axis in named:
            if axis not in names:
                raise error_at(op, f"its schedule names axis '{axis}', its axes are {', '.join(names)}")
        parallel = iterators_of(op)
        for axis in schedule.parallel:
            if not parallel[names.index(axis)]:
                raise error_at(op, f"its schedule makes axis '{axis}' parallel, which is a reduction")

    def _add_with_fills(self, op: linalg.GenericOp, names: Sequence[str]) -> None:
        group = self.open
        if group is None:
            return
        for output, map_ in zip(op.outputs, maps_of(op)[len(op.inputs) :], strict=True):
            for fill in [fill for fill in self.fills if fill.outputs[0] is output]:
                dims = [expression.position for expression in map_.results if isinstance(expression, AffineDimExpr)]
                if len(dims) == len(map_.results):
                    group.add(fill, [names[dim] for dim in dims])
                    self.fills.remove(fill)
        group.add(op, names)

    def _fits(self, op: linalg.GenericOp, schedule: Schedule, names: Sequence[str]) -> bool:
        """Whether a stage of rows may run in the open group's loop: what it shares with others, it shares by rows."""
        group = self.open
        if group is None or schedule.parallel != group.schedule.parallel:
            return False
        if schedule.blocked != group.schedule.blocked:
            return False
        if schedule.blocked is None and (schedule.kind != "rows" or group.schedule.kind != "rows"):
            return False
        joined = Group(group.schedule, group.anchor, [*group.ops, op], {**group.names, op: list(names)})
        if not _equal_axes(joined):
            return False
        written = joined.written()
        counts = Counter(underlying(buffer) for buffer, _ in joined.accesses())
        once = {buffer for buffer, count in counts.items() if count == 1}
        rows: dict[SSAValue, list[int | None]] = {}
        for buffer, positions in joined.accesses():
            root = underlying(buffer)
            if root not in written or (schedule.blocked is not None and root in once):
                continue
            if None in positions or rows.setdefault(root, positions) != positions:
                return False
        return not any(underlying(buffer) in written for member in joined.ops for buffer in captured_buffers(member))

    def _epilogue_names(self, op: linalg.GenericOp) -> list[str] | None:
        """The names of an op's dims by the contraction whose result it reads, None where it is no epilogue of one."""
        group = self.open
        if group is None or group.schedule.kind != "contraction" or not all(iterators_of(op)):
            return None
        if not has_subviews(op) or any(buffer in group.written() for buffer in captured_buffers(op)):
            return None
        results = result_names(group)
        names: dict[int, str] = {}
        for operand, map_ in zip(op.inputs, maps_of(op), strict=False):
            axes = results.get(operand)
            if axes is None:
                continue
            for expression, name in zip(map_.results, axes, strict=True):
                if not isinstance(expression, AffineDimExpr) or names.setdefault(expression.position, name) != name:
                    return None
        if len(names) != len(op.iterator_types) or len(set(names.values())) != len(names):
            return None
        return [names[dim] for dim in range(len(names))]


def _cut_steps(op: linalg.GenericOp, schedule: Schedule | None) -> dict[int, int]:
    """The dims of a contraction that are cut, and into what."""
    names = axes_of(op)
    if schedule is None or schedule.kind != "contraction" or names is None:
        return {}
    block = dict(schedule.block)
    return {names.index(axis): block.get(axis, schedule.tile_of(axis)) for axis in schedule.parallel if axis in names}


def _equal_axes(group: Group) -> bool:
    """Whether the parallel axes of a group are known to be equally long in all of its ops that have them."""
    sizes = SizeClasses()
    for op in group.ops:
        sizes.add(op, maps_of(op))
    for axis in group.schedule.parallel:
        owners = [op for op in group.ops if axis in group.names[op]]
        dims = [group.names[op].index(axis) for op in owners]
        if any(not sizes.equal(owners[0], dims[0], op, dim) for op, dim in zip(owners, dims, strict=True)):
            return False
    return True


def result_names(group: Group) -> dict[SSAValue, list[str]]:
    """The names of the axes of the buffers that a group's generic ops write."""
    found: dict[SSAValue, list[str]] = {}
    for op in group.ops:
        if isinstance(op, linalg.FillOp):
            continue
        for output, map_ in zip(op.outputs, maps_of(op)[len(op.inputs) :], strict=True):
            dims = [expression.position for expression in map_.results if isinstance(expression, AffineDimExpr)]
            if len(dims) == len(map_.results):
                found[output] = [group.names[op][dim] for dim in dims]
    return found


def has_empty_operand(op: StructuredOp) -> bool:
    """Whether an operand is known to have no elements: it has no sub-views, and there is next to nothing to compute."""
    return any(is_memref(operand.type) and 0 in operand.type.get_shape() for operand in op.operands)


def captured_buffers(op: Operation) -> set[SSAValue]:
    """The buffers that the body of an op loads from."""
    return {
        operand
        for region in op.regions
        for inner in region.walk()
        for operand in inner.operands
        if is_memref(operand.type)
    }
