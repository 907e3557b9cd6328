"""`recognize-attention`: products around a softmax become one op, and what no kernel suits becomes primitives again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.context import resources_of
from lamina.dialects.graph.attention import AttentionOp
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.canonicalization.support import splat
from lamina.dialects.graph.composite import SoftmaxOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.data_movement import BroadcastOp, ReshapeOp, TransposeOp
from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.graph.dynamic_data_movement import DynamicBroadcastOp, DynamicReshapeOp
from lamina.dialects.graph.elementwise import AddOp, AndOp, DivideOp, MultiplyOp, SelectOp
from lamina.dialects.hardware.gpu_target import is_for_gpu
from lamina.passes.base import LaminaPass
from lamina.passes.graph.attention_masks import causal_kind, narrowed
from lamina.passes.graph.decompose import decompose_op
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.matching import element_type, scalar_factor, sole_user
from lamina.passes.graph.rewriting import take_over
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.resources import ResourceStore

CPU_TYPES = (Float32Type,)
GPU_TYPES = (Float32Type, Float16Type, BFloat16Type)
"""Element types that the kernels of a target take."""

FEW_QUERIES = 8
"""With fewer queries, vectors of queries would be mostly empty: separate kernels run along the keys instead."""


@dataclass(frozen=True)
class RecognizeAttentionPass(LaminaPass):
    """Put `graph.attention` in place of a product of queries and keys, a softmax, and a product with values.

    ```mlir
    %t = graph.transpose %q, [0, 2, 1, 3]                                    %r = graph.attention %q, %k, %v mask = %m
    %s = graph.dot_general %t, %k, batch = [0, 1] x [0, 2], contract = …       scale = 0.125 tokens_first = [0, 1, 2]
    %x = graph.multiply %s, 0.125                                      →
    %y = graph.add %x, %m
    %p = graph.softmax %y, 3
    %r = graph.dot_general %p, %v, batch = [0, 1] x [0, 2], contract = …
    ```

    Scales may stand on the queries, the keys or the scores; masks are added, or select between the scores and -inf;
    transposes are read through, and so are keys and values that are repeated for a group of heads. Scores or weights
    that anything else uses are left alone, a guard against NaN that `recognize-composites` keeps among them.

    An attention that the kernel does not suit (other than f32, on GPUs f16 and bf16 too; few queries) is decomposed.
    """

    name = "recognize-attention"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"attention-recognized"})
    counters: ClassVar[Mapping[str, str]] = {"recognized": "attentions that took the place of primitives"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            self.count("recognized", recognize(function, resources))


def recognize(function: func.FuncOp, resources: ResourceStore) -> int:
    """Recognize the attentions of one function and decompose those without a kernel; gives how many were found."""
    found = 0
    analysis = ShapeAnalysis(function)
    types = GPU_TYPES if is_for_gpu(function) else CPU_TYPES
    for op in [op for op in function.walk() if isinstance(op, SoftmaxOp)]:
        match = _Matcher(analysis).match(op)
        if match is not None and has_kernel(match, analysis, types) and _replace(match, analysis, resources):
            found += 1
    region_dce(function.body)
    analysis = ShapeAnalysis(function)
    for op in [op for op in function.walk() if isinstance(op, AttentionOp)]:
        shapes = [analysis.shape(operand) for operand in op.operands[:3]]
        sizes = op.sizes(shapes)
        numbers = (sizes.heads, sizes.key_heads, *shapes[0], *shapes[2])
        if not isinstance(element_type(op.query), types) or not _suits(sizes.queries, numbers):
            decompose_op(op, analysis, resources)
    return found


@dataclass(frozen=True)
class Operand:
    """An operand of an attention: `value` with its axes in the order `axes` is [b…, heads, tokens, features]."""

    value: SSAValue
    axes: tuple[int, ...]
    scale: float = 1.0
    is_ungrouped: bool = False
    """Whether it has one head for a group of the query's."""

    @property
    def is_tokens_first(self) -> bool:
        """Whether only heads and tokens are exchanged."""
        return self.axes == _tokens_first(len(self.axes))

    @property
    def is_plain(self) -> bool:
        """Whether the op can read it as it is."""
        return self.is_tokens_first or self.axes == tuple(range(len(self.axes)))


def _tokens_first(rank: int) -> tuple[int, ...]:
    return (*range(rank - 3), rank - 2, rank - 3, rank - 1)


@dataclass(frozen=True)
class Match:
    """What an attention consists of; `last` gives its value, with tokens before heads where `turned`."""

    last: Operation
    query: Operand
    key: Operand
    value: Operand
    mask: SSAValue | None
    scale: float
    turned: bool


@dataclass
class _Scores:
    """What is found between the softmax and the product of queries and keys."""

    product: DotGeneralOp
    mask: SSAValue | None = None
    scale: float = 1.0


@dataclass
class _Matcher:
    analysis: ShapeAnalysis
    _depth: int = field(default=16)

    def match(self, softmax: SoftmaxOp) -> Match | None:
        """The attention around a softmax."""
        rank = len(self.analysis.shape(softmax.operand))
        if softmax.dimension.value.data != rank - 1 or rank < 3:
            return None
        scores = self._scores(softmax.operand)
        weights = softmax.result
        if scores is None:
            return None
        mixture = sole_user(weights)
        if not isinstance(mixture, DotGeneralOp) or mixture.lhs is not weights or mixture.rhs is weights:
            return None
        batch = tuple(range(rank - 2))
        if mixture.lhs_axes != (batch, (rank - 2,), (rank - 1,)):
            return None
        value_batch, value_free, value_contracted = mixture.rhs_axes
        query_batch, query_free, query_contracted = scores.product.lhs_axes
        key_batch, key_free, key_contracted = scores.product.rhs_axes
        if {len(each) for each in (value_free, query_free, query_contracted, key_free, key_contracted)} != {1}:
            return None
        if len(query_batch) != rank - 2:
            return None
        query = self._operand(scores.product.lhs, (*query_batch, *query_free, *query_contracted))
        key = self._operand(scores.product.rhs, (*key_batch, *key_free, *key_contracted))
        value = self._operand(mixture.rhs, (*value_batch, *value_contracted, *value_free))
        whole = [self._unrepeated(operand) for operand in (key, value)]
        if whole[0] is not None and whole[1] is not None:
            key, value = whole[0], whole[1]
        elif key.is_ungrouped or value.is_ungrouped:
            return None
        if value.scale != 1.0:
            return None
        scale = scores.scale * query.scale * key.scale
        last: Operation = mixture
        user = sole_user(mixture.result)
        turned = isinstance(user, TransposeOp) and user.permutation.get_values() == _tokens_first(rank)
        if turned and user is not None:
            last = user
        return Match(last, query, key, value, scores.mask, scale, turned)

    def _scores(self, value: SSAValue) -> _Scores | None:
        """Back from the operand of a softmax to the product; every value on the way has one user."""
        found: _Scores | None = None
        mask: SSAValue | None = None
        scale = 1.0
        for _ in range(self._depth):
            owner = value.owner
            if not isinstance(owner, Operation) or sole_user(value) is None:
                return None
            match owner:
                case DotGeneralOp():
                    found = _Scores(owner, mask, scale)
                    break
                case MultiplyOp() | DivideOp() if (factor := scalar_factor(owner)) is not None:
                    value, by = factor
                    scale *= by
                case AddOp():
                    side = next((side for side in (0, 1) if self._leads_to_product(owner.operands[side])), None)
                    if side is None or not self._fills(owner.operands[side], value):
                        return None
                    other = owner.operands[1 - side]
                    if splat(other) != 0.0:
                        # A factor between mask and softmax would scale the mask as well.
                        if mask is not None or scale != 1:
                            return None
                        mask = other
                    value = owner.operands[side]
                case SelectOp() if mask is None and scale == 1 and splat(owner.on_false) == -np.inf:
                    if not self._fills(owner.on_true, value):
                        return None
                    mask, value = owner.pred, owner.on_true
                case _:
                    return None
        return found

    def _fills(self, part: SSAValue, whole: SSAValue) -> bool:
        """Whether an operand is not stretched to the shape of a result; sizes with names never are."""
        sizes, wanted = self.analysis.shape(part), self.analysis.shape(whole)
        if len(sizes) != len(wanted):
            return False
        return all(size == other or (size != 1 and other != 1) for size, other in zip(sizes, wanted, strict=True))

    def _leads_to_product(self, value: SSAValue) -> bool:
        """Whether a value is a product, perhaps scaled or masked."""
        for _ in range(self._depth):
            owner = value.owner
            match owner:
                case DotGeneralOp():
                    return len(owner.lhs_axes[0]) >= 1
                case MultiplyOp() | DivideOp() if (factor := scalar_factor(owner)) is not None:
                    value = factor[0]
                case AddOp():
                    return any(self._leads_to_product(operand) for operand in owner.operands)
                case SelectOp():
                    value = owner.on_true
                case _:
                    return False
        return False

    # Operands

    def _operand(self, value: SSAValue, axes: Sequence[int]) -> Operand:
        """An operand behind transposes and factors."""
        operand = Operand(value, tuple(axes))
        for _ in range(self._depth):
            inner = self._step(operand)
            if inner is None:
                break
            operand = inner
        return operand

    def _step(self, operand: Operand) -> Operand | None:
        owner = operand.value.owner
        match owner:
            case TransposeOp():
                permutation = owner.permutation.get_values()
                return replace(operand, value=owner.operand, axes=tuple(permutation[axis] for axis in operand.axes))
            case MultiplyOp() | DivideOp() if (factor := scalar_factor(owner)) is not None:
                value, by = factor
                if self.analysis.shape(value) != self.analysis.shape(operand.value):
                    return None
                return replace(operand, value=value, scale=operand.scale * by)
            case ReshapeOp() | DynamicReshapeOp():
                return self._through_merged(operand, owner)
            case _:
                return None

    def _through_merged(self, operand: Operand, outer: Operation) -> Operand | None:
        """[b, h, s, d] merged to [b·h, s, d], turned, and split to [b, h, d, s] again."""
        turned = outer.operands[0].owner
        if not isinstance(turned, TransposeOp) or turned.permutation.get_values() != (0, 2, 1):
            return None
        merge = turned.operand.owner
        if not isinstance(merge, ReshapeOp | DynamicReshapeOp):
            return None
        shape, source = self.analysis.shape(outer.results[0]), self.analysis.shape(merge.operands[0])
        if len(shape) != 4 or self.analysis.shape(merge.results[0]) != _merged(shape):
            return None
        exchanged = (0, 1, 3, 2)
        wanted = tuple(shape[axis] for axis in exchanged)
        axes = tuple(exchanged[axis] for axis in operand.axes)
        if source == wanted:
            return replace(operand, value=merge.operands[0], axes=axes)
        # Repeated for a group of heads, and merged at once.
        before = self._before_repeat(merge.operands[0], wanted, 1)
        return None if before is None else replace(operand, value=before, axes=axes, is_ungrouped=True)

    def _unrepeated(self, operand: Operand) -> Operand | None:
        """An operand as it was before it was repeated for every head of a group."""
        if operand.is_ungrouped:
            return operand
        merge = operand.value.owner
        if not isinstance(merge, ReshapeOp | DynamicReshapeOp):
            return None
        before = self._before_repeat(merge.operands[0], self.analysis.shape(operand.value), operand.axes[-3])
        if before is None:
            return None
        found = self._operand(before, operand.axes)
        return replace(found, scale=found.scale * operand.scale, is_ungrouped=True)

    def _before_repeat(self, repeated: SSAValue, merged: Shape, head: int) -> SSAValue | None:
        """What was split, repeated, and is then merged to a shape whose axis `head` is the heads."""
        repeat = repeated.owner
        if not isinstance(repeat, BroadcastOp | DynamicBroadcastOp):
            return None
        split = repeat.operands[0].owner
        if not isinstance(split, ReshapeOp | DynamicReshapeOp):
            return None
        source = split.operands[0]
        shape = self.analysis.shape
        fits = _repeats(shape(source), shape(repeat.operands[0]), shape(repeated), merged, head)
        return source if fits else None


def _merged(turned: Shape) -> Shape:
    """[b·h, s, d] of [b, h, d, s]."""
    batch, heads, features, tokens = turned
    return (batch * heads, tokens, features)


def _repeats(before: Shape, single: Shape, repeated: Shape, merged: Shape, head: int) -> bool:
    """[…, k, …] → […, k, 1, …] → […, k, g, …] → […, k · g, …] at axis `head`."""
    if len(before) != len(merged) or len(single) != len(before) + 1 or len(repeated) != len(single):
        return False
    heads, group = before[head], repeated[head + 1]
    if not isinstance(heads, int) or not isinstance(group, int):
        return False
    return (
        single == (*before[: head + 1], 1, *before[head + 1 :])
        and repeated == (*before[: head + 1], group, *before[head + 1 :])
        and merged == (*before[:head], heads * group, *before[head + 1 :])
    )


# ---- building


def has_kernel(match: Match, analysis: ShapeAnalysis, types: tuple[type[Attribute], ...]) -> bool:
    """Whether the kernel suits what a match consists of."""
    query, value = (
        tuple(analysis.shape(operand.value)[axis] for axis in operand.axes) for operand in (match.query, match.value)
    )
    if not isinstance(element_type(match.query.value), types):
        return False
    return _suits(query[-2], (query[-3], value[-3], *query, *value))


def _suits(queries: Dim, sizes: Sequence[Dim]) -> bool:
    """Enough queries, known features and heads, and nothing empty."""
    if isinstance(queries, int) and queries < FEW_QUERIES:
        return False
    heads, key_heads = sizes[:2]
    known = (isinstance(heads, int) and isinstance(key_heads, int)) or heads == key_heads
    return known and 0 not in sizes


def _replace(match: Match, analysis: ShapeAnalysis, resources: ResourceStore) -> bool:
    last = match.last
    before = last.prev_op
    builder = GraphBuilder(InsertPoint.before(last), resources, last.location)
    mask, causal = match.mask, None
    if mask is not None:
        sides = (match.query, match.key)
        queries, keys = (analysis.shape(operand.value)[operand.axes[-2]] for operand in sides)
        causal = causal_kind(mask, queries, keys, resources)
        mask = None if causal else mask
    operands = [match.query, match.key, match.value]
    for value in (*(operand.value for operand in operands), *_leaves(mask)):
        known = analysis.of(value)
        builder.declare(value, AbstractTensor(known.shape, known.element_type, known.elements))
    values: list[SSAValue] = []
    tokens_first: list[int] = [3] if match.turned else []
    for number, operand in enumerate(operands):
        if operand.is_plain:
            values.append(operand.value)
            tokens_first += [number] if operand.is_tokens_first else []
        else:
            values.append(builder.transpose(operand.value, operand.axes))
    if mask is not None:
        mask = narrowed(builder, mask)
    query, key, value = values
    result: SSAValue = builder.attention(
        query, key, value, mask, scale=match.scale, causal=causal, tokens_first=sorted(tokens_first)
    )
    return take_over(last, result, before)


def _leaves(mask: SSAValue | None) -> list[SSAValue]:
    """A mask and what it is made of: all that may become an operand."""
    if mask is None:
        return []
    found = [mask]
    for value in found:
        if isinstance(value.owner, SelectOp | AndOp):
            found += value.owner.operands
    return found
