"""Logit soft-capping, cap · tanh(x / cap), as a plugin: op, reference, lowering and ONNX operator."""

from collections.abc import Sequence

import numpy as np
from xdsl.dialects import math
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import ParsePropInAttrDict, irdl_op_definition, prop_def

from lamina.dialects.graph.elementwise_base import FloatUnaryOp
from lamina.dialects.loop import arith
from lamina.lowering.graph_to_linalg.elementwise import Scope, elementwise_rule
from lamina.plugins import Plugin


@irdl_op_definition
class SoftcapOp(FloatUnaryOp):
    """cap · tanh(x / cap): x, held softly within ±cap. Floats of any shape; the result has the operand's type."""

    name = "softcap.softcap"
    cap = prop_def(FloatAttr)
    irdl_options = (ParsePropInAttrDict(),)

    def compute(self, operand: np.ndarray) -> np.ndarray:
        return self.cap.value.data * np.tanh(operand / self.cap.value.data)


def lower(scope: Scope, op: SoftcapOp, operands: Sequence[SSAValue]) -> SSAValue:
    cap = scope.constant(op.cap.value.data, operands[0].type)
    ratio = scope.emit(arith.DivfOp, (operands[0], cap), cap.type)
    return scope.emit(arith.MulfOp, (cap, scope.emit(math.TanhOp, (ratio,), cap.type)), cap.type)


PLUGIN = Plugin(
    "softcap",
    dialects={"softcap": lambda: Dialect("softcap", [SoftcapOp])},
    onnx={("example.softcap", "Softcap"): lambda n, b: b.create(SoftcapOp, (n.operand(0),), cap=n.floating("cap"))},
    scalar_rules={SoftcapOp.name: elementwise_rule(lower)},
)
