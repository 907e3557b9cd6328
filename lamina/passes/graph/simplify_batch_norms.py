"""`simplify-batch-norms`: two ops per element instead of four."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.context import resources_of
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.composite import BatchNormOp
from lamina.passes.base import LaminaPass
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class SimplifyBatchNormsPass(LaminaPass):
    """Write batch normalization as one multiplication and one addition.

    ```mlir
    %y = graph.batch_norm %x, %scale, %bias, %mean, %variance, …      →      %f = scale · rsqrt(variance + epsilon)
                                                                             %s = bias - mean · f
                                                                             %y = x · f + s
    ```

    The factor and the shift are of one number per feature; `fold-constants` computes them when the statistics are
    constants.
    """

    name = "simplify-batch-norms"
    ensures: ClassVar[frozenset[str]] = frozenset({"batch-norms-simplified"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for inner in list(op.walk()):
            if isinstance(inner, BatchNormOp):
                _simplify(inner, resources)


def _simplify(op: BatchNormOp, resources: ResourceStore) -> None:
    builder = GraphBuilder(InsertPoint.before(op), resources, op.location)
    x, scale, bias, mean, variance = (builder.widen(operand) for operand in op.operands)
    factor = builder.multiply(scale, builder.rsqrt(builder.add(variance, op.epsilon.value.data)))
    shift = builder.subtract(bias, builder.multiply(mean, factor))
    shape = [-1 if axis == op.dimension.value.data else 1 for axis in range(builder.rank(x))]
    factor, shift = builder.reshape(factor, shape), builder.reshape(shift, shape)
    result = builder.cast(builder.add(builder.multiply(x, factor), shift), builder.element_type(op.operand))
    if result.type != op.result.type:
        result = Rewriter.replace_value_with_new_type(result, op.result.type)
    result.name_hint = op.result.name_hint
    op.result.replace_all_uses_with(result)
    Rewriter.erase_op(op)
