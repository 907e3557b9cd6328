"""Sizes as index values: which are equal, and computing them at another place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xdsl.dialects import func
from xdsl.dialects.builtin import IndexType, StringAttr
from xdsl.ir import Block, Operation, SSAValue

from lamina.dialects.graph.dims import Dim, maximum, minimum, parse_dim, symbol
from lamina.dialects.loop import arith, memref
from lamina.dialects.loop.types import is_array, is_memref
from lamina.dialects.tensor import tensor
from lamina.passes.loop.emitter import INDEX, Emitter, Index, given_size, known_index, memref_type

CASTS = (arith.IndexCastOp, arith.IndexCastUIOp, arith.ExtSIOp, arith.ExtUIOp)
ARITHMETIC: Mapping[type[Operation], Callable[[Dim, Dim], Dim]] = {
    arith.AddiOp: lambda left, right: left + right,
    arith.SubiOp: lambda left, right: left - right,
    arith.MuliOp: lambda left, right: left * right,
    arith.MaxSIOp: maximum,
    arith.MinSIOp: minimum,
}


def named_sizes(function: func.FuncOp) -> dict[tuple[SSAValue, int], Dim]:
    """The sizes of the arguments by their names in `lamina.dims`: the same name is the same size."""
    found: dict[tuple[SSAValue, int], Dim] = {}
    for argument, attributes in zip(function.body.block.args, function.arg_attrs or (), strict=False):
        names = attributes.data.get("lamina.dims")
        if not is_array(names):
            continue
        for axis, name in enumerate(names):
            if isinstance(name, StringAttr):
                found[argument, axis] = parse_dim(name.data)
    return found


class SizeExpressions:
    """`index` values as expressions in normal form, so that equal sizes are found to be equal.

    `named` gives the sizes of arguments that have names; the symbols that this class makes begin with a `%`.
    """

    def __init__(self, named: Mapping[tuple[SSAValue, int], Dim] | None = None) -> None:
        self._named = named or {}
        self._known: dict[SSAValue, Dim] = {}
        self._opaque: dict[object, str] = {}

    def of(self, value: Index) -> Dim:
        """The expression of a value; what is not arithmetic is a symbol of its own."""
        value = known_index(value)
        if isinstance(value, int):
            return value
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._compute(value)
        return found

    def _compute(self, value: SSAValue) -> Dim:
        owner = value.owner
        if isinstance(owner, Block):
            return self._symbol(value)
        if isinstance(owner, memref.DimOp | tensor.DimOp):
            source = owner.source
            axis = known_index(owner.index)
            named = self._named.get((source, axis)) if isinstance(axis, int) else None
            if named is not None:
                return named
            given = given_size(source, axis) if isinstance(axis, int) and is_memref(source.type) else None
            return self._symbol(("dim", source, axis)) if given is None else self.of(given)
        rule = ARITHMETIC.get(type(owner))
        if rule is not None:
            return rule(self.of(owner.operands[0]), self.of(owner.operands[1]))
        if isinstance(owner, CASTS):
            return self.of(owner.input)
        if is_scalar_arithmetic(owner):
            operands = tuple(str(self.of(operand)) for operand in owner.operands)
            return self._symbol((owner.name, tuple(owner.properties.items()), operands))
        return self._symbol(value)

    def _symbol(self, key: object) -> Dim:
        return symbol(self._opaque.setdefault(key, f"%{len(self._opaque)}"))


def is_scalar_arithmetic(op: Operation) -> bool:
    """Whether an op is pure arithmetic on integers, indices or floats."""
    return op.name.startswith("arith.") and not op.regions and len(op.results) == 1


class NotComputable(Exception):
    """A value depends on more than the sizes that are known where it is wanted; `op` is what it depends on."""

    def __init__(self, op: Operation | None):
        super().__init__("a size depends on data")
        self.op = op


class SizeCloner:
    """Computes index values again at another place, from the leaves that `leaf` knows there."""

    def __init__(self, emitter: Emitter, leaf: Callable[[SSAValue], Index | None]):
        self.emitter = emitter
        self.leaf = leaf
        self._done: dict[SSAValue, Index] = {}

    def value(self, value: Index) -> Index:
        """The value at the new place. Raises NotComputable."""
        value = known_index(value)
        if isinstance(value, int):
            return value
        found = self._done.get(value)
        if found is None:
            found = self._done[value] = self._clone(value)
        return found

    def _clone(self, value: SSAValue) -> Index:
        known = self.leaf(value)
        if known is not None:
            return known
        owner = value.owner
        if isinstance(owner, Block):
            raise NotComputable(None)
        if isinstance(owner, memref.DimOp):
            axis = known_index(owner.index)
            given = given_size(owner.source, axis) if isinstance(axis, int) else None
            if given is None:
                raise NotComputable(owner)
            return self.value(given)
        if not is_scalar_arithmetic(owner):
            raise NotComputable(owner)
        operands = [self._operand(operand) for operand in owner.operands]
        if isinstance(owner, arith.AddiOp | arith.SubiOp | arith.MuliOp) and value.type == INDEX:
            return self._folded(owner, *operands)
        copy = type(owner).create(
            operands=[self._materialized(operand, old) for operand, old in zip(operands, owner.operands, strict=True)],
            result_types=[value.type],
            properties=owner.properties,
            attributes=owner.attributes,
        )
        return self.emitter.value(copy)

    def _folded(self, op: Operation, left: Index, right: Index) -> Index:
        if isinstance(op, arith.AddiOp):
            return self.emitter.add(left, right)
        return (
            self.emitter.subtract(left, right) if isinstance(op, arith.SubiOp) else self.emitter.multiply(left, right)
        )

    def _operand(self, operand: SSAValue) -> Index:
        owner = operand.owner
        if isinstance(owner, arith.ConstantOp) and not isinstance(operand.type, IndexType):
            return self.emitter.constants.get(owner.value, operand.type)
        return self.value(operand)

    def _materialized(self, operand: Index, old: SSAValue) -> SSAValue:
        return self.emitter.scalar_constant(operand, old.type) if isinstance(operand, int) else operand


def buffer_size(emitter: Emitter, buffer: SSAValue, axis: int, known: Mapping[SSAValue, list[Index]]) -> Index:
    """The size of a buffer's axis, from `known` sizes where they are given, else from the op that makes the buffer."""
    sizes = known.get(buffer)
    if sizes is not None:
        return sizes[axis]
    owner = buffer.owner
    if isinstance(owner, memref.CastOp) and is_memref(owner.source.type):
        static = memref_type(buffer).get_shape()[axis]
        return static if static >= 0 else buffer_size(emitter, owner.source, axis, known)
    return emitter.size(buffer, axis)
