"""What data-movement ops share: tracking of elements, shapes given at run time, padding and counting."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute
from xdsl.irdl import traits_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import Pure

from lamina.dialects.graph.base import (
    MAX_TRACKED_ELEMENTS,
    AbstractTensor,
    Array,
    Differentiability,
    GraphOp,
    InferenceError,
)
from lamina.dialects.graph.construction import (
    check_axes,
    unequal_pairs,
)
from lamina.dialects.graph.conversion import convert
from lamina.dialects.graph.dims import Dim, Shape, fresh, maximum, product
from lamina.dialects.graph.indexing import (
    PAD_MODES,
    padded_size,
)
from lamina.dialects.graph.types import NUMBER, dtype_of, is_float


class DataMovementOp(GraphOp, HasCanonicalizationPatternsInterface, ABC):
    """An op that moves elements of any type. Its first `DATA` operands are moved (all by default); others say where."""

    DATA: ClassVar[int | None] = 1
    traits = traits_def(Pure())

    def moved(self, operands: Sequence[AbstractTensor], shape: Shape) -> AbstractTensor:
        """The result of this shape; elements known as sizes are moved by the reference itself."""
        known = AbstractTensor(shape, operands[0].element_type)
        if len(shape) > 1 or is_float(known.element_type) or any(operand.elements is None for operand in operands):
            return known
        count = product(shape)
        if not isinstance(count, int) or count > MAX_TRACKED_ELEMENTS:
            return known
        arrays: list[Any] = []
        for index, operand in enumerate(operands):
            array = _object_array(operand)
            if self.DATA is not None and index >= self.DATA:
                if not all(isinstance(element, int) for element in operand.elements or ()):
                    return known
                array = array.astype(np.int64)
            arrays.append(array)
        moved = np.asarray(self.reference(*arrays), object)
        return AbstractTensor(shape, known.element_type, tuple(moved.reshape(-1).tolist()))

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.data_movement import PATTERNS

        return PATTERNS.get(cls, ())


def _object_array(tensor: AbstractTensor) -> Any:
    elements = tensor.elements or ()
    array = np.empty(len(elements), object)
    array[:] = elements
    sizes = [size for size in tensor.shape if isinstance(size, int)]
    return array if len(sizes) < len(tensor.shape) else array.reshape(sizes)


def vector_length(name: str, what: str, operand: AbstractTensor) -> int:
    """The number of entries of a shape or of bounds given at run time: an i64 vector of static length."""
    if operand.element_type != i64 or len(operand.shape) != 1 or not isinstance(operand.shape[0], int):
        raise InferenceError(f"{name}: {what}: expected an i64 vector of static length, found {operand.type}")
    return operand.shape[0]


def sizes_of(name: str, what: str, operand: AbstractTensor) -> Shape:
    """The sizes that an i64 vector holds; unknown ones are fresh symbols."""
    length = vector_length(name, what, operand)
    return tuple(fresh() for _ in range(length)) if operand.elements is None else operand.elements


def check_vector(name: str, what: str, operand: AbstractTensor, rank: int) -> None:
    length = vector_length(name, what, operand)
    if length != rank:
        raise InferenceError(f"{name}: {what}: expected {rank} entries, one per axis, found {length}")


def same_count(operand: Shape, result: Shape) -> list[tuple[Dim, Dim]]:
    return unequal_pairs([(product(operand), product(result))])


class PaddingOp(DataMovementOp, ABC):
    """The operand with elements put before (`low`), after (`high`) and between its own; negative amounts crop.

    `mode` says what the new elements are: `constant` the padding value, `edge` the nearest element, `reflect` the
    operand mirrored at its first and last element (over and over, as NumPy does).
    """

    DATA: ClassVar[int | None] = 2

    def padded(
        self, operands: Sequence[AbstractTensor], mode: str, amounts: Sequence[tuple[Dim | None, Dim | None, int]]
    ) -> AbstractTensor:
        """The result for the (low, high, interior) of every axis; None: not known before run time."""
        operand, value = operands[:2]
        if mode not in PAD_MODES:
            raise InferenceError(f"{self.name}: mode: expected one of {', '.join(PAD_MODES)}, found {mode}")
        if value.shape or value.element_type != operand.element_type:
            raise InferenceError(f"{self.name}: value: expected tensor<{operand.element_type}>, found {value.type}")
        shape: list[Dim] = []
        for axis, (size, (low, high, interior)) in enumerate(zip(operand.shape, amounts, strict=True)):
            if interior < 0 or (interior and mode != "constant"):
                raise InferenceError(f"{self.name}: interior: expected 0 (or more in mode constant), found {interior}")
            if low is None or high is None:
                shape.append(fresh())
                continue
            padded = padded_size(size, low, high, interior)
            if isinstance(padded, int) and padded < 0:
                raise InferenceError(f"{self.name}: expected at most {size} elements to crop on axis {axis}")
            if mode != "constant" and size == 0 and padded != 0:
                raise InferenceError(f"{self.name}: mode {mode}: expected a non-empty axis {axis} to pad, found size 0")
            # A symbolic axis may turn out shorter than what is cropped: then nothing is left of it.
            shape.append(maximum(padded, 0))
        return self.moved(operands, tuple(shape))


class CountingOp(DataMovementOp, ABC):
    """Positions along an axis, as numbers of `element_type`."""

    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.STRUCTURAL

    def counted(self, shape: Shape, dimension: int, element_type: Attribute) -> AbstractTensor:
        """The result; raises InferenceError where it cannot be counted along `dimension`."""
        check_axes(self.name, "dimension", (dimension,), len(shape))
        if not NUMBER.accepts(element_type):
            raise InferenceError(f"{self.name}: element_type: expected {NUMBER.description}, found {element_type}")
        count = shape[dimension]
        tracked = len(shape) == 1 and isinstance(count, int) and count <= MAX_TRACKED_ELEMENTS
        if not tracked or is_float(element_type):
            return AbstractTensor(shape, element_type)
        return AbstractTensor(shape, element_type, tuple(range(cast(int, count))))


def iota(shape: Sequence[int], dimension: int, element_type: Attribute) -> Array:
    positions = convert(np.arange(shape[dimension], dtype=np.int64), dtype_of(element_type))
    return np.broadcast_to(positions.reshape((-1, *(1,) * (len(shape) - dimension - 1))), shape)
