"""Which dynamic sizes of a function are known to be equal, on tensors and on buffers alike."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import cast

from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import DYNAMIC_INDEX, ArrayAttr, IntegerAttr, MemRefType, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

DIMS = "lamina.dims"
MAKERS = frozenset(("tensor.empty", "memref.alloc", "memref.alloca"))
SIZE_READERS = frozenset(("tensor.dim", "memref.dim"))


class SizeClasses:
    """Classes of equal sizes: iteration dims of structured ops, axes of values, `index` values.

    Sizes are equal where one iteration dim runs over both axes, where an axis was made with an `index` value or that
    was read from an axis, and where `lamina.dims` calls two axes of arguments by one name. Classes only grow: add the
    ops first, then ask.
    """

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def add(self, op: Operation, maps: Sequence[AffineMap]) -> None:
        """Learn from a structured op, whose operands its `maps` index."""
        for operand, map_ in zip(op.operands, maps, strict=False):
            for axis, expression in enumerate(map_.results):
                if isinstance(expression, AffineDimExpr):
                    self._join((op, expression.position), self._axis(operand, axis))
        for result, output in zip(op.results, list(op.operands)[len(maps) - len(op.results) :], strict=False):
            for axis in range(len(_shape(output))):
                self._join(self._axis(result, axis), self._axis(output, axis))

    def equal(self, left: Operation, left_dim: int, right: Operation, right_dim: int) -> bool:
        """Whether two iteration dims of ops that were added are known to be equally long."""
        return self._root((left, left_dim)) == self._root((right, right_dim))

    def _axis(self, value: SSAValue, axis: int) -> Hashable:
        """The key of an axis, joined with what is known of it."""
        key = (value, axis)
        if key in self._parents:
            return key
        self._parents[key] = key
        shape = _shape(value)
        if axis >= len(shape):
            return key
        if shape[axis] != DYNAMIC_INDEX:
            self._join(key, shape[axis])
        elif isinstance(value, OpResult) and value.op.name in MAKERS:
            self._join(key, self._index(value.op.operands[shape[:axis].count(DYNAMIC_INDEX)]))
        elif isinstance(value, BlockArgument) and (name := _dim_name(value, axis)) is not None:
            self._join(key, name)
        return key

    def _index(self, value: SSAValue) -> Hashable:
        """The key of an `index` value: of the axis that it was read from, where it was."""
        if isinstance(value, OpResult) and value.op.name in SIZE_READERS:
            source, index = value.op.operands
            axis = index.owner.value if isinstance(index.owner, ConstantOp) else None
            if isinstance(axis, IntegerAttr):
                return self._axis(source, axis.value.data)
        return value

    def _join(self, left: Hashable, right: Hashable) -> None:
        self._parents[self._root(left)] = self._root(right)

    def _root(self, key: Hashable) -> Hashable:
        parent = self._parents.setdefault(key, key)
        while parent != key:
            key, parent = parent, self._parents[parent]
        return key


def _shape(value: SSAValue) -> Sequence[int]:
    type_: Attribute = value.type
    return type_.get_shape() if isinstance(type_, TensorType | MemRefType) else ()


def _dim_name(argument: BlockArgument, axis: int) -> str | None:
    function = argument.block.parent_op()
    if not isinstance(function, FuncOp) or function.arg_attrs is None or function.body.block is not argument.block:
        return None
    dims = function.arg_attrs.data[argument.index].data.get(DIMS)
    if not isinstance(dims, ArrayAttr):
        return None
    names = cast("ArrayAttr[Attribute]", dims).data
    name = names[axis] if axis < len(names) else None
    return f"named {name.data}" if isinstance(name, StringAttr) else None
