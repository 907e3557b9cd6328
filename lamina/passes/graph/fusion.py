"""Which ops of a block form one kernel.

Ops are visited from the last to the first. An op joins the group of its users when all of them are in one group and the
op fits there; otherwise it starts a group of its own. Since every use of a member other than the root stays inside the
group, no path leaves a group and comes back: groups are convex by construction, and each has one result. Groups that
share what they read may be merged afterwards (`lamina.passes.graph.multiple_results`).

Contractions choose first, so that an elementwise chain becomes the epilogue of the contraction that it follows rather
than part of what comes after it. Everything else is grouped in a second walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Block, Operation, Use

from lamina.dialects.graph.dims import Dim, Shape, bounds, exact_quotient, product, static_size
from lamina.passes.graph.roles import (
    Role,
    first_row_axis,
    has_flag,
    integers_of,
    pads_leading_axes,
    reduced_axes,
    role_of,
)
from lamina.passes.graph.shape_analysis import ShapeAnalysis, is_tracked, tensor_type

MAX_MEMBERS = 32
"""The most ops of one kernel: beyond it nothing is gained from fusion, and code size hurts."""

SMALL_ROW = 4096
"""Without a leading axis to share, stages join only when their intermediates have at most so many elements."""

LOOKAHEAD = 8
"""How many elementwise ops may stand between a row-wise value's use and the reduction that it comes from."""

RECOMPUTED = frozenset(
    f"graph.{name}" for name in ("broadcast", "cast", "compare", "dynamic_broadcast", "iota", "not", "slice")
)
"""Ops so cheap that each kernel that uses the result computes it for itself."""

INDEX_ARITHMETIC = frozenset(
    f"graph.{name}" for name in ("add", "subtract", "multiply", "select", "clamp", "maximum", "minimum")
)
"""Cheap as well when they compute integers: the normalization of negative indices before a gather."""

TURNED = 8
"""From this many elements along both axes on, blocks are turned in registers: many times faster than one by one."""

WINDOW_MOVEMENT = frozenset(
    f"graph.{name}" for name in ("broadcast", "dynamic_broadcast", "reverse", "slice", "transpose")
)
"""Movement that a window reads its operand through, as it does through padding of other axes than the last. Anything
else is stored first: in the window's kernel it would be stored as a whole, by the leading axes' iterations alone."""

EPILOGUE_MOVEMENT = frozenset({"graph.broadcast", "graph.dynamic_broadcast"})


class Kind(Enum):
    """What a group is built around."""

    ELEMENTWISE = auto()
    ROWS = auto()
    REDUCTION = auto()
    CONTRACTION = auto()
    ALONE = auto()


class Level(Enum):
    """How often a member is computed: for each element of the domain, or for each of its rows."""

    FULL = auto()
    ROW = auto()


@dataclass(eq=False)
class Group:
    """Ops that become one kernel; `root` gives its result, and the `exports` give further ones.

    `domain` is the shape that FULL members have. `rows` leading axes of it are shared by all stages of a ROWS group.
    Members without a level are computed where they are read.
    """

    root: Operation
    kind: Kind
    domain: Shape
    rows: int = 0
    anchor: Operation | None = None
    members: list[Operation] = field(default_factory=list[Operation])
    levels: dict[Operation, Level] = field(default_factory=dict[Operation, Level])
    evaluations: dict[Operation, Dim] = field(default_factory=dict[Operation, Dim])
    exports: list[Operation] = field(default_factory=list[Operation])

    @property
    def roots(self) -> list[Operation]:
        """The ops that give the kernel's results, in this order."""
        return [*self.exports, self.root]

    @property
    def main_op(self) -> Operation:
        """The op that names and locates the kernel: its anchor, or the first that reduces, or the root."""
        if self.anchor is not None:
            return self.anchor
        reducing = [op for op in self.members if role_of(op) in (Role.REDUCTION, Role.ROW)]
        return reducing[-1] if reducing else self.root


@dataclass(frozen=True)
class Placement:
    """How an op would join a group: its level there, and what the group would become."""

    level: Level | None
    kind: Kind
    rows: int
    domain: Shape
    evaluations: Dim
    anchor: Operation | None = None
    lower_levels: bool = False


def form_groups(block: Block, analysis: ShapeAnalysis) -> list[Group]:
    """The kernels of a block, in the order of their roots; nested regions are left to further calls."""
    return BlockFusion(block, analysis).run()


def stays_in_caller(op: Operation, analysis: ShapeAnalysis) -> bool:
    """Views, constants and control flow; and small integer tensors whose elements are sizes known without the op."""
    if role_of(op) is Role.HOST:
        return True
    for result in op.results:
        elements = analysis.elements(result) if is_tracked(result.type) else None
        if elements is None or any(analysis.derived_from(element, result) for element in elements):
            return False
    return True


@dataclass
class BlockFusion:
    """The grouping of one block."""

    block: Block
    analysis: ShapeAnalysis
    _groups_of: dict[Operation, list[Group]] = field(default_factory=dict[Operation, list[Group]])

    def run(self) -> list[Group]:
        """Group all ops of the block that do not stay in the caller."""
        order = [op for op in self.block.ops if not stays_in_caller(op, self.analysis)]
        self._visit(op for op in reversed(order) if _takes_part_in_epilogues(op))
        contractions = {
            op: [group for group in groups if group.kind is Kind.CONTRACTION] for op, groups in self._groups_of.items()
        }
        self._groups_of = {op: groups for op, groups in contractions.items() if groups}
        self._visit(reversed(order))
        groups = {group.root: group for groups in self._groups_of.values() for group in groups}
        return [groups[op] for op in order if op in groups]

    def _visit(self, ops: Iterable[Operation]) -> None:
        for op in ops:
            joined = self._groups_of.get(op, [])
            if any(group.root is op for group in joined):
                continue
            users = self._user_groups(op)
            if joined and users is not None and set(users) <= set(joined):
                continue
            placements = [(group, self._placement(op, group)) for group in users or () if group not in joined]
            accepted = [(group, placement) for group, placement in placements if placement is not None]
            recomputed = op.name in RECOMPUTED
            if accepted and len(accepted) == len(placements) and (recomputed or len(accepted) == 1):
                for group, placement in accepted:
                    self._join(op, group, placement)
                self._groups_of[op] = [*joined, *(group for group, _ in accepted)]
            else:
                self._groups_of[op] = [*joined, self._new_group(op)]

    def _user_groups(self, op: Operation) -> list[Group] | None:
        """The groups of all users; None when a user is in no group (it stays in the caller, or is in a region)."""
        found: dict[Group, None] = {}
        for result in op.results:
            for use in result.uses:
                groups = self._groups_of.get(use.operation)
                if not groups:
                    return None
                found.update(dict.fromkeys(groups))
        return list(found)

    def _new_group(self, op: Operation) -> Group:
        role = role_of(op)
        shape = self._shape(op)
        group = Group(op, Kind.ELEMENTWISE, shape, members=[op], levels={op: Level.FULL})
        group.evaluations[op] = product(shape)
        match role:
            case Role.CONTRACTION:
                group.kind, group.anchor = Kind.CONTRACTION, op
            case Role.ALONE:
                group.kind, group.anchor = Kind.ALONE, op
            case Role.ROW:
                group.kind, group.anchor = Kind.ROWS, op
                group.rows = first_row_axis(op) or 0
            case Role.REDUCTION:
                group.kind, group.anchor = Kind.REDUCTION, op
                rows = shared_rows(op, self.analysis)
                if rows is not None:
                    group.kind, group.rows, group.domain = Kind.ROWS, rows, self.analysis.shape(op.operands[0])
                    group.levels = {op: Level.ROW}
            case _ if op.name == "graph.transpose":
                # A trailing transpose: the work is done in the order of its operand, the result stored in another.
                if keeps_last_axis(op):
                    group.domain = self.analysis.shape(op.operands[0])
                else:
                    group.levels = {}
            case Role.MOVEMENT:
                group.levels = {}
            case _:
                pass
        return group

    def _join(self, op: Operation, group: Group, placement: Placement) -> None:
        group.members.append(op)
        group.kind, group.rows, group.domain = placement.kind, placement.rows, placement.domain
        group.anchor = group.anchor or placement.anchor
        group.evaluations[op] = placement.evaluations
        if placement.lower_levels:
            group.levels = dict.fromkeys(group.levels, Level.ROW)
        if placement.level is not None:
            group.levels[op] = placement.level

    # ---- placements

    def _placement(self, op: Operation, group: Group) -> Placement | None:
        """How `op`, all of whose uses are in groups, would join `group`; None where it does not fit."""
        if group.kind is Kind.ALONE or len(group.members) >= MAX_MEMBERS:
            return None
        uses = [use for result in op.results for use in result.uses if group in self._groups_of[use.operation]]
        match role_of(op):
            case Role.CONTRACTION:
                return self._place_contraction(op, group, uses)
            case Role.ELEMENTWISE:
                return self._place_elementwise(op, group, uses)
            case Role.MOVEMENT:
                return self._place_movement(op, group, uses)
            case Role.REDUCTION:
                return self._place_reduction(op, group, uses)
            case Role.ROW:
                return self._place_row_op(op, group, uses)
            case _:
                return None

    def _place_contraction(self, op: Operation, group: Group, uses: Sequence[Use]) -> Placement | None:
        if group.kind is not Kind.ELEMENTWISE or self._shape(op) != group.domain:
            return None
        if not all(group.levels.get(use.operation) is Level.FULL for use in uses):
            return None
        return Placement(Level.FULL, Kind.CONTRACTION, 0, group.domain, product(group.domain), anchor=op)

    def _place_elementwise(self, op: Operation, group: Group, uses: Sequence[Use]) -> Placement | None:
        if any(role_of(use.operation) is Role.CONTRACTION for use in uses):
            return None
        shape = self._shape(op)
        if all(self._reads_full(use, group, shape) for use in uses):
            return self._placed(group, Level.FULL, product(shape))
        rows = self._row_count(shape, group.domain)
        if rows is not None and all(use.operation in group.levels for use in uses) and not is_transpose(group.root):
            leads = group.kind is Kind.ROWS or (
                group.kind is Kind.ELEMENTWISE and self._comes_from_rows(op, group.domain, LOOKAHEAD)
            )
            if leads:
                shared = min(group.rows, rows) if group.kind is Kind.ROWS else rows
                return Placement(Level.ROW, Kind.ROWS, shared, group.domain, product(shape))
        evaluations = self._evaluations(group, uses)
        if evaluations is None:
            return None
        if is_cheap(op) or not_more(evaluations, product(shape)):
            return self._placed(group, None, evaluations)
        return None

    def _place_movement(self, op: Operation, group: Group, uses: Sequence[Use]) -> Placement | None:
        if any(use.operation is group.anchor for use in uses) and group.kind is Kind.CONTRACTION:
            fits = len(uses) == 1 and feeds_contraction(op, uses[0])
            return self._placed(group, None, product(self._shape(op))) if fits else None
        if group.kind is Kind.CONTRACTION and op.name not in EPILOGUE_MOVEMENT:
            return None
        if any(use.operation.name == "graph.reduce_window" for use in uses) and not self._feeds_windows(op):
            return None
        if self._turns_blocks(op) and any(role_of(use.operation) is not Role.ELEMENTWISE for use in uses):
            return None
        return self._placed(group, None, self._evaluations(group, uses) or product(self._shape(op)))

    def _place_reduction(self, op: Operation, group: Group, uses: Sequence[Use]) -> Placement | None:
        if not all(use.operation in group.levels for use in uses) or is_transpose(group.root):
            return None
        if any(role_of(use.operation) is not Role.ELEMENTWISE for use in uses):
            return None
        result, operand = self._shape(op), self.analysis.shape(op.operands[0])
        rows = shared_rows(op, self.analysis)
        stretched = not all(self._shape(use.operation) == result for use in uses)
        if group.kind is Kind.ELEMENTWISE and result == group.domain and not stretched:
            if rows is None:
                return Placement(Level.FULL, Kind.REDUCTION, 0, group.domain, product(operand), anchor=op)
            return Placement(Level.ROW, Kind.ROWS, rows, operand, product(operand), anchor=op, lower_levels=True)
        if group.kind not in (Kind.ELEMENTWISE, Kind.ROWS) or rows is None or operand != group.domain:
            return None
        if stretched and not has_flag(op, "keep_dimensions"):
            return None
        shared = min(rows, group.rows) if group.kind is Kind.ROWS else rows
        return Placement(Level.ROW, Kind.ROWS, shared, group.domain, product(operand), anchor=op)

    def _place_row_op(self, op: Operation, group: Group, uses: Sequence[Use]) -> Placement | None:
        shape = self._shape(op)
        rows = shared_rows(op, self.analysis)
        if rows is None or is_transpose(group.root):
            return None
        if group.kind not in (Kind.ELEMENTWISE, Kind.ROWS):
            return None
        if not all(self._reads_full(use, group, shape) for use in uses):
            return None
        shared = min(rows, group.rows) if group.kind is Kind.ROWS else rows
        return Placement(Level.FULL, Kind.ROWS, shared, group.domain, product(shape), anchor=op)

    def _feeds_windows(self, op: Operation) -> bool:
        """Whether a window reads its operand through a movement, or is so small that it may as well store it."""
        if op.name in WINDOW_MOVEMENT or pads_leading_axes(op):
            return True
        elements = static_size(self._shape(op))
        return elements is not None and elements <= SMALL_ROW

    def _turns_blocks(self, op: Operation) -> bool:
        """Whether a transpose moves the last axis and is fast by itself, or with elementwise ops, but not otherwise."""
        if not is_transpose(op) or keeps_last_axis(op):
            return False
        return all(
            bounds(shape[-1])[0] >= TURNED or not isinstance(shape[-1], int)
            for shape in (self._shape(op), self.analysis.shape(op.operands[0]))
        )

    @staticmethod
    def _placed(group: Group, level: Level | None, evaluations: Dim) -> Placement:
        return Placement(level, group.kind, group.rows, group.domain, evaluations)

    # ---- shapes

    def _shape(self, op: Operation) -> Shape:
        return self.analysis.shape(op.results[0])

    def _reads_full(self, use: Use, group: Group, shape: Shape) -> bool:
        """Whether a member reads a value of the domain's shape at the position that it is computed for."""
        user = use.operation
        if shape != group.domain or user not in group.levels:
            return False
        match role_of(user):
            case Role.ELEMENTWISE:
                return group.levels[user] is Level.FULL
            case Role.ROW:
                return use.index == 0
            case Role.REDUCTION:
                return group.kind is Kind.ROWS
            case _:
                return is_transpose(user)

    @staticmethod
    def _row_count(shape: Shape, domain: Shape) -> int | None:
        """The leading axes that `shape` shares with the domain when it has one element for each row of it."""
        if len(shape) != len(domain) or shape == domain:
            return None
        rows = next((axis for axis, dim in enumerate(shape) if dim != domain[axis]), len(domain))
        return rows if rows and all(dim == 1 for dim in shape[rows:]) else None

    def _comes_from_rows(self, op: Operation, domain: Shape, depth: int) -> bool:
        """Whether a value of one element a row is computed from a reduction of the domain's rows."""
        for operand in op.operands:
            owner = operand.owner
            if not isinstance(owner, Operation) or owner.parent is not self.block or not owner.results:
                continue
            role = role_of(owner)
            if role is Role.REDUCTION and shared_rows(owner, self.analysis) is not None:
                if self.analysis.shape(owner.operands[0]) == domain and has_flag(owner, "keep_dimensions"):
                    return True
            elif (
                role is Role.ELEMENTWISE
                and depth
                and self._row_count(self._shape(owner), domain) is not None
                and self._comes_from_rows(owner, domain, depth - 1)
            ):
                return True
        return False

    def _evaluations(self, group: Group, uses: Sequence[Use]) -> Dim | None:
        """How many elements are computed when every user computes what it reads; None when that is not known."""
        counts = {self._reads_of(group, use) for use in uses}
        return next((count for count in counts if all(not_more(other, count) for other in counts)), None)

    def _reads_of(self, group: Group, use: Use) -> Dim:
        op = use.operation
        match role_of(op):
            case Role.MOVEMENT if op.name == "graph.concatenate" and group.evaluations[op] == product(self._shape(op)):
                return product(self.analysis.shape(op.operands[use.index]))
            case Role.ELEMENTWISE | Role.MOVEMENT:
                return group.evaluations[op]
            case Role.REDUCTION if op.name == "graph.reduce_window":
                return product(self._shape(op)) * product(integers_of(op, "window_dimensions"))
            case Role.ROW if use.index:
                return product(self._shape(op))
            case _:
                return product(self.analysis.shape(op.operands[0]))


def shared_rows(op: Operation, analysis: ShapeAnalysis) -> int | None:
    """The leading axes along which rows of a reduction or row op are independent; None when it has no rows.

    Without any such axis, only a small operand counts as (one) row.
    """
    if reduced_axes(op) is None:
        return None
    rows = first_row_axis(op)
    elements = static_size(analysis.shape(op.operands[0]))
    if rows == 0 and (elements is None or elements > SMALL_ROW):
        return None
    return rows


def has_independent_rows(op: Operation, analysis: ShapeAnalysis) -> bool:
    """Whether the stages of a row op can share a loop over its rows; a plain reduction is one stage anyway."""
    return role_of(op) is not Role.ROW or shared_rows(op, analysis) is not None


def _takes_part_in_epilogues(op: Operation) -> bool:
    role = role_of(op)
    return (
        role in (Role.ELEMENTWISE, Role.CONTRACTION)
        or op.name in EPILOGUE_MOVEMENT
        or (is_transpose(op) and keeps_last_axis(op))
    )


def is_transpose(op: Operation) -> bool:
    """Whether an op is a transpose."""
    return op.name == "graph.transpose"


def keeps_last_axis(op: Operation) -> bool:
    """Whether a transpose leaves the last axis, along which vectors run, where it is."""
    permutation = integers_of(op, "permutation")
    return not permutation or permutation[-1] == len(permutation) - 1


def feeds_contraction(op: Operation, use: Use) -> bool:
    """Whether a contraction can read an operand through this op: panels or, where vectors stay, a transpose."""
    if op.name == "graph.unpack":
        return use.index == 1
    if not is_transpose(op) or use.operation.name != "graph.dot_general":
        return False
    return use.index == 0 or keeps_last_axis(op)


def is_cheap(op: Operation) -> bool:
    """Whether computing an element again costs less than storing and loading it."""
    if op.name in RECOMPUTED:
        return True
    return op.name in INDEX_ARITHMETIC and is_integer_tensor(op)


def is_integer_tensor(op: Operation) -> bool:
    """Whether the (first) result holds integers or booleans."""
    return isinstance(tensor_type(op.results[0].type).get_element_type(), IntegerType)


def not_more(left: Dim, right: Dim) -> bool:
    """Whether `left <= right` for all sizes, as far as can be seen."""
    if left == right:
        return True
    if bounds(right - left)[0] >= 0:
        return True
    quotient = exact_quotient(right, left)
    return quotient is not None and bounds(quotient - 1)[0] >= 0
