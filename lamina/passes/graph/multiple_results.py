"""Groups that become one kernel with several results: what one of them reads or gives, the other reads as well.

A group takes in the group that computes one of its operands and that others need, too: a residual sum and the norm of
it. Two elementwise groups that read the same tensor become one: the moments and the weights of an optimizer's step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from xdsl.ir import Block, Operation, SSAValue

from lamina.passes.graph.fusion import MAX_MEMBERS, Group, Kind, Level, is_transpose
from lamina.passes.graph.roles import Role, role_of
from lamina.passes.graph.shape_analysis import ShapeAnalysis

MAX_RESULTS: Final = 6
"""The most results of one kernel: each is another stream that is written."""

Node: TypeAlias = Group | Operation
"""A group, or an op that stays in the caller."""


def merge_groups(block: Block, groups: Sequence[Group], analysis: ShapeAnalysis) -> list[Group]:
    """The groups of a block with those merged that share what they read; groups merged into others are left out."""
    merger = Merger(block, list(groups), analysis)
    merger.run()
    return merger.groups


@dataclass
class Merger:
    """The groups of one block, and who reads whose results."""

    block: Block
    groups: list[Group]
    analysis: ShapeAnalysis
    _exporter: dict[Operation, Node] = field(default_factory=dict[Operation, Node])
    _sources: dict[Node, dict[Node, None]] = field(default_factory=dict[Node, dict[Node, None]])
    _readers: dict[Node, dict[Node, None]] = field(default_factory=dict[Node, dict[Node, None]])

    def run(self) -> None:
        """Merge until nothing fits."""
        self._connect()
        for group in list(self.groups):
            if group in self._sources:
                self._join_reader(group)
        for shared in self._shared_values():
            self._join_siblings(shared)

    # ---- who reads whom

    def _connect(self) -> None:
        inside = {op for group in self.groups for op in group.members}
        self._exporter = {op: op for op in self.block.ops if op not in inside}
        self._exporter |= {op: group for group in self.groups for op in group.roots}
        nodes: dict[Node, Iterable[Operation]] = {op: (op,) for op in self.block.ops if op not in inside}
        nodes |= {group: group.members for group in self.groups}
        for node, ops in nodes.items():
            self._sources[node] = dict.fromkeys(self._sources_of(ops))
            self._readers.setdefault(node, {})
        for node, sources in self._sources.items():
            for source in sources:
                self._readers[source][node] = None

    def _sources_of(self, ops: Iterable[Operation]) -> list[Node]:
        own = set(ops)
        read = (operand for op in ops for inner in op.walk() for operand in inner.operands)
        owners = (operand.owner for operand in read)
        found = (owner for owner in owners if isinstance(owner, Operation) and owner.parent is self.block)
        return [self._exporter[owner] for owner in found if owner not in own]

    def _leads_to(self, start: Node, target: Node, besides: Node) -> bool:
        """Whether a path of at least one other node leads from one node to another."""
        pending = [node for node in self._readers[start] if node is not target and node is not besides]
        seen = set(pending)
        while pending:
            node = pending.pop()
            if target in self._readers[node]:
                return True
            new = [reader for reader in self._readers[node] if reader not in seen]
            seen.update(new)
            pending += new
        return False

    # ---- merging

    def _join_reader(self, group: Group) -> None:
        """Merge a group into the first of its readers that reads the result where it is computed."""
        for reader in list(self._readers[group]):
            if (
                isinstance(reader, Group)
                and self._fits(group, reader)
                and self._reads_in_step(reader, group.root.results[0])
                and not self._leads_to(group, reader, reader)
            ):
                self._merge(group, reader)
                return

    def _shared_values(self) -> list[SSAValue]:
        """Tensors that several elementwise groups read where they compute."""
        readers: dict[SSAValue, set[Group]] = {}
        for group in self.groups:
            for op in group.members if group.kind is Kind.ELEMENTWISE else ():
                for operand in op.operands:
                    if self._reads_in_step(group, operand):
                        readers.setdefault(operand, set()).add(group)
        return [value for value, found in readers.items() if len(found) > 1]

    def _join_siblings(self, shared: SSAValue) -> None:
        kept: list[Group] = []
        for group in list(self.groups):
            if group.kind is not Kind.ELEMENTWISE or not self._reads_in_step(group, shared):
                continue
            for other in kept:
                connected = group in self._readers[other] or self._leads_to(other, group, group)
                connected = connected or self._leads_to(group, other, other)
                if not connected and self._fits(group, other):
                    self._merge(group, other)
                    break
            else:
                kept.append(group)

    def _fits(self, first: Group, second: Group) -> bool:
        """Whether the stages of two groups share their loops."""
        if not all(group.kind in (Kind.ELEMENTWISE, Kind.ROWS) for group in (first, second)):
            return False
        if first.domain != second.domain or len(set(first.members) | set(second.members)) > MAX_MEMBERS:
            return False
        roots = [*first.roots, *second.roots]
        return len(roots) <= MAX_RESULTS and all(
            role_of(root) in (Role.ELEMENTWISE, Role.ROW) and self.analysis.shape(root.results[0]) == first.domain
            for root in roots
        )

    def _reads_in_step(self, group: Group, value: SSAValue) -> bool:
        """Whether a member that is computed for each element, or a reduction of rows, reads a value as a whole."""
        if self.analysis.shape(value) != group.domain:
            return False
        for use in value.uses:
            level = group.levels.get(use.operation)
            if level is None or is_transpose(use.operation):
                continue
            if role_of(use.operation) in (Role.REDUCTION, Role.ROW):
                if group.kind is Kind.ROWS and use.index == 0:
                    return True
            elif level is Level.FULL:
                return True
        return False

    def _merge(self, group: Group, into: Group) -> None:
        into.exports += group.roots
        known = set(into.members)
        into.members += [op for op in group.members if op not in known]
        into.levels = {**group.levels, **into.levels}
        into.evaluations = {**group.evaluations, **into.evaluations}
        into.anchor = into.anchor or group.anchor
        rows = [one.rows for one in (group, into) if one.kind is Kind.ROWS]
        if rows:
            into.kind, into.rows = Kind.ROWS, min(rows)
        self.groups.remove(group)
        for root in group.roots:
            self._exporter[root] = into
        self._replace_node(group, into)

    def _replace_node(self, node: Group, into: Group) -> None:
        for mine, theirs in ((self._sources, self._readers), (self._readers, self._sources)):
            for other in mine.pop(node):
                theirs[other].pop(node, None)
                if other is not into:
                    theirs[other][into] = None
                    mine[into][other] = None


def sorted_ops(block: Block) -> list[Operation]:
    """The ops of a block with what each one reads before it, otherwise in their order."""
    order: dict[Operation, None] = {}
    for op in block.ops:
        pending = [op]
        while pending:
            current = pending[-1]
            missing = [owner for owner in _owners(current, block) if owner not in order]
            if current in order or not missing:
                order[current] = None
                pending.pop()
            else:
                pending += missing
    return list(order)


def _owners(op: Operation, block: Block) -> list[Operation]:
    owners = [operand.owner for inner in op.walk() for operand in inner.operands]
    return [owner for owner in owners if isinstance(owner, Operation) and owner.parent is block and owner is not op]


def sort_block(block: Block) -> None:
    """Put the ops of a block in an order in which each value is computed before it is read."""
    order = sorted_ops(block)
    if all(first is second for first, second in zip(order, block.ops, strict=True)):
        return
    for op in order:
        op.detach()
    block.add_ops(order)
