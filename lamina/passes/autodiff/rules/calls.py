"""Derivatives of calls: the callee is differentiated once, and its derivative is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from xdsl.dialects import func
from xdsl.ir import Operation, SSAValue

from lamina.passes.autodiff.builder import Derivative, is_real
from lamina.passes.autodiff.engine import Derivatives, Engine, RegionRule


def _varied(engine: Engine, op: func.CallOp, varied: set[SSAValue]) -> None:
    if any(operand in varied for operand in op.operands):
        varied.update(result for result in op.results if is_real(result))


def _jvp(engine: Engine, op: func.CallOp, tangents: Derivatives) -> None:
    given = [tangents.get(operand) for operand in op.operands]
    if all(tangent is None for tangent in given) or not any(is_real(result) for result in op.results):
        return
    for result, tangent in zip(op.results, engine.callees.tangents(engine, op, given), strict=True):
        if tangent is not None:
            tangents[result] = tangent


def _vjp(
    engine: Engine, op: func.CallOp, cotangents: Derivatives, results: Sequence[Derivative], varied: Set[SSAValue]
) -> None:
    needed = [operand in varied for operand in op.operands]
    if not any(needed):
        return
    found = engine.callees.cotangents(engine, op, results, needed)
    for operand, part in zip(op.operands, found, strict=True):
        engine.accumulate(cotangents, operand, part)


RULES: Mapping[type[Operation], RegionRule] = {
    func.CallOp: RegionRule(_varied, _jvp, _vjp, note="backward runs the callee again"),
}
