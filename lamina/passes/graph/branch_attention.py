"""`branch-attention`: attention whose number of queries is symbolic has a second form for one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, i1
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.context import resources_of
from lamina.dialects.graph.attention import KEY, QUERY, VALUE, AttentionOp
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.dims import Dim
from lamina.passes.base import LaminaPass
from lamina.passes.graph.decompose import decompose_op
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.passes.registers import is_for_cpu
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class BranchAttentionPass(LaminaPass):
    """Ask at run time whether an attention with a symbolic number of queries has one, as in each step of decoding.

    ```mlir
    %y = graph.attention %q, %k, %v scale = 0.125 : tensor<?x12x?x64xf32>, …
    ```
    →
    ```mlir
    %one = graph.compare EQ %queries, %c1
    %y = graph.if %one -> (tensor<?x12x?x64xf32>) {
      … products and a softmax, of query rows tensor<?x12x1x64xf32>
    } else {
      graph.attention %q, %k, %v scale = 0.125 …
    }
    ```

    The kernel of attention has vectors of queries: with one of them it does the work of 32 (3 to 5 times slower, on
    AVX-512). Attention with a known number of queries is left as `recognize-attention` chose, and so is all on GPUs,
    inside control flow, and where a symbolic size of the result is in neither query nor value. Run after `move-views`,
    which takes no view into a branch.
    """

    name = "branch-attention"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"attention-branched"})
    counters: ClassVar[Mapping[str, str]] = {"branches": "attentions with a form for one query"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if not is_for_cpu(op):
            return
        resources = resources_of(ctx)
        for function in graph_functions(op):
            found = [inner for inner in function.body.block.ops if isinstance(inner, AttentionOp)]
            if not found:
                continue
            analysis = ShapeAnalysis(function)
            branches = [one for attention in found if (one := _branch(attention, analysis, resources)) is not None]
            analysis = ShapeAnalysis(function)
            for one in branches:
                decompose_op(one, analysis, resources)
            self.count("branches", len(branches))


def _branch(op: AttentionOp, analysis: ShapeAnalysis, resources: ResourceStore) -> AttentionOp | None:
    """Replace one attention; gives the one of a single query, which is to be decomposed, None where it stays."""
    shapes = [analysis.shape(operand) for operand in op.operands[:3]]
    rank = len(shapes[QUERY])
    token = rank - 3 if op.has_tokens_first(QUERY) else rank - 2
    if isinstance(op.sizes(shapes).queries, int) or isinstance(shapes[QUERY][token], int):
        return None
    places = {size: (which, axis) for which in (VALUE, QUERY) for axis, size in enumerate(shapes[which])}
    wanted = analysis.shape(op.result)
    mask = analysis.shape(op.mask) if op.mask is not None else ()
    if len(mask) >= 2 and isinstance(mask[-2], int) and mask[-2] != 1:
        return None  # so many queries there always are
    symbolic = [size for size in wanted if not isinstance(size, int)]
    if any(size not in places for size in symbolic):
        return None
    builder = GraphBuilder(InsertPoint.before(op), resources, op.location)
    for operand in op.operands:
        known = analysis.of(operand)
        builder.declare(operand, AbstractTensor(known.shape, known.element_type, known.elements))

    sizes: dict[Dim, SSAValue] = {}
    for size in symbolic:
        which, axis = places[size]
        sizes[size] = builder.dimension(op.operands[which], axis)
    shape = builder.sizes(wanted, sizes)

    def attention(query: SSAValue, mask: SSAValue | None) -> SSAValue:
        return builder.attention(
            query,
            op.operands[KEY],
            op.operands[VALUE],
            mask,
            scale=op.scale.value.data,
            causal=None if op.causal is None else op.causal.data,
            tokens_first=op.tokens_first.get_values(),
        )

    alone: list[AttentionOp] = []

    def one() -> list[SSAValue]:
        mask = op.mask
        if mask is not None and builder.rank(mask) >= 2:
            mask = _one_row(builder, mask, builder.rank(mask) - 2)
        found = attention(_one_row(builder, op.query, token), mask)
        assert isinstance(found.owner, AttentionOp)
        alone.append(found.owner)
        # Not a reshape: of that the size 1 would be found out, and the regions must agree on the sizes.
        return [builder.dynamic_broadcast(found, shape)]

    queries = builder.dimension(op.query, token)
    (result,) = builder.if_(builder.compare("EQ", queries, 1), one, lambda: [attention(op.query, op.mask)])
    # A size that the regions do not agree on has no name any more.
    named = builder.dynamic_reshape(result, shape)
    named.name_hint = op.result.name_hint
    if named.type != op.result.type:
        named = Rewriter.replace_value_with_new_type(named, op.result.type)
    op.result.replace_all_uses_with(named)
    Rewriter.erase_op(op)
    return alone[0]


def _one_row(builder: GraphBuilder, value: SSAValue, axis: int) -> SSAValue:
    """A value whose symbolic axis is known to have one position, with a static size there.

    By its largest position: a reshape to a size of 1 would make the batch the product of both sizes.
    """
    if isinstance(builder.shape(value)[axis], int):
        return value
    kind = "or" if builder.element_type(value) == i1 else "maximum"
    return builder.reduce(kind, value, (axis,), keep_dimensions=True)
