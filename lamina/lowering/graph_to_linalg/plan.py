"""Which values of a kernel are stored, and which are recomputed where they are read.

A *stage* computes one stored value. Results of the kernel, reductions, contractions and what they need in memory are
stored; so is every value that costs more to compute twice than to store. Everything else is inlined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from xdsl.ir import Operation, OpResult, SSAValue

from lamina.dialects.graph.elementwise_base import ElementwiseOp
from lamina.lowering.graph_to_linalg.body import LinearIndexer, NotLinear
from lamina.lowering.graph_to_linalg.data_movement import size_symbols, splat_value
from lamina.lowering.graph_to_linalg.elementwise import EXPENSIVE
from lamina.lowering.graph_to_linalg.elementwise import SCALAR_RULES as ELEMENTWISE
from lamina.lowering.graph_to_linalg.emitter import FunctionScope
from lamina.lowering.graph_to_linalg.indexing import Divided, Indices, Linear, is_operand_map
from lamina.lowering.graph_to_linalg.properties import integers
from lamina.lowering.graph_to_linalg.spaces import SPACES, Space
from lamina.passes.graph.roles import pads_leading_axes

CONTRACTIONS = frozenset(("graph.dot_general", "graph.convolution"))

WORTH_STORING = 8
"""The cost, in additions, from which on a value is stored rather than computed twice."""

MOVEMENT_COST: Mapping[str, int] = {
    "graph.reshape": 4,
    "graph.dynamic_reshape": 4,
    "graph.gather": 4,
    "graph.pad": 2,
    "graph.dynamic_pad": 2,
    "graph.concatenate": 2,
    "graph.dynamic_update_slice": 2,
    "graph.iota": 1,
    "graph.dynamic_iota": 1,
}

Path: TypeAlias = tuple[tuple[Operation | None, int], ...]
"""How the indices at which a value is read differ from a stage's own: the ops in between that change them."""


def is_elementwise(op: Operation) -> bool:
    """Whether an op reads the elements of its operands that meet its own."""
    return op.name in ELEMENTWISE or isinstance(op, ElementwiseOp)


def defined_by(value: SSAValue) -> str | None:
    """The name of the op that defines a value; None for arguments."""
    return value.op.name if isinstance(value, OpResult) else None


def _runs_along(found: Indices, wanted: Indices) -> bool:
    """Whether the last axis of a tensor is that of the value read through it, at least in panels."""
    if found == wanted or not found or not wanted:
        return found == wanted
    (last,), (column,) = found, wanted
    return isinstance(last, Divided) and last.remainder and isinstance(column, Linear) and column.plain_dim == last.dim


@dataclass(frozen=True)
class Stage:
    """One `linalg.generic`.

    It computes `root` and stores `value`, of which axis a is axis `permutation[a]` of the root. `epilogue_of` is a
    contraction whose result it alone reads, at its own indices, and `in_place` says that it overwrites that result.
    """

    value: SSAValue
    root: SSAValue
    permutation: tuple[int, ...]
    epilogue_of: SSAValue | None = None
    in_place: bool = False


@dataclass
class Planner:
    """Decides for the ops of one kernel; `results` are the values that the kernel returns."""

    function: FunctionScope
    ops: Sequence[Operation]
    results: Sequence[SSAValue]
    stored: set[SSAValue] = field(default_factory=set[SSAValue])

    def plan(self) -> list[Stage]:
        """The stages in order."""
        self._store_mandatory()
        for op in self.ops:
            if op.name in SPACES:
                self._store_operands(op)
        while (value := self._next_worth_storing()) is not None:
            self.stored.add(value)
        return self._stages()

    # ---- mandatory

    def _store_mandatory(self) -> None:
        self.stored |= {value for value in self.results if isinstance(value, OpResult)}
        for op in self.ops:
            if op.name in self.function.rules.stage:
                self.stored.add(op.results[0])
            for name in size_symbols(self.function.analysis, op):
                origin = self.function.analysis.origin(name)
                if origin is not None and origin.value not in self.function.values:
                    self.stored.add(origin.value)

    def is_leaf(self, value: SSAValue) -> bool:
        """Whether a value is in memory when it is read."""
        if value in self.stored or value in self.function.values:
            return True
        return (
            isinstance(value, OpResult)
            and value.op.name == "graph.constant"
            and splat_value(value.op.properties["value"]) is None
        )

    def _store_operands(self, op: Operation) -> None:
        """The operands of a contraction or a window reduction are read through indexing maps, and nothing else.

        A window reads through the padding of a tensor that is in memory, too: nothing wide would be stored for it.
        """
        if op.name == "graph.reduce_window" and self._is_padding(op.operands[0]):
            return
        space = SPACES[op.name](self.function, op)
        try:
            operands = space.operands(LinearIndexer(self.function, space.sizes))
        except NotLinear:
            self.stored |= {operand for operand in op.operands if not self.is_leaf(operand)}
            return
        for number, (operand, indices) in enumerate(zip(op.operands, operands, strict=True)):
            source = operand
            while (
                not self.is_leaf(source)
                and isinstance(source, OpResult)
                and source.op.name in self.function.rules.index
            ):
                source = source.op.operands[0]
            if not self.is_leaf(source):
                self.stored.add(source)
            found = self._operand_indices(operand, indices, space)
            # Columns of the right operand are read as vectors: they stay next to each other.
            scattered = number == 1 and found is not None and not _runs_along(found[-1:], indices[-1:])
            if found is None or scattered:
                self.stored.add(operand)

    def _is_padding(self, value: SSAValue) -> bool:
        """Whether a value is a tensor in memory with a constant around it, its last axis as it is."""
        op = value.owner
        return (
            isinstance(op, Operation)
            and pads_leading_axes(op)
            and not self.is_leaf(value)
            and self.is_leaf(op.operands[0])
        )

    def _operand_indices(self, value: SSAValue, indices: Indices, space: Space) -> Indices | None:
        """Where a contraction reads the tensor behind index arithmetic; None where that takes more than a map."""
        indexer = LinearIndexer(self.function, space.sizes)
        try:
            while not self.is_leaf(value) and isinstance(value, OpResult):
                value, indices = self.function.rules.index[value.op.name](indexer, value.op, indices)
        except NotLinear:
            return None
        shape = self.function.canonical_shape(value)
        return indices if is_operand_map(indices, shape, indexer.iteration) else None

    # ---- worth storing

    def _next_worth_storing(self) -> SSAValue | None:
        costs = self._costs()
        readers, stretched = self._readers()
        for op in self.ops:
            for value in op.results:
                repeated = len(readers.get(value, ())) > 1 or value in stretched
                if repeated and costs.get(value, 0) >= WORTH_STORING and not self.is_leaf(value):
                    return value
        return None

    def _costs(self) -> dict[SSAValue, int]:
        """What one read of each value costs, in additions."""
        costs: dict[SSAValue, int] = {}
        for op in self.ops:
            if is_elementwise(op):
                own = EXPENSIVE.get(op.name.removeprefix("graph."), 1 if op.name in ELEMENTWISE else WORTH_STORING)
            else:
                own = MOVEMENT_COST.get(op.name, 0)
            total = own + sum(costs.get(operand, 0) for operand in op.operands)
            for value in op.results:
                costs[value] = 0 if self.is_leaf(value) else total
        return costs

    def _readers(self) -> tuple[dict[SSAValue, set[tuple[SSAValue, Path]]], set[SSAValue]]:
        """Who reads each value, at which indices; and the values of which a reader reads elements more than once."""
        readers: dict[SSAValue, set[tuple[SSAValue, Path]]] = {}
        stretched: set[SSAValue] = set()
        for op in reversed(self.ops):
            for value in op.results:
                stage_readers = {(value, ())} if value in self.stored else readers.get(value, set())
                for index, operand in enumerate(op.operands):
                    if self._stretches(op, index):
                        stretched.add(operand)
                    aligned = self._is_aligned(op, index)
                    for stage, path in stage_readers:
                        longer: Path = path if aligned else (*path, (op, index))
                        readers.setdefault(operand, set()).add((stage, longer))
        for position, value in enumerate(self.results):
            readers.setdefault(value, set()).add((value, ((None, position),)))
        return readers, stretched

    def _is_aligned(self, op: Operation, index: int) -> bool:
        """Whether an op reads an operand at the indices of its own result."""
        if not is_elementwise(op):
            return False
        canonical = self.function.canonical_shape
        return canonical(op.operands[index]) == canonical(op.results[0])

    def _stretches(self, op: Operation, index: int) -> bool:
        """Whether an op reads elements of an operand more than once."""
        if op.name == "graph.gather":
            return index == 0 or bool(integers(op, "offset_dims"))
        if not is_elementwise(op) and op.name not in ("graph.broadcast", "graph.dynamic_broadcast"):
            return False
        shape, result = self.function.shape(op.operands[index]), self.function.shape(op.results[0])
        aligned = (1,) * (len(result) - len(shape)) + tuple(shape)
        return any(size == 1 and wide != 1 for size, wide in zip(aligned, result, strict=True))

    # ---- stages

    def _stages(self) -> list[Stage]:
        readers, _ = self._readers()
        stages = [self._stage(value, readers) for op in self.ops for value in op.results if value in self.stored]
        folded = {stage.root for stage in stages if stage.root is not stage.value}
        return self._in_place([stage for stage in stages if stage.value not in folded], readers)

    def _stage(self, value: SSAValue, readers: Mapping[SSAValue, set[tuple[SSAValue, Path]]]) -> Stage:
        """A transpose of a contraction, or of its epilogue, becomes part of that stage: its output map is permuted.

        Not where it moves the last axis, along which vectors are stored.
        """
        identity = tuple(range(len(self.function.shape(value))))
        if isinstance(value, OpResult) and value.op.name == "graph.transpose":
            (operand,) = value.op.operands
            permutation = integers(value.op, "permutation")
            of_contraction = defined_by(operand) in CONTRACTIONS and len(readers[operand]) == 1
            of_epilogue = not self.is_leaf(operand) and self._contraction_at_own_indices(operand) is not None
            if permutation[-1:] == identity[-1:] and (of_contraction or of_epilogue):
                return Stage(value, operand, permutation)
        return Stage(value, value, identity)

    def _contraction_at_own_indices(self, root: SSAValue) -> SSAValue | None:
        """A contraction that an inlined tree reads at the tree's own indices."""
        pending, seen = [root], {root}
        while pending:
            value = pending.pop(0)
            op = value.owner
            if not isinstance(op, Operation):
                continue
            if op.name in CONTRACTIONS and value is not root:
                return value
            if value is not root and self.is_leaf(value):
                continue
            for index, operand in enumerate(op.operands):
                if operand not in seen and self._is_aligned(op, index):
                    seen.add(operand)
                    pending.append(operand)
        return None

    def _in_place(self, stages: Sequence[Stage], readers: Mapping[SSAValue, set[tuple[SSAValue, Path]]]) -> list[Stage]:
        result: list[Stage] = []
        stored = {stage.value for stage in stages}
        for stage in stages:
            contraction = self._contraction_at_own_indices(stage.root)
            if contraction is None or contraction not in stored:
                result.append(stage)
                continue
            if len(readers[contraction]) > 1:
                result.append(stage)
                continue
            in_place = contraction.type == stage.root.type
            result.append(replace(stage, epilogue_of=contraction, in_place=in_place))
        return result
