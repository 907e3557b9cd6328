"""The optimization barrier: values that are taken for new ones."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import LocationAttr
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, traits_def, var_operand_def, var_result_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, GraphOp, InferenceError
from lamina.dialects.graph.construction import construct
from lamina.dialects.graph.properties import TENSOR


@irdl_op_definition
class OptimizationBarrierOp(GraphOp, HasCanonicalizationPatternsInterface):
    """The operands, which no pass takes for the same values: what is computed from them is computed after all of them
    are there, and is not merged with what is computed from the operands themselves.

    Operands: one or more tensors of any types. Results: one for each operand, of its type.

    Recomputation in a backward pass starts at a barrier. `remove-barriers` removes them when the kernels are formed.

    StableHLO optimization_barrier; ONNX has no counterpart.
    """

    name = "graph.optimization_barrier"
    inputs = var_operand_def(TENSOR)
    outputs = var_result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$inputs attr-dict `:` type($inputs) `->` type($outputs)"

    def __init__(self, inputs: Sequence[SSAValue | Operation], location: LocationAttr | None = None):
        construct(self, inputs, {}, result_count=len(inputs), location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        if not operands:
            raise InferenceError(f"{self.name}: expected at least one operand")
        return tuple(operands)

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        return operands

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.barrier import PATTERNS

        return PATTERNS


BARRIER_OPS: tuple[type[GraphOp], ...] = (OptimizationBarrierOp,)
