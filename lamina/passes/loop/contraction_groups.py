"""The left factor of a contraction with narrow groups: a vector has the outputs of several, each with its features."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.ir import Attribute, SSAValue

from lamina.dialects.loop import vector
from lamina.dialects.loop.types import is_vector
from lamina.passes.loop.contraction import Contraction, Factor
from lamina.passes.loop.emitter import Emitter, Index, vector_of
from lamina.passes.loop.vector_access import VectorAxis, VectorMemory, cast_at_shape


class GroupFeatures:
    """Reads the features of all groups of a vector together, and repeats one of each group for all its columns.

    4 groups of 4 features and 4 columns, feature 1:
    %all = vector.transfer_read %x[…] : …, vector<8x16xf32>
    %row = vector.shape_cast %all : vector<8x16xf32> to vector<128xf32>
    %one = vector.shuffle %row, %row [1, 1, 1, 1, 5, 5, 5, 5, 9, …] : vector<128xf32>, vector<128xf32>
    """

    def __init__(self, contraction: Contraction):
        self.contraction = contraction
        self._memories: dict[VectorMemory, VectorMemory] = {}
        self._read: dict[VectorMemory, SSAValue] = {}

    def prepare(self, emitter: Emitter, memory: VectorMemory) -> None:
        """Make what tiles of this shape need, outside of their loops."""
        groups = self.contraction.groups
        if groups is None or memory in self._memories:
            return
        *rows, column = memory.axes
        features = groups.features * groups.count
        lanes = -(-features // column.lanes) * column.lanes
        wide = VectorMemory([*rows, VectorAxis(column.dim, lanes, None if lanes == features else features)])
        wide.prepare(emitter, [self.contraction.positions[groups.input]])
        self._memories[memory] = wide

    def forget(self) -> None:
        """What was read belongs to another tap."""
        self._read.clear()

    def get(self, emitter: Emitter, factor: Factor, memory: VectorMemory, positions: Sequence[Index]) -> SSAValue:
        """The factor of a tile at iteration `positions`, which name the feature by its number."""
        contraction, groups = self.contraction, self.contraction.groups
        assert groups is not None
        feature = positions[groups.feature]
        assert isinstance(feature, int), "features of narrow groups are written out"
        wide, lanes = self._memories[memory], memory.axes[-1].lanes
        if memory not in self._read:
            access = contraction.positions[groups.input]
            value = wide.read(emitter, contraction.op.inputs[groups.input], access, positions)
            for cast in factor.casts:
                value = emitter.value(cast_at_shape(cast, value))
            element = element_type_of(value)
            self._read[memory] = emitter.value(vector.ShapeCastOp(value, vector_of([prod(wide.shape)], element)))
        line = self._read[memory]
        rows, width = prod(memory.shape) // lanes, wide.shape[-1]
        used = groups.count * groups.outputs
        columns = [min(column, used - 1) // groups.outputs * groups.features + feature for column in range(lanes)]
        mask = DenseArrayBase.from_list(i64, [row * width + column for row in range(rows) for column in columns])
        element = element_type_of(line)
        flat = vector_of([rows * lanes], element)
        spread = emitter.value(vector.ShuffleOp(line, line, mask, result_type=flat))
        return emitter.value(vector.ShapeCastOp(spread, vector_of(memory.shape, element)))


def element_type_of(value: SSAValue) -> Attribute:
    """The type of a vector's elements."""
    return value.type.get_element_type() if is_vector(value.type) else value.type
