"""The graph builder as the converters use it: sizes that are numbers or values, and operands evaluated while reading.

ONNX has one form of most operators, with shapes, axes and bounds as operands. Where such an operand follows from
constants, or is known as an expression over the inputs' sizes, the static op of the dialect is emitted, and only
otherwise the one with a shape operand.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.rewriter import InsertPoint

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import Array, GraphOp
from lamina.dialects.graph.builder import GraphBuilder, Value
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.dims import MAX_SIZE, Dim, static_size
from lamina.dialects.graph.types import dtype_of
from lamina.frontends.onnx.report import UnsupportedNode
from lamina.resources import ResourceStore

Size: TypeAlias = "int | SSAValue"
"""The size of an axis: known, or an i64 scalar."""

MAX_EVALUATED_ELEMENTS = 4096
TO_THE_END = MAX_SIZE
FIX_DIMS = "fix the symbolic sizes of the inputs (dims)"


class OnnxBuilder(GraphBuilder):
    """Builds the ops of one function; errors get their place from the importer."""

    def __init__(self, block: Block, resources: ResourceStore):
        super().__init__(InsertPoint.at_end(block), resources)
        self._arrays: dict[SSAValue, Array | None] = {}

    def __call__(self, name: str, *operands: Value, **properties: Any) -> SSAValue:
        """Append `graph.NAME`, by name as the tables of operators give it; Python numbers become constants."""
        return self.create(name, self.values(*operands), **properties)

    def error(self, message: str) -> LaminaError:
        return LaminaError(message)

    # What is known of a value

    def elements(self, value: SSAValue) -> tuple[Dim, ...] | None:
        """The elements of a small integer vector or scalar as sizes, where they are known."""
        known = self.abstract(value).elements
        if known is not None and all(isinstance(element, int) for element in known):
            return known
        if self.rank(value) > 1:
            return known
        array = self.static(value)
        return known if array is None else tuple(int(element) for element in array.reshape(-1).tolist())

    def static_shape(self, value: SSAValue, what: str = "the shape") -> tuple[int, ...]:
        """The shape where every size is known; raises UnsupportedNode otherwise."""
        shape = self.shape(value)
        if static_size(shape) is None:
            raise UnsupportedNode(f"{what} must be known: [{', '.join(map(str, shape))}]", hints=(FIX_DIMS,))
        return tuple(size for size in shape if isinstance(size, int))

    def static(self, value: SSAValue) -> Array | None:
        """The elements where they follow from constants alone and are few, else None."""
        stack = [value]  # not recursion: chains of small constants can be long
        while stack:
            current = stack[-1]
            if current in self._arrays:
                stack.pop()
                continue
            operands = self._evaluated_operands(current)
            unknown = any(operand in self._arrays and self._arrays[operand] is None for operand in operands)
            waiting = next((operand for operand in operands if operand not in self._arrays), None)
            if unknown:
                self._arrays[current] = None
            elif waiting is not None:
                stack.append(waiting)
            else:
                self._arrays[current] = self._evaluate(current)
        return self._arrays[value]

    def _is_small(self, value: SSAValue) -> bool:
        size = static_size(self.shape(value))
        return size is not None and size <= MAX_EVALUATED_ELEMENTS

    def _evaluated_operands(self, value: SSAValue) -> Sequence[SSAValue]:
        """What has to be evaluated before a value; nothing where the value is known, or can never be."""
        op = value.owner
        if not isinstance(op, GraphOp) or op.regions or len(op.results) != 1 or not self._is_small(value):
            return ()
        return () if self._known_integers(value) is not None else op.operands

    def _known_integers(self, value: SSAValue) -> list[int] | None:
        elements = self.abstract(value).elements
        if elements is None:
            return None
        known = [element for element in elements if isinstance(element, int)]
        return known if len(known) == len(elements) else None

    def _evaluate(self, value: SSAValue) -> Array | None:
        """The elements, those of the operands being at hand."""
        if not self._is_small(value):
            return None
        integers = self._known_integers(value)
        if integers is not None:
            shape = self.static_shape(value)
            return np.asarray(integers).astype(dtype_of(self.element_type(value))).reshape(shape)
        op = value.owner
        if isinstance(op, ConstantOp):
            return op.array(self.resources)
        if not isinstance(op, GraphOp) or op.regions or len(op.results) != 1:
            return None
        operands = [array for operand in op.operands if (array := self._arrays[operand]) is not None]
        result = op.reference(*operands)
        return result if isinstance(result, np.ndarray) else None

    def require_static(self, value: SSAValue, what: str) -> Array:
        """The elements; raises UnsupportedNode where they depend on data."""
        array = self.static(value)
        if array is None:
            raise UnsupportedNode(f"{what} must be constant")
        return array

    def require_integers(self, value: SSAValue, what: str) -> tuple[int, ...]:
        """The elements of an integer tensor; raises UnsupportedNode where they depend on data."""
        return tuple(int(element) for element in self.require_static(value, what).reshape(-1).tolist())

    # Sizes

    def size(self, value: SSAValue, axis: int) -> Size:
        """The size of an axis."""
        known = self.shape(value)[axis]
        return known if isinstance(known, int) else self.dimension(value, axis)

    def sizes_of(self, value: SSAValue) -> list[Size]:
        """The sizes of all axes."""
        return [self.size(value, axis) for axis in range(self.rank(value))]

    def entries(self, vector: SSAValue) -> list[Size]:
        """The elements of an integer vector of known length."""
        elements = self.elements(vector)
        if self.rank(vector) > 1:
            raise LaminaError(f"a list of sizes must have one axis, found {self.rank(vector)}")
        length = math.prod(self.static_shape(vector, "the length of a list of sizes"))
        vector = self.cast(vector, i64)
        return [
            known if elements is not None and isinstance(known := elements[index], int) else self.entry(vector, index)
            for index in range(length)
        ]

    def entry(self, vector: SSAValue, index: int) -> SSAValue:
        """One element of a vector, as an i64 scalar."""
        vector = self.cast(vector, i64)
        return vector if self.rank(vector) == 0 else self.reshape(self.slice(vector, (index,), (index + 1,)), ())

    def vector(self, sizes: Sequence[Size]) -> SSAValue:
        """An i64 vector of sizes."""
        parts: list[SSAValue] = []
        run: list[int] = []
        for size in sizes:
            if isinstance(size, int):
                run.append(size)
                continue
            if run:
                parts.append(self.constant(np.asarray(run, np.int64)))
                run = []
            parts.append(self.reshape(size, (1,)))
        if run or not parts:
            parts.append(self.constant(np.asarray(run, np.int64)))
        return parts[0] if len(parts) == 1 else self.concatenate(parts, 0)

    def known(self, size: Size) -> Size:
        """A size as an int where its value is known."""
        if isinstance(size, int):
            return size
        elements = self.abstract(size).elements
        return elements[0] if elements is not None and isinstance(elements[0], int) else size

    def combine(self, name: str, left: Size, right: Size) -> Size:
        """Arithmetic on sizes, done at once where both are known; `divide` rounds towards zero."""
        if isinstance(left, int) and isinstance(right, int):
            return SIZE_FUNCTIONS[name](left, right)
        if isinstance(right, int) and NEUTRAL.get(name) == right:
            return left
        return self.known(self(name, left, right))

    def product(self, sizes: Sequence[Size]) -> Size:
        """The product of sizes; the known ones are multiplied at once."""
        known = math.prod(size for size in sizes if isinstance(size, int))
        unknown: list[Size] = [size for size in sizes if not isinstance(size, int)]
        if not unknown:
            return known
        total = functools.reduce(lambda left, right: self.combine("multiply", left, right), unknown)
        return self.combine("multiply", total, known)

    def _expressions(self, sizes: Sequence[Size]) -> tuple[Dim, ...] | None:
        """Sizes as expressions, None where one is not known as such."""
        expressions: list[Dim] = []
        for size in sizes:
            elements = (size,) if isinstance(size, int) else self.abstract(size).elements
            if elements is None:
                return None
            expressions.append(elements[0])
        return tuple(expressions)

    # The static form of an op where it will do

    def reshape_to(self, value: SSAValue, sizes: Sequence[Size]) -> SSAValue:
        """Reshape to sizes of which at most one may be -1."""
        sizes = [self.known(size) for size in sizes]
        if self._expressions(sizes) == self.shape(value):
            return value
        static = [size for size in sizes if isinstance(size, int)]
        if len(static) == len(sizes):
            return self.reshape(value, static)
        if len(static) == len(sizes) - 1 and -1 not in static and 0 not in static:
            return self.reshape(value, [size if isinstance(size, int) else -1 for size in sizes])
        return self.dynamic_reshape(value, self.vector(sizes))

    def broadcast_to(self, value: SSAValue, sizes: Sequence[Size]) -> SSAValue:
        """Broadcast to sizes; -1 keeps the operand's."""
        sizes = [self.known(size) for size in sizes]
        static = [size for size in sizes if isinstance(size, int)]
        offset = len(sizes) - self.rank(value)
        if len(static) == len(sizes):
            own = self.shape(value)
            if not offset and all(size in (-1, kept) for size, kept in zip(static, own, strict=True)):
                return value
            return self.broadcast(value, static)
        full = [self.size(value, axis - offset) if size == -1 else size for axis, size in enumerate(sizes)]
        return self.dynamic_broadcast(value, self.vector(full))

    def filled(self, value: float, sizes: Sequence[Size], element_type: Attribute) -> SSAValue:
        """A tensor of equal elements."""
        return self.broadcast_to(self.constant(value, element_type), sizes)

    def positions(self, sizes: Sequence[Size], dimension: int, element_type: Attribute = i64) -> SSAValue:
        """A tensor whose elements are their position along an axis."""
        static = [size for size in sizes if isinstance(size, int)]
        if len(static) == len(sizes):
            return self.iota(element_type, static, dimension)
        return self.dynamic_iota(element_type, self.vector(sizes), dimension)

    def transposed(self, value: SSAValue, permutation: Sequence[int]) -> SSAValue:
        """Reorder the axes, unless they are in order."""
        in_order = list(permutation) == list(range(len(permutation)))
        return value if in_order else self.transpose(value, permutation)

    def slice_axes(
        self,
        value: SSAValue,
        starts: Mapping[int, int],
        limits: Mapping[int, int],
        strides: Mapping[int, int] | None = None,
    ) -> SSAValue:
        """Slice some axes by constants."""
        axes = range(self.rank(value))
        return self.slice(
            value,
            [bounded(starts.get(axis, 0)) for axis in axes],
            [bounded(limits.get(axis, TO_THE_END)) for axis in axes],
            [(strides or {}).get(axis, 1) for axis in axes],
        )

    def slice_axis(self, value: SSAValue, axis: int, start: int, limit: int) -> SSAValue:
        """Slice one axis by constants."""
        return self.slice_axes(value, {axis: start}, {axis: limit})

    def reduce_axes(self, kind: str, value: SSAValue, dimensions: Sequence[int], *, keep: bool = True) -> SSAValue:
        """Reduce some axes, unless there are none."""
        return self.reduce(kind, value, dimensions, keep) if dimensions else value

    def along_axis(self, vector: SSAValue, axis: int, rank: int) -> SSAValue:
        """A vector shaped so that it broadcasts along one axis of a tensor of that rank."""
        after = rank - axis - 1
        if self.rank(vector) == 0 or not after:
            return vector
        return self.reshape_to(vector, [self.size(vector, 0), *[1] * after])


def bounded(bound: int) -> int:
    """A bound of a slice, limited to what means "to the end"."""
    return max(min(bound, TO_THE_END), -TO_THE_END)


def truncating_quotient(dividend: int, divisor: int) -> int:
    """`dividend / divisor` rounded towards zero; raises LaminaError where the divisor is 0."""
    if divisor == 0:
        raise LaminaError("a size is divided by 0")
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


SIZE_FUNCTIONS: Mapping[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": truncating_quotient,
    "maximum": max,
    "minimum": min,
}
NEUTRAL: Mapping[str, int] = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1}
