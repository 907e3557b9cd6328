"""Which ops of a function work with the features last: the choice that moves the fewest bytes.

Every op that can work in either order of axes is a node of a network; a minimum cut divides those that keep the order
as written from those that work with the features last. What it weighs, in bytes:

- a value that is made in one order and read in the other is transposed, once for all its readers: read and written;
- constants cost nothing (`fold-constants`), transposes that only move axes of size 1 (views) next to nothing;
- a transpose of the model that brings the features last costs nothing behind an op that has them last already, and one
  that brings them to the front costs nothing ahead of an op that wants them last;
- an op in the order that it is slow in costs a multiple of what it reads (`SLOW_AS_WRITTEN`).

Convolutions always have the features last: there they are contractions with vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from math import prod

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Operation, SSAValue

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp
from lamina.dialects.graph.data_movement import ReshapeOp, TransposeOp
from lamina.dialects.graph.types import dtype_of
from lamina.dialects.loop.types import is_tensor
from lamina.passes.graph.minimum_cut import SINK, SOURCE, UNBOUNDED, Network
from lamina.passes.graph.roles import Role, has_flag, integer_of, integers_of, role_of
from lamina.passes.graph.shape_analysis import shape_of_type, tensor_type

Permutation = tuple[int, ...]

SLOW_AS_WRITTEN: Mapping[str, int] = {
    "graph.reduce_window": 2,
    "graph.resize": 2,
    "graph.softmax": 1,
    "graph.log_softmax": 1,
    "graph.arg_reduce": 1,
}
"""How often the bytes of its operand an op costs more where the features are not last: windows and interpolation run
along the features in vectors, and rows are contiguous. Ops with a `dimension` count where that is the features'."""


class Part(Enum):
    """How a property depends on the order of the axes."""

    AXIS = auto()
    AXES = auto()
    PER_AXIS = auto()
    PAIRS = auto()


_ALONG_AXIS = {"dimension": Part.AXIS}
_PER_AXIS = Part.PER_AXIS

LAYOUT_PROPERTIES: Mapping[str, Mapping[str, Part]] = {
    "graph.batch_norm": _ALONG_AXIS,
    "graph.group_norm": _ALONG_AXIS,
    "graph.softmax": _ALONG_AXIS,
    "graph.log_softmax": _ALONG_AXIS,
    "graph.cumulative": _ALONG_AXIS,
    "graph.concatenate": _ALONG_AXIS,
    "graph.reverse": {"dimensions": Part.AXES},
    "graph.resize": {"dimensions": Part.AXES},
    "graph.broadcast": {"shape": _PER_AXIS},
    "graph.pad": {"low": _PER_AXIS, "high": _PER_AXIS, "interior": _PER_AXIS},
    "graph.slice": {"starts": _PER_AXIS, "limits": _PER_AXIS, "strides": _PER_AXIS},
    "graph.reduce_window": {
        "window_dimensions": _PER_AXIS,
        "window_strides": _PER_AXIS,
        "window_dilations": _PER_AXIS,
        "padding": Part.PAIRS,
    },
}
"""Ops besides elementwise ones whose result has their operand's layout, and the properties that change with it."""

REDUCTIONS: Mapping[str, str] = {
    "graph.reduce": "dimensions",
    "graph.mean": "dimensions",
    "graph.arg_reduce": "dimension",
}
"""Ops that drop axes, and the property that lists them."""


# ---- orders of axes


def to_last(rank: int) -> Permutation:
    """The transpose of batch, features, spatial axes to batch, spatial axes, features."""
    return (0, *range(2, rank), 1)


def from_last(rank: int) -> Permutation:
    """The transpose back."""
    return (0, rank - 1, *range(1, rank - 1))


def features_last(order: AxisOrder) -> AxisOrder:
    """Batch, spatial axes, features."""
    rank = len(order.permutation)
    return AxisOrder(0, rank - 1, tuple(range(1, rank - 1)))


def between(source: AxisOrder, target: AxisOrder) -> Permutation:
    """The permutation that brings a tensor from one order of axes to another."""
    axis_of = dict(zip(target.permutation, source.permutation, strict=True))
    return tuple(axis_of[axis] for axis in range(len(axis_of)))


def inverse(permutation: Permutation) -> Permutation:
    """The permutation that undoes another one."""
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


def is_view(shape: Sequence[int], permutation: Permutation) -> bool:
    """Whether a transpose only moves axes of size 1 past others, and a reshape can say so."""
    moved = [axis for axis in permutation if shape[axis] != 1]
    return moved == sorted(moved) and can_be_written_down(shape)


def can_be_written_down(shape: Sequence[int]) -> bool:
    """Whether a reshape to these sizes has at most one to infer, and the others give it."""
    unknown = shape.count(DYNAMIC_INDEX)
    return unknown == 0 or (unknown == 1 and 0 not in shape)


def moved_bytes(value: SSAValue, permutation: Permutation | None = None) -> int:
    """What a transpose of a tensor reads and writes, in bytes; unknown sizes count as 1. Constants and views: none."""
    shape = shape_of_type(value.type)
    if isinstance(value.owner, ConstantOp) or is_view(shape, permutation or to_last(len(shape))):
        return 0
    return 2 * _bytes(value)


def _bytes(value: SSAValue) -> int:
    type_ = tensor_type(value.type)
    return prod(1 if size == DYNAMIC_INDEX else size for size in type_.get_shape()) * (
        dtype_of(type_.get_element_type()).itemsize
    )


# ---- ops that can work in either order


def moved_operands(op: Operation) -> range:
    """The operands of a flexible op that have its layout."""
    every = op.name not in LAYOUT_PROPERTIES or op.name == "graph.concatenate"
    return range(len(op.operands) if every else 1)


def is_flexible(op: Operation) -> bool:
    """Whether an op can work on transposed operands and give the transposed result."""
    if not isinstance(op, GraphOp) or len(op.results) != 1 or not op.operands:
        return False
    if op.name in REDUCTIONS:
        return _rank(op.operands[0]) > 2
    rank = _rank(op.results[0])
    if rank < 3 or not all(is_tensor(operand.type) for operand in op.operands):
        return False
    if op.name in LAYOUT_PROPERTIES:
        return _rank(op.operands[0]) == rank
    return role_of(op) is Role.ELEMENTWISE


def after_reduction(op: Operation) -> Permutation:
    """The transpose that takes the result of a reduction with the features last to the result as written."""
    permutation = from_last(_rank(op.operands[0]))
    if has_flag(op, "keep_dimensions"):
        return permutation
    axes = reduced(op)
    kept = [permutation[axis] for axis in range(len(permutation)) if axis not in axes]
    return tuple(sorted(kept).index(axis) for axis in kept)


def reduced(op: Operation) -> tuple[int, ...]:
    """The axes that a reduction drops."""
    name = REDUCTIONS[op.name]
    return integers_of(op, name) or (() if name == "dimensions" else (integer_of(op, name),))


def _rank(value: SSAValue) -> int:
    return len(shape_of_type(value.type)) if is_tensor(value.type) else 0


@dataclass(frozen=True)
class Shuffle:
    """Features split into factors that change places: reshape, transpose, reshape; `order` is that of the factors."""

    source: SSAValue
    factors: tuple[int, ...]
    order: Permutation
    features: int


def shuffle_of(op: Operation) -> Shuffle | None:
    """The shuffle of features that ends with a reshape; None where it is none."""
    if not isinstance(op, ReshapeOp):
        return None
    transpose = op.operand.owner
    if not isinstance(transpose, TransposeOp) or not transpose.result.has_one_use():
        return None
    split = transpose.operand.owner
    if not isinstance(split, ReshapeOp) or not split.result.has_one_use():
        return None
    source, parts, result = (shape_of_type(value.type) for value in (split.operand, split.result, op.result))
    count = len(parts) - len(source) + 1
    if len(source) < 3 or len(result) != len(source) or count < 2 or result[0] != source[0] != 0:
        return None
    factors, order = parts[1 : 1 + count], transpose.permutation.get_values()
    others = (*source[1:], *factors, *result[1:])
    if any(size <= 0 for size in others) or parts[0] != source[0] or prod(factors) != source[1]:
        return None
    if parts[1 + count :] != source[2:] or result[1:] != source[1:]:
        return None
    outside = (0, *range(1 + count, len(parts)))
    if any(order[axis] != axis for axis in outside):
        return None
    return Shuffle(split.operand, tuple(factors), tuple(axis - 1 for axis in order[1 : 1 + count]), result[1])


# ---- the choice


@dataclass
class LayoutChoice:
    """The ops that work with the features last, and the transposes of the model that fall away at one end.

    `absorbed`: transposes whose operand is there with the features last, so that their result is there, too.
    `supplied`: transposes whose operand is what a reader of their result wants.
    """

    last: set[Operation] = field(default_factory=set[Operation])
    absorbed: set[Operation] = field(default_factory=set[Operation])
    supplied: set[Operation] = field(default_factory=set[Operation])


def choose_layouts(function: func.FuncOp) -> LayoutChoice:
    """Decide for every op of a function; without convolutions everything stays as it is written."""
    builder = _Builder()
    for op in function.walk():
        builder.add(op)
    builder.connect()
    side = builder.network.sink_side()

    def chosen(nodes: Mapping[Operation, int]) -> set[Operation]:
        return {op for op, node in nodes.items() if node in side}

    return LayoutChoice(chosen(builder.nodes), chosen(builder.reads), chosen(builder.gives))


@dataclass
class _Builder:
    """The network of a function: the source's side is as written, the sink's features last."""

    network: Network = field(default_factory=Network)
    nodes: dict[Operation, int] = field(default_factory=dict[Operation, int])
    reads: dict[Operation, int] = field(default_factory=dict[Operation, int])
    gives: dict[Operation, int] = field(default_factory=dict[Operation, int])
    _made: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """In which order values are made, where that is not as written."""
    _read: dict[SSAValue, dict[int, None]] = field(default_factory=dict[SSAValue, dict[int, None]])
    """In which orders values are read; a transpose of the model that falls together with ours reads in any."""

    def add(self, op: Operation) -> None:
        """Note in which orders an op reads and makes values."""
        shuffle = shuffle_of(op)
        if isinstance(op, ConvolutionOp):
            self._add_convolution(op)
        elif isinstance(op, TransposeOp):
            self._add_transpose(op)
        elif shuffle is not None:
            node = self.nodes[op] = self.network.node()
            self._reads(shuffle.source, node)
            self._made[op.results[0]] = node
        elif is_flexible(op):
            self._add_flexible(op)
        else:
            for operand in op.operands:
                self._reads(operand, SOURCE)

    def _reads(self, value: SSAValue, node: int) -> None:
        self._read.setdefault(value, {})[node] = None

    def _add_convolution(self, op: ConvolutionOp) -> None:
        last = features_last(op.output_order)
        rank = len(last.permutation)
        self._reads(op.lhs, SINK if between(op.input_order, last) == to_last(rank) else SOURCE)
        self._reads(op.rhs, SOURCE)
        if between(last, op.output_order) == from_last(rank):
            self._made[op.result] = SINK

    def _add_transpose(self, op: TransposeOp) -> None:
        permutation = op.permutation.get_values()
        rank = len(permutation)
        cost = moved_bytes(op.operand, permutation)
        ends = [permutation == to_last(rank) and rank > 2, permutation == from_last(rank) and rank > 2]
        if ends[0]:
            self.reads[op] = node = self.network.node()
            self._reads(op.operand, node)
            self.network.edge(node, SINK, cost // sum(ends))
        if ends[1]:
            self.gives[op] = self._made[op.result] = node = self.network.node()
            self.network.edge(node, SINK, cost // sum(ends))

    def _add_flexible(self, op: Operation) -> None:
        node = self.nodes[op] = self.network.node()
        result = op.results[0]
        for index in moved_operands(op):
            operand = op.operands[index]
            missing = (0 if op.name in REDUCTIONS else _rank(result)) - _rank(operand)
            if missing <= 0:
                self._reads(operand, node)
            elif not isinstance(operand.owner, ConstantOp):
                shape = ((1,) * missing) + shape_of_type(operand.type)
                self.network.edge(SOURCE, node, 0 if is_view(shape, to_last(len(shape))) else 2 * _bytes(operand))
        for index in range(len(op.operands)):
            if index not in moved_operands(op):
                self._reads(op.operands[index], SOURCE)
        if op.name in REDUCTIONS:
            after = after_reduction(op)
            if after == from_last(len(after)) and len(after) > 2:
                self._made[result] = node
            else:
                self.network.edge(SOURCE, node, moved_bytes(result, after))
        else:
            self._made[result] = node
        if "dimension" not in op.properties or integer_of(op, "dimension") == 1:
            self.network.edge(node, SINK, SLOW_AS_WRITTEN.get(op.name, 0) * _bytes(op.operands[0]))

    def connect(self) -> None:
        """What it costs where a value is made in one order and read in the other."""
        network = self.network
        for value, readers in self._read.items():
            made = self._made.get(value, SOURCE)
            readers = [node for node in readers if node != made]
            if not readers or isinstance(value.owner, ConstantOp) or _rank(value) < 3:
                continue
            cost = max(moved_bytes(value), 1)
            some_last, some_first = (readers[0], readers[0]) if len(readers) == 1 else (network.node(), network.node())
            for reader in readers if len(readers) > 1 else ():
                network.edge(some_last, reader, UNBOUNDED)
                network.edge(reader, some_first, UNBOUNDED)
            network.edge(made, some_last, cost)
            network.edge(some_first, made, cost)
