"""Operators that write elements by index, all of them `graph.scatter`, and those that sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.indexing import wrapped
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode

KINDS: Mapping[str, str] = {
    "none": "assign",
    "add": "add",
    "mul": "multiply",
    "max": "maximum",
    "min": "minimum",
}
"""The kind of scatter for each reduction of ONNX."""


def _kind(node: Node) -> str:
    reduction = node.string("reduction", "none")
    if reduction not in KINDS:
        raise LaminaError(f"{node.op_type}: unknown reduction '{reduction}'")
    return KINDS[reduction]


def _index_vectors(build: OnnxBuilder, indices: SSAValue, axis: int) -> SSAValue:
    """For each entry of the indices the place that it means: its own position, but for the entry itself on an axis."""
    sizes = build.sizes_of(indices)
    rank = len(sizes)
    parts = [indices if other == axis else build.positions(sizes, other) for other in range(rank)]
    return build.concatenate([build.reshape_to(part, [*sizes, 1]) for part in parts], rank)


def scatter_elements(node: Node, build: OnnxBuilder) -> SSAValue:
    """result[i, index[i, j, …], …] = updates[i, j, …]: all axes but one are batch axes where they are as long."""
    data, indices, updates = (node.operand(index) for index in range(3))
    rank = build.rank(data)
    axis = build.axis(data, node.integer("axis", 0))
    if build.rank(indices) != rank or build.rank(updates) != rank:
        raise LaminaError(
            f"{node.op_type}: expected indices and updates with {rank} axes as the data, "
            f"found {build.rank(indices)} and {build.rank(updates)}"
        )
    positions = wrapped(build, indices, build.size(data, axis))
    batch = [other for other in range(rank) if other != axis]
    if all(build.shape(data)[other] == build.shape(indices)[other] for other in batch):
        return build.scatter(
            _kind(node),
            data,
            positions,
            updates,
            inserted_window_dims=[axis],
            scatter_dims_to_operand_dims=[axis],
            index_vector_dim=rank,
            input_batching_dims=batch,
            scatter_indices_batching_dims=batch,
        )
    return build.scatter(
        _kind(node),
        data,
        _index_vectors(build, positions, axis),
        updates,
        inserted_window_dims=range(rank),
        scatter_dims_to_operand_dims=range(rank),
        index_vector_dim=rank,
    )


def scatter_nd(node: Node, build: OnnxBuilder) -> SSAValue:
    """Slices written at index vectors (the last axis of the indices)."""
    data, indices, updates = (node.operand(index) for index in range(3))
    rank, index_rank = build.rank(data), build.rank(indices)
    depth = build.shape(indices)[-1] if index_rank else 0
    if not isinstance(depth, int):
        raise UnsupportedNode("the length of the index vectors must be known")
    if not 1 <= depth <= rank:
        raise LaminaError(f"ScatterND: index vectors of length {depth} do not fit {rank} axes")
    sizes = build.vector([build.size(data, axis) for axis in range(depth)])
    indices = build.cast(indices, i64)
    positions = build.select(build.compare("LT", indices, 0), build.add(indices, sizes), indices)
    return build.scatter(
        _kind(node),
        data,
        positions,
        updates,
        update_window_dims=range(index_rank - 1, index_rank - 1 + rank - depth),
        inserted_window_dims=range(depth),
        scatter_dims_to_operand_dims=range(depth),
        index_vector_dim=index_rank - 1,
    )


def tensor_scatter(node: Node, build: OnnxBuilder) -> SSAValue:
    """Updates written into a cache, for each entry of the batch from a position on, which may wrap around."""
    cache, update, starts = node.operand(0), node.operand(1), node.optional(2)
    rank = build.rank(cache)
    axis = build.axis(cache, node.integer("axis"))
    mode = node.string("mode", "linear")
    if axis == 0:
        raise LaminaError("TensorScatter: the axis cannot be the batch's")
    if mode not in ("linear", "circular"):
        raise LaminaError(f"TensorScatter: unknown mode '{mode}'")
    sizes = [build.size(update, 0), build.size(update, axis)]
    places = build.positions(sizes, 1)
    if starts is not None:
        places = build.add(places, build.reshape_to(build.cast(starts, i64), [sizes[0], 1]))
    if mode == "circular":
        places = build.remainder(places, build.value(build.size(cache, axis), i64))
    return build.scatter(
        "assign",
        cache,
        places,
        update,
        update_window_dims=[other for other in range(rank) if other not in (0, axis)],
        inserted_window_dims=[axis],
        scatter_dims_to_operand_dims=[axis],
        index_vector_dim=2,
        input_batching_dims=[0],
        scatter_indices_batching_dims=[0],
    )


def top_k(node: Node, build: OnnxBuilder) -> Sequence[SSAValue]:
    """The k largest or smallest along an axis, in order, and their positions."""
    value = node.operand(0)
    axis = build.axis(value, node.integer("axis", -1))
    if node.has("k"):
        count = node.integer("k")
    else:
        found = build.require_integers(node.operand(1), "k")
        if len(found) != 1:
            raise LaminaError(f"TopK: expected one k, found {len(found)}")
        (count,) = found
    if count < 0:
        raise LaminaError(f"TopK: expected k of at least 0, found {count}")
    return build.top_k(value, count, axis, node.integer("largest", 1) != 0)


SCATTER: Mapping[str, Versions] = {
    "Scatter": {9: scatter_elements},
    "ScatterElements": {11: scatter_elements},
    "ScatterND": {11: scatter_nd},
    "TensorScatter": {24: tensor_scatter},
    "TopK": {1: top_k},
}
