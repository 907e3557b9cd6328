"""Iteration spaces of the ops that combine elements: contractions, convolutions, windows.

The order of the dims is that of a plain loop nest: reductions stand outside the last axis of the result where that
axis is contiguous in what is read, so that the innermost loop runs along memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.ir import Operation

from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.hardware.gpu_target import is_for_gpu
from lamina.lowering.graph_to_linalg.body import Indexer
from lamina.lowering.graph_to_linalg.emitter import FunctionScope
from lamina.lowering.graph_to_linalg.indexing import ZERO, Index, Indices, Linear, dim_index
from lamina.lowering.graph_to_linalg.properties import integer, integers


@dataclass(frozen=True)
class Axis:
    """One iteration dim: its name in schedules, its size, and whether it is summed over."""

    name: str
    size: Dim
    reduced: bool = False


OperandIndices: TypeAlias = Callable[[Indexer, Mapping[str, Linear]], tuple[Indices, ...]]


@dataclass(frozen=True)
class Space:
    """The dims of a generic, and how it reads its operands and writes its result.

    `operand_indices` gives the indices of each operand from the position of each axis; `result` names the axis of
    each axis of the result.
    """

    axes: tuple[Axis, ...]
    result: tuple[str, ...]
    operand_indices: OperandIndices

    @property
    def sizes(self) -> Shape:
        return tuple(axis.size for axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    @property
    def positions(self) -> Mapping[str, Linear]:
        """The index of each axis."""
        return {axis.name: dim_index(dim) for dim, axis in enumerate(self.axes)}

    def operands(self, indexer: Indexer) -> tuple[Indices, ...]:
        """The indices at which each operand is read; raises NotLinear for a linear indexer where they are not."""
        return self.operand_indices(indexer, self.positions)

    @property
    def result_dims(self) -> tuple[int, ...]:
        """The iteration dim of each axis of the result."""
        return tuple(self.names.index(name) for name in self.result)


def loop_order(parallel: Sequence[Axis], reduced: Sequence[Axis], *, last_is_contiguous: bool) -> tuple[Axis, ...]:
    """The reductions inside all parallel axes, or outside the last one."""
    if last_is_contiguous and parallel:
        return (*parallel[:-1], *reduced, parallel[-1])
    return (*parallel, *reduced)


def dot_general_space(function: FunctionScope, op: Operation) -> Space:
    """Batch axes b0, b1, …, free axes m0, … of the left and n0, … of the right operand, contracted axes k0, …"""
    lhs, rhs = (function.shape(operand) for operand in op.operands)
    lhs_batch, rhs_batch = integers(op, "lhs_batching_dimensions"), integers(op, "rhs_batching_dimensions")
    lhs_contracted, rhs_contracted = (
        integers(op, "lhs_contracting_dimensions"),
        integers(op, "rhs_contracting_dimensions"),
    )
    lhs_free = [axis for axis in range(len(lhs)) if axis not in lhs_batch + lhs_contracted]
    rhs_free = [axis for axis in range(len(rhs)) if axis not in rhs_batch + rhs_contracted]

    # The result's axes take the sizes that its type has: a static one where one side knows it.
    sizes = iter(function.shape(op.results[0]))
    batch = [Axis(f"b{i}", next(sizes)) for i in range(len(lhs_batch))]
    rows = [Axis(f"m{i}", next(sizes)) for i in range(len(lhs_free))]
    columns = [Axis(f"n{i}", next(sizes)) for i in range(len(rhs_free))]
    depth = [
        Axis(f"k{i}", rhs[right] if isinstance(rhs[right], int) else lhs[left], reduced=True)
        for i, (left, right) in enumerate(zip(lhs_contracted, rhs_contracted, strict=True))
    ]
    lhs_names = _names({**_at(lhs_batch, batch), **_at(lhs_free, rows), **_at(lhs_contracted, depth)})
    rhs_names = _names({**_at(rhs_batch, batch), **_at(rhs_free, columns), **_at(rhs_contracted, depth)})

    def operand_indices(indexer: Indexer, at: Mapping[str, Linear]) -> tuple[Indices, ...]:
        return tuple(at[name] for name in lhs_names), tuple(at[name] for name in rhs_names)

    contiguous = bool(rhs_free) and rhs_free[-1] == len(rhs) - 1
    parallel = (*batch, *rows, *columns)
    axes = loop_order(parallel, depth, last_is_contiguous=contiguous)
    return Space(axes, tuple(axis.name for axis in parallel), operand_indices)


def _at(positions: Sequence[int], axes: Sequence[Axis]) -> dict[int, Axis]:
    return dict(zip(positions, axes, strict=True))


def _names(axes: Mapping[int, Axis]) -> tuple[str, ...]:
    return tuple(axes[position].name for position in range(len(axes)))


def spatial_names(rank: int) -> tuple[str, ...]:
    """w; h, w; d, h, w; and numbered names beyond."""
    return ("d", "h", "w")[3 - rank :] if rank <= 3 else tuple(f"s{axis}" for axis in range(rank))


def convolution_space(function: FunctionScope, op: Operation) -> Space:
    """Batch n, output features o (g where each is a group of its own), positions h, w, …, taps kh, kw, …, features c.

    Padding and dilation of the input are done before (`normalize`).
    """
    source, kernel = (function.shape(operand) for operand in op.operands)
    result = function.shape(op.results[0])
    input_batch, input_feature = integer(op, "input_batch_dimension"), integer(op, "input_feature_dimension")
    input_spatial, kernel_spatial = integers(op, "input_spatial_dimensions"), integers(op, "kernel_spatial_dimensions")
    kernel_input = integer(op, "kernel_input_feature_dimension")
    kernel_output = integer(op, "kernel_output_feature_dimension")
    output_spatial = integers(op, "output_spatial_dimensions")
    strides, dilations = integers(op, "window_strides"), integers(op, "rhs_dilation")
    groups = integer(op, "feature_group_count")
    group_features, outputs = kernel[kernel_input], kernel[kernel_output]
    depthwise = groups > 1 and outputs == groups

    # Kernels take panels of whole groups: on a CPU vectors along their outputs (`passes/tensor/schedules/groups.py`).
    last = len(result) - 1
    in_panels = is_for_gpu(op) or last == kernel_output == integer(op, "output_feature_dimension")

    spatial = spatial_names(len(strides))
    feature = "g" if depthwise else "o"
    output_names = {integer(op, "output_batch_dimension"): "n", integer(op, "output_feature_dimension"): feature}
    output_names |= dict(zip(output_spatial, spatial, strict=True))
    names = tuple(output_names[axis] for axis in range(len(result)))
    parallel = [Axis(name, size) for name, size in zip(names, result, strict=True)]
    reduced = [Axis(f"k{name}", kernel[axis], reduced=True) for name, axis in zip(spatial, kernel_spatial, strict=True)]
    if not (depthwise and group_features == 1):
        reduced.append(Axis("c", group_features, reduced=True))

    def operand_indices(indexer: Indexer, at: Mapping[str, Linear]) -> tuple[Indices, ...]:
        within = at.get("c", ZERO)
        if groups == 1:
            read_feature: Index = within
        elif depthwise and group_features == 1:
            read_feature = at[feature]
        elif in_panels and not depthwise and isinstance(group_features, int) and isinstance(outputs, int):
            read_feature = indexer.in_group(at[feature], outputs // groups, group_features, within)
        elif depthwise:
            read_feature = indexer.add(indexer.multiply(at[feature], group_features), within)
        else:
            group, _ = indexer.divide(at[feature], outputs // groups)
            read_feature = indexer.add(indexer.multiply(group, group_features), within)
        source_at: dict[int, Index] = {input_batch: at["n"], input_feature: read_feature}
        kernel_at: dict[int, Index] = {kernel_input: within, kernel_output: at[feature]}
        for number, name in enumerate(spatial):
            tap = at[f"k{name}"]
            source_at[input_spatial[number]] = at[name].times(strides[number]).plus(tap.times(dilations[number]))
            kernel_at[kernel_spatial[number]] = tap
        return (
            tuple(source_at[axis] for axis in range(len(source))),
            tuple(kernel_at[axis] for axis in range(len(kernel))),
        )

    contiguous = (
        kernel_output == last if output_names[last] == feature else last in output_spatial and input_spatial[-1] == last
    )
    return Space(loop_order(parallel, reduced, last_is_contiguous=contiguous), names, operand_indices)


def reduce_window_space(function: FunctionScope, op: Operation) -> Space:
    """Positions i0, i1, … and taps r0, r1, … of windows longer than 1. Padding is done before (`normalize`)."""
    result = function.shape(op.results[0])
    windows, strides, dilations = (
        integers(op, name) for name in ("window_dimensions", "window_strides", "window_dilations")
    )
    parallel = [Axis(f"i{axis}", size) for axis, size in enumerate(result)]
    reduced = [Axis(f"r{axis}", window, reduced=True) for axis, window in enumerate(windows) if window > 1]

    def operand_indices(indexer: Indexer, at: Mapping[str, Linear]) -> tuple[Indices, ...]:
        return (
            tuple(
                at[f"i{axis}"].times(stride).plus(at.get(f"r{axis}", ZERO).times(dilation))
                for axis, (stride, dilation) in enumerate(zip(strides, dilations, strict=True))
            ),
        )

    axes = loop_order(parallel, reduced, last_is_contiguous=True)
    return Space(axes, tuple(axis.name for axis in parallel), operand_indices)


SPACES: Mapping[str, Callable[[FunctionScope, Operation], Space]] = {
    "graph.dot_general": dot_general_space,
    "graph.convolution": convolution_space,
    "graph.reduce_window": reduce_window_space,
}
"""The ops that read their operands through indexing maps only."""
