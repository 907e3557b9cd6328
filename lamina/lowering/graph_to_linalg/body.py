"""The scalar body of a stage: every graph value is a function from indices to a scalar, inlined on demand.

`read(value, indices)` is that function. A tensor that is in memory is read at linear indices as an operand of the
`linalg.generic`, at others by `tensor.extract`; any other value is computed by the rule of the op that defines it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.dims import Dim, Shape, bounds
from lamina.dialects.loop import arith
from lamina.dialects.tensor import linalg, tensor
from lamina.lowering.graph_to_linalg.emitter import (
    INDEX,
    FunctionScope,
    Scope,
    conditional,
    element_type_of,
    signless,
)
from lamina.lowering.graph_to_linalg.indexing import (
    ZERO,
    Divided,
    Grouped,
    Index,
    Indices,
    Linear,
    Position,
    dim_index,
    is_operand_map,
)

if TYPE_CHECKING:
    from lamina.lowering.graph_to_linalg.stages import StageRule


class NotLinear(Exception):
    """Index arithmetic left the linear functions where only those are wanted."""


class Indexer(ABC):
    """Arithmetic on indices over an iteration space: linear while possible."""

    def __init__(self, function: FunctionScope, iteration: Shape):
        self.function = function
        self.iteration = tuple(function.canonical.of(size) for size in iteration)

    @abstractmethod
    def compute(self, op_type: type[Operation], left: Index | Dim, right: Index | Dim) -> Index:
        """The result of an index op that is not linear."""

    def shape(self, value: SSAValue) -> Shape:
        """The symbolic shape of a graph-level tensor."""
        return self.function.shape(value)

    def same(self, left: Dim, right: Dim) -> bool:
        """Whether two sizes are equal, or taken to be equal."""
        return self.function.canonical.of(left) == self.function.canonical.of(right)

    def add(self, index: Index, offset: Index | Dim) -> Index:
        if isinstance(index, Linear) and isinstance(offset, Linear | int):
            return index.plus(offset)
        return index if offset == 0 or offset == ZERO else self.compute(arith.AddiOp, index, offset)

    def multiply(self, index: Index, factor: Dim) -> Index:
        if isinstance(index, Linear) and isinstance(factor, int):
            return index.times(factor)
        if index == ZERO or factor == 1:
            return index
        return self.compute(arith.MuliOp, index, factor)

    def panel(self, index: Index, tile: int) -> tuple[Index, Index]:
        """The panel of `tile` elements that a position falls into, and the position there."""
        plain = index.plain_dim if isinstance(index, Linear) else None
        if plain is None or (isinstance(size := self.iteration[plain], int) and size <= tile):
            return self.divide(index, tile)
        return Divided(plain, tile), Divided(plain, tile, remainder=True)

    def in_group(self, index: Index, size: int, features: int, within: Linear) -> Index:
        """Feature `within` of the group of `features` that `index` belongs to, groups of `size` positions."""
        plain = index.plain_dim if isinstance(index, Linear) else None
        if plain is not None:
            return Grouped(plain, size, features, within)
        group, _ = self.divide(index, size)
        return self.add(self.multiply(group, features), within)

    def subtract_from(self, minuend: Dim, index: Index) -> Index:
        """`minuend - index`."""
        if isinstance(index, Linear) and isinstance(minuend, int):
            return index.times(-1).plus(minuend)
        return self.compute(arith.SubiOp, minuend, index)

    def divide(self, index: Index, divisor: Dim) -> tuple[Index, Index]:
        """Quotient and remainder of a non-negative index."""
        if divisor == 1:
            return index, ZERO
        if isinstance(index, Linear):
            if isinstance(divisor, int) and divisor > 0:
                divided = index.divided(divisor, self.iteration)
                if divided is not None:
                    return divided
            plain = index.plain_dim
            if index == ZERO or (plain is not None and self.same(self.iteration[plain], divisor)):
                return ZERO, index
        return self.compute(arith.DivUIOp, index, divisor), self.compute(arith.RemUIOp, index, divisor)


class LinearIndexer(Indexer):
    """Refuses what is not linear."""

    def compute(self, op_type: type[Operation], left: Index | Dim, right: Index | Dim) -> Index:
        raise NotLinear


IndexRule: TypeAlias = Callable[[Indexer, Operation, Indices], tuple[SSAValue, Indices]]
"""Where a pure data movement reads its result at some indices from: an operand, and the indices there."""


@dataclass
class Inputs:
    """The operands of a generic under construction, one for each (tensor, indices)."""

    block: Block
    operands: list[SSAValue] = field(default_factory=list[SSAValue])
    maps: list[tuple[Position, ...]] = field(default_factory=list[tuple[Position, ...]])
    arguments: dict[tuple[SSAValue, Indices], SSAValue] = field(
        default_factory=dict[tuple[SSAValue, Indices], SSAValue]
    )

    def argument(self, source: SSAValue, indices: tuple[Position, ...]) -> SSAValue:
        """The block argument that holds the element of `source` at `indices`."""
        found = self.arguments.get((source, indices))
        if found is not None:
            return found
        added = self.block.insert_arg(element_type_of(source), len(self.operands))
        self.operands.append(source)
        self.maps.append(indices)
        self.arguments[source, indices] = added
        return added


class Body(Scope, Indexer):
    """A stage's body, or a branch inside one."""

    def __init__(self, function: FunctionScope, iteration: Shape, inputs: Inputs, parent: Body | None = None):
        Scope.__init__(self, parent or function, parent.location if parent else function.location)
        Indexer.__init__(self, function, iteration)
        self.inputs = inputs
        self.sizes = iteration
        self.whole: Body = parent.whole if parent else self

    def branch(self) -> Body:
        """A body for a region inside this one."""
        return Body(self.function, self.sizes, self.inputs, self)

    # ---- reading

    def read(self, value: SSAValue, indices: Indices) -> SSAValue:
        """The element of a graph-level tensor at `indices`, a signless scalar."""
        key = ("read", value, indices)
        found = self.lookup(key)
        if found is not None:
            return found
        if value in self.function.values:
            return self.remember(key, self._load(value, indices))
        op = value.owner
        assert isinstance(op, Operation), "a block argument stands for a tensor"
        outer, self.location = self.location, op.location
        result = self.compute_element(op, indices)
        self.location = outer
        return self.remember(key, result)

    def compute_element(self, op: Operation, indices: Indices) -> SSAValue:
        """The element of an op's result at `indices`; raises LaminaError for an op without a rule."""
        rule = self.function.rules.scalar.get(op.name)
        if rule is None:
            raise LaminaError(f"no lowering to linalg for '{op.name}'", where=location_text(op.location))
        return rule(self, op, indices)

    def _load(self, value: SSAValue, indices: Indices) -> SSAValue:
        source, shape = self.function.values[value], self.function.canonical_shape(value)
        simple = tuple(self._without_unit_dims(index, size) for index, size in zip(indices, shape, strict=True))
        if is_operand_map(simple, shape, self.iteration) and self._may_be_loaded(simple, shape):
            return self.inputs.argument(source, tuple(index for index in simple if not isinstance(index, SSAValue)))
        positions = [self.index(index) for index in simple]
        return self.emit(tensor.ExtractOp, (source, *positions), element_type_of(source))

    def _may_be_loaded(self, indices: Indices, shape: Shape) -> bool:
        """Whether a position can be loaded in every iteration.

        A generic loads its operands unconditionally, so what a branch reads has to be inside without its condition.
        """
        return self.whole is self or all(
            isinstance(index, Divided | Grouped) or (self.is_at_least(index, 0) and self.is_at_most(index, size - 1))
            for index, size in zip(indices, shape, strict=True)
        )

    def _without_unit_dims(self, index: Index, size: Dim) -> Index:
        """Drop iteration dims of size 1, so that `d0` on a longer axis is position 0."""
        if not isinstance(index, Linear) or size == 1:
            return index
        return Linear(tuple(term for term in index.terms if self.iteration[term[0]] != 1), index.constant)

    # ---- indices as values

    def index(self, index: Index | Dim) -> SSAValue:
        """An index, or a size, as an `index` value."""
        if isinstance(index, SSAValue):
            return index
        if isinstance(index, Divided):
            op_type = arith.RemUIOp if index.remainder else arith.DivUIOp
            return self.index_op(op_type, self.index(dim_index(index.dim)), self.constant(index.divisor, INDEX))
        if isinstance(index, Grouped):
            group = self.index_op(arith.DivUIOp, self.index(dim_index(index.dim)), self.constant(index.divisor, INDEX))
            first = self.index_op(arith.MuliOp, group, self.constant(index.factor, INDEX))
            return self.index_op(arith.AddiOp, first, self.index(index.rest))
        if not isinstance(index, Linear):
            return self.function.size(index)
        total: SSAValue | None = None
        for dim, coefficient in index.terms:
            # Its parent has to be the generic itself, no region inside.
            term = self.whole.emit(linalg.IndexOp, (), INDEX, {"dim": IntegerAttr(dim, i64)})
            if coefficient != 1:
                term = self.index_op(arith.MuliOp, term, self.constant(coefficient, INDEX))
            total = term if total is None else self.index_op(arith.AddiOp, total, term)
        if total is None:
            return self.constant(index.constant, INDEX)
        if index.constant == 0:
            return total
        return self.index_op(arith.AddiOp, total, self.constant(index.constant, INDEX))

    def compute(self, op_type: type[Operation], left: Index | Dim, right: Index | Dim) -> Index:
        return self.index_op(op_type, self.index(left), self.index(right))

    def clamp(self, index: Index, low: Dim, high: Dim) -> Index:
        """`max(low, min(index, high))`, `index` itself where it is known to be inside."""
        if not self.is_at_most(index, high):
            index = self.compute(arith.MinSIOp, index, high)
        return index if self.is_at_least(index, low) else self.compute(arith.MaxSIOp, index, low)

    def inside(self, index: Index, low: Dim, high: Dim) -> SSAValue | None:
        """Whether low <= index < high; None where that always holds."""
        tests: list[SSAValue] = []
        if not self.is_at_least(index, low):
            tests.append(self.compare("sge", self.index(index), self.index(low)))
        if not self.is_at_most(index, high - 1):
            tests.append(self.compare("slt", self.index(index), self.index(high)))
        return self.all_of(tests)

    def is_at_least(self, index: Index, low: Dim) -> bool:
        """Whether `index` is known to be at least `low` in every iteration."""
        return isinstance(index, Linear) and bounds(self._extreme(index, -1) - low)[0] >= 0

    def is_at_most(self, index: Index, high: Dim) -> bool:
        """Whether `index` is known to be at most `high` in every iteration."""
        return (
            isinstance(index, Linear)
            and bounds(self.function.canonical.of(high + 1) - 1 - self._extreme(index, 1))[0] >= 0
        )

    def _extreme(self, index: Linear, sign: int) -> Dim:
        """The largest (sign 1) or smallest (sign -1) value of an index."""
        total: Dim = index.constant
        for dim, coefficient in index.terms:
            if coefficient * sign > 0:
                total = total + (self.iteration[dim] - 1) * coefficient
        return total

    def all_of(self, tests: Sequence[SSAValue | None]) -> SSAValue | None:
        """The conjunction of the tests that are not None; None where there are none."""
        total: SSAValue | None = None
        for test in tests:
            if test is not None:
                total = test if total is None else self.emit(arith.AndIOp, (total, test), test.type)
        return total

    # ---- choices

    def choose(
        self,
        condition: SSAValue,
        on_true: Callable[[Body], SSAValue],
        on_false: Callable[[Body], SSAValue],
        *,
        always_readable: bool,
    ) -> SSAValue:
        """One of two values: `arith.select` where both can be computed at no risk and low cost, else `scf.if`."""
        if always_readable:
            return self.select(condition, on_true(self), on_false(self))
        then_body, else_body = self.branch(), self.branch()
        then_value, else_value = on_true(then_body), on_false(else_body)
        return conditional(self, condition, then_body, then_value, else_body, else_value)

    def is_stored(self, value: SSAValue) -> bool:
        """Whether a value is in memory or a constant, and has elements: reading it inside is safe and cheap."""
        owner = value.owner
        stored = value in self.function.values or (isinstance(owner, Operation) and owner.name == "graph.constant")
        return stored and all(isinstance(size, int) and size > 0 for size in self.shape(value))

    def scalar_type(self, value: SSAValue):
        """The signless element type of a graph-level tensor."""
        return signless(element_type_of(value))


ScalarRule: TypeAlias = Callable[[Body, Operation, Indices], SSAValue]
"""The element of an op's result at some indices."""


@dataclass(frozen=True)
class Rules:
    """How ops are lowered, by op name."""

    scalar: Mapping[str, ScalarRule]
    index: Mapping[str, IndexRule]
    stage: Mapping[str, StageRule]


def through_index_rule(rule: IndexRule) -> ScalarRule:
    """The scalar rule of a pure data movement."""

    def read(body: Body, op: Operation, indices: Indices) -> SSAValue:
        return body.read(*rule(body, op, indices))

    return read
