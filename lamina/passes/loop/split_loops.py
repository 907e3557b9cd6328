"""`split-loops`: loops whose bodies ask where they are become several loops that need not ask."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Final

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import IndexType, ModuleOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from lamina.dialects.loop import arith, memref, scf
from lamina.passes.base import LaminaPass
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import Constants, Emitter, known_index

MAX_PARTS: Final = 5
"""The most loops that one loop becomes."""

MAX_OPS: Final = 64
"""The most ops of a body that is repeated."""

MAX_CHOICE_OPS: Final = 256
"""The most ops of a body of choices that are the same at every position: each loop has few of them."""

MAX_LOOPS: Final = 16
"""The most loops in the place of one, for answers that are the same at every position."""

Interval = tuple[int, int]
"""The smallest and the largest value."""


@dataclass(frozen=True)
class SplitLoopsPass(LaminaPass):
    """Cut innermost loops where a comparison of the position with a constant changes its outcome.

        scf.for %i = %c0 to %c8 step %c1 {                    scf.for %i = %c0 to %c5 step %c1 {
          %first = arith.cmpi slt, %i, %c5                      %a = memref.load %x[%i]
          %j = arith.minsi %i, %c4                              memref.store %a, %y[%i]
          %a = memref.load %x[%j]                             }
          …                                             →     scf.for %i = %c5 to %c8 step %c1 {
          %b = memref.load %z[%l]                               %j = arith.addi %i, %c-5
          %c = arith.select %first, %a, %b                      %b = memref.load %z[%j]
          memref.store %c, %y[%i]                               memref.store %b, %y[%i]
        }                                                     }

    In each part the comparisons, and minima and maxima of positions and constants, are known; loads that only the other
    part needs are gone; where only the last iteration of a loop around reaches the other outcome, the loop is there
    twice. So concatenation and padding become copies. Loops of static extent with step 1 that carry
    nothing are split, into five parts at most. Before that, a condition in the body that is the same at every position
    (whether a row lies inside a border, which operand of a concatenation has the row) is asked once, ahead of a loop
    for either answer.
    """

    name = "split-loops"
    requires: ClassVar[frozenset[str]] = frozenset({"loops"})
    ensures: ClassVar[frozenset[str]] = frozenset({"loops-split"})
    counters: ClassVar[Mapping[str, str]] = {"parts": "loops that took the place of loops that asked where they are"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                self.count("parts", split_function(function))


def split_function(function: func.FuncOp) -> int:
    """Split the loops of one function; gives how many parts there are."""
    constants = Constants(function.body.block)
    parts = _unswitch_loops(function, constants)
    for op in [op for op in function.walk() if isinstance(op, scf.ForOp)]:
        bounds = _static_bounds(op)
        points = [] if bounds is None else _points(op.body.block, *bounds)
        if bounds is not None and not points:
            parts += _split_last(op, bounds, constants)
        if bounds is None or not points or len(points) >= MAX_PARTS:
            continue
        edges = [bounds[0], *points, bounds[1]]
        found = [_Part.of_loop(op, low, high) for low, high in pairwise(edges)]
        if any(part is None for part in found):
            continue
        emitter = Emitter.ahead_of(op, constants)
        for part in found:
            if part is not None:
                _emit_part(emitter, part)
        parts += len(found)
        op.detach()
        op.erase()
    if parts:
        erase_dead_ops(function.body.block)
    return parts


# ---- loops that are cut short in the last iteration of one around them


def _split_last(op: scf.ForOp, bounds: Interval, constants: Constants) -> int:
    """Ask once, ahead of a loop, whether all of its positions are inside; gives how many loops there are then.

    `panel * 48 + i < 500` holds for all i below 48 in every panel but the last.
    """
    found = _remote_comparison(op)
    if found is None:
        return 0
    base, limit = found
    part = _Part.of_loop(op, *bounds, {base: (_range_of(base)[0], limit - bounds[1])})
    if part is None or not part.truth:
        return 0
    emitter = Emitter.ahead_of(op, constants)
    needed, outside = _depended_on(base, op.body.block) or set(), dict[SSAValue, SSAValue]()
    for inner in op.body.block.ops:
        if inner in needed:
            _copy(emitter, inner, outside)
    inside = emitter.compare("sle", outside.get(base, base), limit - bounds[1])
    whole = part
    emitter.branch(inside, lambda inner: _emit_part(inner, whole), lambda inner: _copy(inner, op, {}))
    op.detach()
    op.erase()
    return 2


def _remote_comparison(op: scf.ForOp) -> tuple[SSAValue, int] | None:
    """What the positions of a loop are added to, and the constant that the sums are compared with."""
    block = op.body.block
    for inner in block.ops:
        if not isinstance(inner, arith.CmpiOp) or _predicate(inner) != "slt":
            continue
        limit, position = known_index(inner.rhs), inner.lhs.owner
        if not isinstance(limit, int) or not isinstance(position, arith.AddiOp):
            continue
        base = position.lhs if position.rhs is block.args[0] else position.rhs
        if block.args[0] in position.operands and _range_of(base)[0] >= 0:
            return base, limit
    return None


def _range_of(value: SSAValue) -> Interval:
    """The values of an index that comes from a parallel loop of static extent; (-1, -1) where that is not known."""
    owner = value.owner
    if isinstance(owner, arith.MuliOp):
        factor, (low, high) = known_index(owner.rhs), _range_of(owner.lhs)
        return (low * factor, high * factor) if isinstance(factor, int) and factor >= 0 and low >= 0 else (-1, -1)
    loop = owner.parent_op() if isinstance(owner, Block) else None
    if not isinstance(loop, scf.ForallOp) or not isinstance(value, BlockArgument):
        return -1, -1
    number = value.index
    lower, upper = loop.static_lower_bound.get_values()[number], loop.static_upper_bound.get_values()[number]
    return (lower, upper - 1) if lower >= 0 and upper > lower else (-1, -1)


# ---- conditions that are the same at every position


def _unswitch_loops(function: func.FuncOp, constants: Constants) -> int:
    """Move conditions out of the innermost loops of a function; gives how many loops there are in their places."""
    made = 0
    for op in [op for op in function.walk() if isinstance(op, scf.ForOp) and not op.iter_args]:
        loops, count = [op], 1
        while loops and count < MAX_LOOPS:
            one = loops.pop()
            conditions = _fixed_condition(one) or _fixed_choices(one)
            if conditions:
                loops += _unswitch(one, conditions, constants)
                count += 1
        made += 2 * (count - 1)
    return made


def _fixed_condition(op: scf.ForOp) -> list[scf.IfOp]:
    """The only op with regions of a loop's body, where its condition does not depend on the loop."""
    nested = [inner for inner in op.body.block.ops if inner.regions]
    if len(nested) != 1 or not isinstance(nested[0], scf.IfOp) or not isinstance(known_index(op.step), int):
        return []
    small = sum(1 for _ in op.walk()) <= MAX_OPS
    return [nested[0]] if small and _depended_on(nested[0].cond, op.body.block) is not None else []


def _fixed_choices(op: scf.ForOp) -> list[arith.SelectOp]:
    """Choices between two loaded values of a loop without regions, where the answer is the same at every position: the
    last one, which in a chain asks first, and all others of the same condition."""
    block = op.body.block
    ops = list(block.ops)
    if len(ops) > MAX_CHOICE_OPS or not isinstance(known_index(op.step), int) or any(inner.regions for inner in ops):
        return []
    found: dict[Hashable, list[arith.SelectOp]] = {}
    for inner in ops:
        if not isinstance(inner, arith.SelectOp) or _depended_on(inner.cond, block) is None:
            continue
        if all(_is_loaded(value, block) for value in (inner.lhs, inner.rhs)):
            found.setdefault(_form(inner.cond, block), []).append(inner)
    return list(found.values())[-1] if found else []


def _form(value: SSAValue, block: Block) -> Hashable:
    """What arithmetic of a loop's body computes, the same for the same arithmetic."""
    owner = value.owner
    if not isinstance(owner, Operation) or owner.parent is not block:
        index = known_index(value)
        return index if isinstance(index, int) else value
    operands = tuple(_form(operand, block) for operand in owner.operands)
    named = {**owner.attributes, **owner.properties}
    return owner.name, tuple(sorted((key, str(attribute)) for key, attribute in named.items())), operands


def _is_loaded(value: SSAValue, block: Block) -> bool:
    """Whether a value is only read to be chosen: a load of the block, or such a choice."""
    owner = value.owner
    if not isinstance(owner, Operation) or owner.parent_block() is not block or len(list(value.uses)) != 1:
        return False
    if isinstance(owner, arith.SelectOp):
        return any(_is_loaded(each, block) for each in (owner.lhs, owner.rhs))
    return isinstance(owner, memref.LoadOp)


def _depended_on(value: SSAValue, block: Block) -> set[Operation] | None:
    """The ops of a loop's body that a value comes from; None where it differs between positions."""
    found: set[Operation] = set()
    pending = [value]
    while pending:
        owner = pending.pop().owner
        if owner is block:
            return None
        if isinstance(owner, Operation) and owner.parent is block and owner not in found:
            if not owner.name.startswith("arith.") or "div" in owner.name or "rem" in owner.name:
                return None
            found.add(owner)
            pending += owner.operands
    return found


def _unswitch(
    op: scf.ForOp, conditions: Sequence[scf.IfOp] | Sequence[arith.SelectOp], constants: Constants
) -> list[scf.ForOp]:
    """Put a loop for either answer in place of a loop; gives the two. The conditions are the same one."""
    block = op.body.block
    asked = conditions[0].cond
    are_choices = isinstance(conditions[0], arith.SelectOp)
    outside = Emitter.ahead_of(op, constants)
    fixed = _fixed_ops(block) if are_choices else _depended_on(asked, block) or set()
    mapping: dict[SSAValue, SSAValue] = {}
    for inner in block.ops:
        if inner in fixed:
            _copy(outside, inner, mapping)
    loops: list[scf.ForOp] = []

    def side(answer: bool) -> Callable[[Emitter], None]:
        def body(inside: Emitter, position: SSAValue) -> None:
            known = {**mapping, block.args[0]: position}
            for inner in block.ops:
                if isinstance(inner, scf.IfOp | arith.SelectOp) and inner in conditions:
                    ops, values = _answered(inner, answer)
                    for one in ops:
                        _copy(inside, one, known)
                    known.update(zip(inner.results, (known.get(value, value) for value in values), strict=True))
                elif inner not in fixed:
                    _copy(inside, inner, known)
            if are_choices:
                _drop_unused(inside.block)

        def emit(emitter: Emitter) -> None:
            step = known_index(op.step)
            emitter.loop(op.lb, op.ub, step if isinstance(step, int) else 1, body)
            loops.extend(one for one in emitter.block.ops if isinstance(one, scf.ForOp))

        return emit

    outside.branch(mapping.get(asked, asked), side(True), side(False))
    op.detach()
    op.erase()
    return loops


def _answered(condition: scf.IfOp | arith.SelectOp, answer: bool) -> tuple[Sequence[Operation], Sequence[SSAValue]]:
    """What a condition does with an answer, and the values that it gives then."""
    if isinstance(condition, arith.SelectOp):
        return [], [condition.lhs if answer else condition.rhs]
    region = condition.true_region if answer else condition.false_region
    if not region.blocks:
        return [], []
    last = region.block.last_op
    return list(region.block.ops), list(last.operands) if last is not None else []


def _fixed_ops(block: Block) -> set[Operation]:
    """The arithmetic of a loop's body that is the same at every position."""
    found: set[Operation] = set()
    for op in block.ops:
        if op.results and op.name.startswith("arith.") and _depended_on(op.results[0], block) is not None:
            found.add(op)
    return found


def _drop_unused(block: Block) -> None:
    """Erase arithmetic and loads without uses."""
    for op in reversed(list(block.ops)):
        removable = op.name.startswith(("arith.", "math.")) or isinstance(op, memref.LoadOp)
        if removable and not any(result.uses for result in op.results):
            op.detach()
            op.erase()


def _copy(emitter: Emitter, op: Operation, mapping: dict[SSAValue, SSAValue]) -> None:
    """A copy of an op, terminators aside, with its own location."""
    if not isinstance(op, scf.YieldOp):
        location = op.location
        emitter.append(op.clone(mapping)).location = location


# ---- bounds


def _static_bounds(op: scf.ForOp) -> Interval | None:
    """The bounds of an innermost loop that may be split; conditions in it are no obstacle as such."""
    lower, upper, step = (known_index(value) for value in (op.lb, op.ub, op.step))
    if not isinstance(lower, int) or not isinstance(upper, int) or step != 1 or op.iter_args:
        return None
    ops = [inner for inner in op.walk() if inner is not op]
    nested = any(inner.regions and not isinstance(inner, scf.IfOp) for inner in ops)
    return None if len(ops) > MAX_OPS or nested else (lower, upper)


# ---- where outcomes change

OUTCOMES: Mapping[str, tuple[Callable[[Interval, Interval], bool], Callable[[Interval, Interval], bool]]] = {
    "slt": (lambda a, b: a[1] < b[0], lambda a, b: a[0] >= b[1]),
    "sle": (lambda a, b: a[1] <= b[0], lambda a, b: a[0] > b[1]),
    "sgt": (lambda a, b: a[0] > b[1], lambda a, b: a[1] <= b[0]),
    "sge": (lambda a, b: a[0] >= b[1], lambda a, b: a[1] < b[0]),
}
"""By predicate: when it holds, and when it does not, for all values of two intervals."""

FIRST_CHANGED: Mapping[str, int] = {"slt": 0, "sge": 0, "sle": 1, "sgt": 1}
"""By predicate: how far after the constant the first position with the other outcome is."""

SWAPPED: Mapping[str, str] = {"slt": "sgt", "sgt": "slt", "sle": "sge", "sge": "sle"}


def _points(block: Block, low: int, high: int) -> list[int]:
    """The positions from which on a comparison of the position plus a constant with a constant has another outcome."""
    offsets: dict[SSAValue, int] = {block.args[0]: 0}
    points: set[int] = set()
    for op in block.walk():
        if isinstance(op, arith.AddiOp | arith.SubiOp):
            constant = known_index(op.rhs)
            if op.lhs in offsets and isinstance(constant, int):
                offsets[op.result] = offsets[op.lhs] + (constant if isinstance(op, arith.AddiOp) else -constant)
        elif isinstance(op, arith.CmpiOp) and isinstance(op.lhs.type, IndexType):
            predicate = _predicate(op)
            left, right = op.lhs, op.rhs
            if right in offsets:
                left, right, predicate = right, left, SWAPPED.get(predicate, "")
            constant = known_index(right)
            if left in offsets and isinstance(constant, int) and predicate in FIRST_CHANGED:
                points.add(constant - offsets[left] + FIRST_CHANGED[predicate])
    return sorted(point for point in points if low < point < high)


def _predicate(op: arith.CmpiOp) -> str:
    return op.PREDICATES[op.predicate.value.data]


# ---- one part


@dataclass
class _Part:
    """What is known of the values of a body while its position is within an interval."""

    position: SSAValue
    interval: Interval
    same: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    truth: dict[SSAValue, bool] = field(default_factory=dict[SSAValue, bool])
    intervals: dict[SSAValue, Interval] = field(default_factory=dict[SSAValue, Interval])
    ops: list[Operation] = field(default_factory=list[Operation])
    """What is left of the body, in order: of conditions, the side that is taken."""

    @classmethod
    def of_loop(
        cls, op: scf.ForOp, low: int, high: int, known: Mapping[SSAValue, Interval] | None = None
    ) -> _Part | None:
        """The positions from `low` up to `high` of a loop, where values from around it are `known`; None where a
        condition is not."""
        block = op.body.block
        part = cls(block.args[0], (low, high - 1), intervals=dict(known or {}))
        return part if part._take(block) else None

    def _take(self, block: Block) -> bool:
        """Add the ops of a block; False where a condition is not known."""
        for op in block.ops:
            if isinstance(op, scf.YieldOp):
                continue
            if not isinstance(op, scf.IfOp):
                self.learn(op)
                self.ops.append(op)
                continue
            answer = self.truth.get(self.value(op.cond))
            if answer is None:
                return False
            taken = op.true_region if answer else op.false_region
            if not taken.blocks:
                continue
            if not self._take(taken.block):
                return False
            yielded = taken.block.last_op
            for result, value in zip(op.results, yielded.operands if yielded is not None else (), strict=True):
                self._is(result, value)
        return True

    def value(self, value: SSAValue) -> SSAValue:
        """The value that is the same as another one here."""
        return self.same.get(value, value)

    def of(self, value: SSAValue) -> Interval | None:
        """The values that an index takes."""
        value = self.value(value)
        if value is self.position:
            return self.interval
        constant = known_index(value)
        return (constant, constant) if isinstance(constant, int) else self.intervals.get(value)

    def learn(self, op: Operation) -> None:
        """Note what an op gives."""
        match op:
            case arith.CmpiOp() if isinstance(op.lhs.type, IndexType):
                left, right, rules = self.of(op.lhs), self.of(op.rhs), OUTCOMES.get(_predicate(op))
                if left is None or right is None or rules is None:
                    return
                for outcome, holds in zip((True, False), rules, strict=True):
                    if holds(left, right):
                        self.truth[op.result] = outcome
            case arith.AndIOp():
                self._connective(op, absorbing=False)
            case arith.OrIOp():
                self._connective(op, absorbing=True)
            case arith.SelectOp():
                known = self.truth.get(self.value(op.cond))
                if known is not None:
                    self._is(op.result, op.lhs if known else op.rhs)
            case arith.AddiOp() | arith.SubiOp():
                left, right = self.of(op.lhs), self.of(op.rhs)
                if left is not None and right is not None:
                    low, high = right if isinstance(op, arith.AddiOp) else (-right[1], -right[0])
                    self.intervals[op.result] = (left[0] + low, left[1] + high)
            case arith.MinSIOp() | arith.MaxSIOp():
                self._extreme(op)
            case _:
                pass

    def _is(self, result: SSAValue, value: SSAValue) -> None:
        value = self.value(value)
        self.same[result] = value
        if value in self.truth:
            self.truth[result] = self.truth[value]

    def _connective(self, op: arith.AndIOp | arith.OrIOp, *, absorbing: bool) -> None:
        for one, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            known = self.truth.get(self.value(one))
            if known is absorbing:
                self.truth[op.result] = absorbing
            elif known is not None:
                self._is(op.result, other)

    def _extreme(self, op: arith.MinSIOp | arith.MaxSIOp) -> None:
        left, right = self.of(op.lhs), self.of(op.rhs)
        if left is None or right is None:
            return
        smaller = isinstance(op, arith.MinSIOp)
        if left[1] <= right[0]:
            self._is(op.result, op.lhs if smaller else op.rhs)
        elif right[1] <= left[0]:
            self._is(op.result, op.rhs if smaller else op.lhs)
        else:
            pick = min if smaller else max
            self.intervals[op.result] = (pick(left[0], right[0]), pick(left[1], right[1]))


def _emit_part(emitter: Emitter, part: _Part) -> None:
    """The loop over one part: what it needs of the body."""
    needed = _needed(part)
    (low, last) = part.interval

    def body(inside: Emitter, position: SSAValue) -> None:
        mapping: dict[SSAValue, SSAValue] = {part.position: position}
        for inner in part.ops:
            if inner not in needed:
                continue
            for operand in inner.operands:
                source = part.value(operand)
                known = part.truth.get(source)
                if known is not None:
                    mapping[operand] = inside.scalar_constant(int(known), operand.type)
                elif source is not operand:
                    mapping[operand] = mapping.get(source, source)
            location = inner.location
            inside.append(inner.clone(mapping)).location = location

    emitter.loop(low, last + 1, 1, body)


def _needed(part: _Part) -> set[Operation]:
    """The ops that write to memory, and what they need."""
    needed: set[Operation] = set()
    for op in reversed(part.ops):
        removable = op.name.startswith(("arith.", "math.")) or isinstance(op, memref.LoadOp)
        if removable and op not in needed:
            continue
        needed.add(op)
        for operand in op.operands:
            source = part.value(operand)
            if source not in part.truth and isinstance(source.owner, Operation):
                needed.add(source.owner)
    return needed
