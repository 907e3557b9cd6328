"""Operators of ONNX Runtime's transformer optimizer (domain com.microsoft): normalization, rotation, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import FIX_DIMS, OnnxBuilder
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode


def skip_rms_normalization(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
    """The root-mean-square norm of the sum of two inputs and a bias; the fourth output is the sum."""
    if node.wants(1) or node.wants(2):
        raise UnsupportedNode("its mean and inverse standard deviation are not built yet")
    total = build.add(node.operand(0), node.operand(1))
    bias = node.optional(3)
    if bias is not None:
        total = build.add(total, bias)
    normal = build.rms_norm(total, node.operand(2), build.rank(total) - 1, node.floating("epsilon", 1e-12))
    return normal, None, None, total


def rotary_embedding(node: Node, build: OnnxBuilder) -> SSAValue:
    """Pairs of features turned by the angles of their position: [b, s, h·d] with `num_heads`, or [b, h, s, d].

    `position_ids`: [b, s], or the position of the first token; the caches have half of the turned features.
    """
    value, positions, cosine, sine = node.operands
    if node.integer("is_packed_batching", 0):
        raise UnsupportedNode("packed batches are not built yet")
    rank, turned = build.rank(value), node.integer("rotary_embedding_dim", 0)
    sizes = build.sizes_of(value)
    if rank == 3:
        heads = node.integer("num_heads", 0) or None
        if turned and heads is None:
            raise LaminaError("RotaryEmbedding: expected num_heads beside rotary_embedding_dim")
        half = build.size(cosine, 1)
        heads = build.combine("divide", sizes[2], build.combine("multiply", half, 2)) if heads is None else heads
        value = build.reshape_to(value, (sizes[0], sizes[1], heads, build.combine("divide", sizes[2], heads)))
        length, head_axis = sizes[1], 2
    else:
        length, head_axis = sizes[2], 1
    if build.rank(positions) == 1:
        steps = build.positions((length,), 0)
        positions = build.reshape_to(build.add(steps, build.cast(positions, i64)), (1, length))
    # [b, s, half] → an axis of 1 for the heads
    angles: list[SSAValue] = []
    for cache in (cosine, sine):
        taken = build.take(cache, positions, 0)
        found = build.sizes_of(taken)
        found.insert(head_axis, 1)
        angles.append(build.reshape_to(taken, found))
    result = _turned(build, value, angles[0], angles[1], turned, interleaved=node.integer("interleaved", 0) != 0)
    return build.reshape_to(result, sizes) if rank == 3 else result


def _turned(
    build: OnnxBuilder, value: SSAValue, cosine: SSAValue, sine: SSAValue, count: int, *, interleaved: bool
) -> SSAValue:
    """The first `count` features (0: all) turned, the others behind them as they are."""
    last = build.rank(value) - 1
    whole = value
    if count:
        value = build.slice_axis(whole, last, 0, count)
    half = build.size(cosine, build.rank(cosine) - 1)
    if not isinstance(half, int):
        raise UnsupportedNode("caches of unknown width are not built yet")
    if interleaved:
        pairs = [*build.sizes_of(value)[:-1], half, 2]
        paired = build.reshape_to(value, pairs)
        first, second = (
            build.reshape_to(build.slice_axis(paired, last + 1, part, part + 1), pairs[:-1]) for part in (0, 1)
        )
    else:
        first, second = build.slice_axis(value, last, 0, half), build.slice_axis(value, last, half, 2 * half)
    real = build.subtract(build.multiply(first, cosine), build.multiply(second, sine))
    imaginary = build.add(build.multiply(first, sine), build.multiply(second, cosine))
    if interleaved:
        columns = [build.reshape_to(part, [*build.sizes_of(part), 1]) for part in (real, imaginary)]
        turned = build.reshape_to(build.concatenate(columns, last + 1), build.sizes_of(value))
    else:
        turned = build.concatenate([real, imaginary], last)
    if not count:
        return turned
    return build.concatenate([turned, build.slice_axis(whole, last, count, 2**63 - 1)], last)


def multi_head_attention(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
    """Query, key and value as [b, s, h·d]; biases, a padding mask of keys, added scores, and keys and values before.

    Keys and values may come with heads first already, [b, h, s, d]. The results are [b, s, h·e] and, where they are
    wanted, all keys and values with heads first.
    """
    heads = node.integer("num_heads")
    query = node.operand(0)
    if build.rank(query) != 3 or any(node.optional(index) is None for index in (1, 2)):
        raise UnsupportedNode("packed queries, keys and values are not built yet")
    if any(node.optional(index) is not None for index in range(8, 10)):
        raise UnsupportedNode("buffers shared by past and present are not built yet")
    given = [query, node.operand(1), node.operand(2)]
    bias = node.optional(3)
    if bias is not None:
        given = _with_biases(build, given, bias)
    query, key, value = (_heads_first(build, tensor, heads) for tensor in given)
    causal = _causal(node, build, query, key)
    for past, index in ((node.optional(6), 1), (node.optional(7), 2)):
        if past is None:
            continue
        if index == 1:
            key = build.concatenate([past, key], 2)
        else:
            value = build.concatenate([past, value], 2)
    scale = node.floating("scale", 0.0) or 1 / sqrt(_features(build, query))
    mask = _mask(node, build, query)
    found = build.attention(query, key, value, mask, scale=scale, causal=causal, tokens_first=(3,))
    result = build.reshape_to(found, (*build.sizes_of(found)[:2], build.product(build.sizes_of(found)[2:])))
    return result, key, value


def _causal(node: Node, build: OnnxBuilder, query: SSAValue, key: SSAValue) -> str | None:
    """How the mask is aligned; `key` is without the past. ONNX Runtime itself means one key for each query."""
    if not node.integer("unidirectional", 0):
        return None
    if build.shape(query)[2] != build.shape(key)[2]:
        raise UnsupportedNode("unidirectional attention needs as many new keys as queries", hints=(FIX_DIMS,))
    return "end"


def _with_biases(build: OnnxBuilder, tensors: Sequence[SSAValue], bias: SSAValue) -> list[SSAValue]:
    """The three parts of one bias vector added to those tensors that have tokens first."""
    sums: list[SSAValue] = []
    start = 0
    for tensor in tensors:
        if build.rank(tensor) != 3:
            raise UnsupportedNode("biases of keys with heads first are not built yet")
        width = build.size(tensor, 2)
        if not isinstance(width, int):
            raise UnsupportedNode("a bias beside an unknown number of features is not built yet")
        sums.append(build.add(tensor, build.slice_axis(bias, 0, start, start + width)))
        start += width
    return sums


def _heads_first(build: OnnxBuilder, tensor: SSAValue, heads: int) -> SSAValue:
    if build.rank(tensor) == 4:
        return tensor
    batch, length, width = build.sizes_of(tensor)
    split = build.reshape_to(tensor, (batch, length, heads, build.combine("divide", width, heads)))
    return build.transposed(split, (0, 2, 1, 3))


def _features(build: OnnxBuilder, query: SSAValue) -> int:
    features = build.size(query, 3)
    if not isinstance(features, int) or features < 1:
        raise UnsupportedNode("an unknown number of features is not built yet")
    return features


def _mask(node: Node, build: OnnxBuilder, query: SSAValue) -> SSAValue | None:
    """What is added to the scores: `mask_filter_value` for keys that are padding, and the given scores."""
    padding, scores = node.optional(4), node.optional(5)
    if padding is None:
        return scores
    if build.rank(padding) != 2:
        raise UnsupportedNode("masks of keys other than [batch, keys] are not built yet")
    element_type = build.element_type(query)
    lowest = build.constant(node.floating("mask_filter_value", -10000.0), element_type)
    filtered = build.select(build.compare("NE", padding, 0), build.constant(0.0, element_type), lowest)
    batch, keys = build.sizes_of(filtered)
    filtered = build.reshape_to(filtered, (batch, 1, 1, keys))
    return filtered if scores is None else build.add(filtered, scores)


TRANSFORMERS: Mapping[str, Versions] = {
    "MultiHeadAttention": {1: multi_head_attention},
    "RotaryEmbedding": {1: rotary_embedding},
    "SkipSimplifiedLayerNormalization": {1: skip_rms_normalization},
}
