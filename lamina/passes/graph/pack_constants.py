"""`pack-constants`: weights lie in memory as the blocks of registers read them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseIntOrFPElementsAttr, DenseResourceAttr, ModuleOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina import knobs
from lamina.context import resources_of
from lamina.dialects.graph.base import Array
from lamina.dialects.graph.constant import ConstantOp, constant_attribute
from lamina.dialects.graph.construction import accumulation_type
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.data_movement import TransposeOp
from lamina.dialects.graph.packing import UnpackOp, pack, packed_shape
from lamina.dialects.graph.types import dtype_of
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import tensor_type
from lamina.passes.registers import SHORT_BLOCK_ROWS, group_panel, panel_vectors, target_vector_bits
from lamina.resources import ResourceStore, fresh_memory

PackedValue: TypeAlias = "DenseIntOrFPElementsAttr | DenseResourceAttr"

ALIGNMENT = 64
"""Bytes: a packed constant begins where a cache line does."""
MIN_PACKED_BYTES = 32 * 1024
"""Smaller weights lie in the first cache whatever their order is."""


@dataclass(frozen=True)
class PackConstantsPass(LaminaPass):
    """Store constant right operands of contractions in panels as wide as a block of registers.

    ```mlir
    %w = graph.constant dense_resource<c0> : tensor<768x3072xf32>
    %y = graph.dot_general %x, %w, contract = [1] x [0]
    ```
    →
    ```mlir
    %p = graph.constant dense_resource<c1> : tensor<64x768x48xf32>
    %w = graph.unpack %p dimension 1 size 3072
    %y = graph.dot_general %x, %w, contract = [1] x [0]
    ```

    The axis cut is the last free one, in a convolution's kernel the output features where they are the last axis; a
    kernel function reads a panel from front to back, whatever the number of columns is. A
    transpose of the constant is packed with it. As many constants are packed at once as the compiler has processes
    (`LAMINA_COMPILE_WORKERS`): copying and hashing hold no lock. Run after `prepare-contractions` and before
    `fold-constants`.
    """

    name = "pack-constants"
    requires: ClassVar[frozenset[str]] = frozenset({"contractions-prepared"})
    ensures: ClassVar[frozenset[str]] = frozenset({"constants-packed"})
    counters: ClassVar[Mapping[str, str]] = {"packed": "constants packed"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        vector_bits = target_vector_bits(op)
        for function in graph_functions(op):
            packer = _Packer(resources, vector_bits)
            for contraction in list(function.walk()):
                if isinstance(contraction, DotGeneralOp | ConvolutionOp):
                    packer.visit(contraction)
            packer.finish()
            self.count("packed", len(packer.known))


@dataclass
class _Source:
    """A constant, seen through a transpose."""

    constant: ConstantOp
    permutation: tuple[int, ...] | None

    def array(self, resources: ResourceStore) -> Array:
        """Its elements."""
        array = self.constant.array(resources)
        return array if self.permutation is None else array.transpose(self.permutation)


@dataclass
class _Packed:
    """A constant to pack along an axis of so many columns, and the contractions that read it."""

    source: _Source
    axis: int
    columns: int
    lanes: int
    vector_bits: int
    group_panel: int | None = None
    readers: list[DotGeneralOp | ConvolutionOp] = field(default_factory=list["DotGeneralOp | ConvolutionOp"])

    @property
    def tile(self) -> int:
        """The width of its panels, which suits the reader with the most rows, or has whole groups."""
        if self.group_panel is not None:
            return self.group_panel
        rows = [_rows(reader) for reader in self.readers]
        most = None if None in rows else max((count for count in rows if count is not None), default=None)
        return panel_vectors(self.columns, self.lanes, self.vector_bits, most) * self.lanes


class _Packer:
    """Packs the constants of one function, each once."""

    def __init__(self, resources: ResourceStore, vector_bits: int):
        self.resources = resources
        self.vector_bits = vector_bits
        self.known: dict[tuple[object, ...], _Packed] = {}

    def visit(self, op: DotGeneralOp | ConvolutionOp) -> None:
        """Pack the right operand of a contraction or convolution where that pays."""
        source = self._source(op.rhs)
        axis = _column_axis(op)
        if source is None or axis is None:
            return
        type_, result_type = tensor_type(op.rhs.type), tensor_type(op.result.type)
        shape = type_.get_shape()
        columns = shape[axis]
        lanes = self.vector_bits // (8 * dtype_of(accumulation_type(result_type.get_element_type())).itemsize)
        if columns <= lanes or np.prod(shape) * dtype_of(type_.get_element_type()).itemsize < MIN_PACKED_BYTES:
            return
        panel = _group_panel(op, lanes)
        key = (source.constant, source.permutation, axis, lanes, panel)
        if key not in self.known:
            self.known[key] = _Packed(source, axis, columns, lanes, self.vector_bits, panel)
        self.known[key].readers.append(op)

    def finish(self) -> None:
        """Pack, and let the contractions read what has been packed."""
        self.known = {key: packed for key, packed in self.known.items() if packed.columns > packed.tile}
        packs = list(self.known.values())
        with ThreadPoolExecutor(knobs.COMPILE_WORKERS.value()) as threads:
            values = list(threads.map(self._pack, packs, self._memory(packs)))
        for packed, value in zip(packs, values, strict=True):
            original = packed.source.constant
            constant = ConstantOp(value, original.location)
            constant.result.name_hint = original.result.name_hint
            Rewriter.insert_op(constant, InsertPoint.after(original))
            for op in packed.readers:
                unpack = UnpackOp(constant.result, packed.axis, packed.columns, location=op.location)
                Rewriter.insert_op(unpack, InsertPoint.before(op))
                op.operands[1] = unpack.result

    def _memory(self, packs: Sequence[_Packed]) -> Sequence[Array]:
        """An array for each: parts of one."""
        sources = [packed.source.array(self.resources) for packed in packs]
        shapes = [packed_shape(one.shape, packed.axis, packed.tile) for one, packed in zip(sources, packs, strict=True)]
        sizes = [math.prod(shape) * one.itemsize for shape, one in zip(shapes, sources, strict=True)]
        ends = list(itertools.accumulate(size + -size % ALIGNMENT for size in sizes))
        memory = fresh_memory(ends[-1] if ends else 0)
        return [
            memory[start : start + size].view(one.dtype).reshape(shape)
            for start, size, shape, one in zip((0, *ends), sizes, shapes, sources, strict=False)
        ]

    def _pack(self, packed: _Packed, memory: Array) -> PackedValue:
        array = pack(packed.source.array(self.resources), packed.axis, packed.tile, memory)
        return constant_attribute(array, self.resources)

    def _source(self, value: SSAValue) -> _Source | None:
        owner, permutation = value.owner, None
        if isinstance(owner, TransposeOp):
            permutation = owner.permutation.get_values()
            owner = owner.operand.owner
        if not isinstance(owner, ConstantOp) or not isinstance(owner.value, DenseResourceAttr):
            return None
        return _Source(owner, permutation) if owner.value.resource_handle.data in self.resources else None


def _rows(op: DotGeneralOp | ConvolutionOp) -> int | None:
    """The rows of a product, where they are known: of a convolution, the positions of one line."""
    if not isinstance(op, DotGeneralOp):
        line = tensor_type(op.result.type).get_shape()[op.output_order.spatial[-1]]
        return None if line == DYNAMIC_INDEX or line <= SHORT_BLOCK_ROWS else line
    shape = tensor_type(op.lhs.type).get_shape()
    sizes = [shape[axis] for axis in op.lhs_axes[1]]
    return None if DYNAMIC_INDEX in sizes else math.prod(sizes)


def _column_axis(op: DotGeneralOp | ConvolutionOp) -> int | None:
    """The axis of the right operand that vectors run along; None where there is none to cut into panels."""
    if isinstance(op, DotGeneralOp):
        _, free, _ = op.rhs_axes
        return free[-1] if free else None
    last = len(op.kernel_order.permutation) - 1
    features_last = op.kernel_order.first == last and op.output_order.second == last
    groups, outputs = op.feature_group_count.value.data, tensor_type(op.rhs.type).get_shape()[last]
    return last if features_last and (groups == 1 or outputs > groups) else None


def _group_panel(op: DotGeneralOp | ConvolutionOp, lanes: int) -> int | None:
    """The width of the panels of a convolution's kernel with groups; None for other ops."""
    if not isinstance(op, ConvolutionOp) or (groups := op.feature_group_count.value.data) == 1:
        return None
    shape = tensor_type(op.rhs.type).get_shape()
    return group_panel(groups, shape[op.kernel_order.second], shape[op.kernel_order.first] // groups, lanes)
