"""The builder of derivative rules: what the rules of several families need besides the ops themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.graph.types import dtype_of, is_float

Derivative: TypeAlias = "SSAValue | None"
"""A tangent or a cotangent; None is the zero that is never materialized."""


def element_type_of_value(value: SSAValue) -> Attribute | None:
    """The element type of a tensor; None for other values."""
    type_ = value.type
    return cast("TensorType[Attribute]", type_).get_element_type() if isinstance(type_, TensorType) else None


def is_real(value: SSAValue) -> bool:
    """Whether a value is a tensor of floats: only these have tangents and cotangents."""
    element_type = element_type_of_value(value)
    return element_type is not None and is_float(element_type)


class DerivativeBuilder(GraphBuilder):
    """A graph builder with the vocabulary of derivative rules: zeros, sums, broadcasting and its transpose."""

    def zero(self, element_type: Attribute) -> SSAValue:
        """The scalar 0 of an element type."""
        return self.constant(0, element_type)

    def filled_like(self, value: SSAValue, number: float) -> SSAValue:
        """A tensor of a value's type and shape with all elements equal."""
        known = self.abstract(value)
        return self.filled(known.shape, known.element_type, number, value)

    def filled(self, shape: Shape, element_type: Attribute, number: float, like: SSAValue) -> SSAValue:
        """A tensor of a shape with all elements equal; `like` has the shape where that is symbolic."""
        if all(isinstance(size, int) for size in shape):
            dtype = dtype_of(element_type)
            sizes = [size for size in shape if isinstance(size, int)]
            return self.constant(np.broadcast_to(np.asarray(number).astype(dtype), sizes))
        return self.dynamic_broadcast(self.constant(number, element_type), self.shape_of(like))

    def zeros_like(self, value: SSAValue) -> SSAValue:
        """Zeros of a value's type and shape."""
        return self.filled_like(value, 0.0)

    def materialized(self, derivative: Derivative, like: SSAValue) -> SSAValue:
        """A derivative as a tensor: zeros like `like` for None."""
        return self.zeros_like(like) if derivative is None else derivative

    def plus(self, left: Derivative, right: Derivative) -> Derivative:
        """The sum of two derivatives."""
        if left is None or right is None:
            return right if left is None else left
        return self.add(left, right)

    def total(self, terms: Sequence[Derivative]) -> Derivative:
        """The sum of derivatives."""
        result: Derivative = None
        for term in terms:
            result = self.plus(result, term)
        return result

    # Broadcasting

    def broadcast_like(self, value: SSAValue, like: SSAValue) -> SSAValue:
        """The value broadcast to the shape of another."""
        shape, target = self.shape(value), self.shape(like)
        if shape == target:
            return value
        if all(isinstance(size, int) for size in target):
            return self.broadcast(value, [size for size in target if isinstance(size, int)])
        return self.dynamic_broadcast(value, self.shape_of(like))

    def unbroadcast(self, value: SSAValue, like: SSAValue) -> SSAValue:
        """The transpose of broadcasting `like` to the value's shape: sums over the axes that were stretched.

        Only axes of static size 1 and axes that `like` lacks are stretched: two symbolic sizes that meet are equal.
        """
        shape, target = self.shape(value), self.shape(like)
        added = len(shape) - len(target)
        stretched = [added + axis for axis, size in enumerate(target) if size == 1 and shape[added + axis] != 1]
        if stretched:
            value = self.reduce("add", value, stretched, keep_dimensions=True)
        return self.reduce("add", value, range(added)) if added else value

    # Sizes

    def size(self, value: SSAValue, axis: int) -> SSAValue:
        """The size of an axis as an i64 vector of one entry."""
        known = self.shape(value)[axis]
        if isinstance(known, int):
            return self.constant(np.asarray([known], np.int64))
        return self.reshape(self.dimension(value, axis), [1])

    def shape_vector(self, value: SSAValue) -> SSAValue:
        """The sizes of a value as an i64 vector; a constant where all are known."""
        shape = self.shape(value)
        sizes = [size for size in shape if isinstance(size, int)]
        return self.constant(np.asarray(sizes, np.int64)) if len(sizes) == len(shape) else self.shape_of(value)

    def vector(self, entries: Sequence[int | SSAValue]) -> SSAValue:
        """An i64 vector of numbers and of i64 vectors of one entry."""
        if all(isinstance(entry, int) for entry in entries):
            return self.constant(np.asarray(entries, np.int64))
        parts = [self.constant(np.asarray([e], np.int64)) if isinstance(e, int) else e for e in entries]
        return parts[0] if len(parts) == 1 else self.concatenate(parts, 0)

    def reshape_like(self, value: SSAValue, like: SSAValue) -> SSAValue:
        """The elements in row-major order under the shape of another value."""
        shape = self.shape(like)
        if self.shape(value) == shape:
            return value
        if all(isinstance(size, int) for size in shape):
            return self.reshape(value, [size for size in shape if isinstance(size, int)])
        return self.dynamic_reshape(value, self.shape_of(like))

    def expand(self, value: SSAValue, axes: Sequence[int]) -> SSAValue:
        """The value with axes of size 1 put in; `axes` ascending, as they are in the result."""
        sizes: list[Dim] = list(self.shape(value))
        for axis in axes:
            sizes.insert(axis, 1)
        unknown = [size for size in sizes if not isinstance(size, int)]
        if len(unknown) <= 1 and 0 not in sizes:
            return self.reshape(value, [size if isinstance(size, int) else -1 for size in sizes])
        if not unknown:
            return self.reshape(value, [size for size in sizes if isinstance(size, int)])
        entries: list[int | SSAValue] = [self.size(value, at) for at in range(self.rank(value))]
        for axis in axes:
            entries.insert(axis, 1)
        return self.dynamic_reshape(value, self.vector(entries))

    def keep_reduced(self, value: SSAValue, like: SSAValue, dimensions: Sequence[int], kept: bool) -> SSAValue:
        """The result of a reduction of `like` with its reduced axes as axes of size 1, as far as broadcasting needs it.

        Reduced axes in front are left out: broadcasting puts them there.
        """
        reduced = sorted(dimensions)
        while reduced and reduced[0] == 0 and not kept:
            reduced = [axis - 1 for axis in reduced[1:]]
        if kept or not reduced:
            return value
        return self.expand(value, reduced)

    # Ops that exist

    def again(self, op: GraphOp, operands: Sequence[SSAValue]) -> SSAValue:
        """The same op on other operands of the same shapes: what a linear op does to a tangent."""
        result = self.create_with_regions(type(op), operands, (), 1, **op.properties)[0]
        # The sizes of slices at unknown positions are the same, too.
        self.declare(result, replace(self.abstract(result), shape=self.shape(op.results[0])))
        return result

    def copies(self, ops: Iterable[Operation], mapper: dict[SSAValue, SSAValue]) -> list[Operation]:
        """Insert copies of ops whose operands are mapped, knowing of their values what is known of the originals."""
        copies: list[Operation] = []
        for op in ops:
            copy = op.clone(mapper)
            for old, new in zip(op.walk(), copy.walk(), strict=True):
                new.location = old.location
                self._declare_as(old.results, new.results)
                for left, right in zip(old.regions, new.regions, strict=True):
                    self._declare_as(left.block.args, right.block.args)
            Rewriter.insert_op(copy, self.insertion_point)
            copies.append(copy)
        return copies

    def _declare_as(self, known: Sequence[SSAValue], values: Sequence[SSAValue]) -> None:
        for left, right in zip(known, values, strict=True):
            self.declare(right, self.abstract(left))
