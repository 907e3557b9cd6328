"""The derivative of the optimization barrier: one on the tangents, or on the cotangents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from xdsl.ir import Operation, SSAValue

from lamina.dialects.graph.barrier import OptimizationBarrierOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.engine import Derivatives, Engine, RegionRule


def barrier(b: DerivativeBuilder, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
    """Values behind a barrier."""
    return b.create_with_regions(OptimizationBarrierOp, values, (), len(values)) if values else ()


def _varied(engine: Engine, op: OptimizationBarrierOp, varied: set[SSAValue]) -> None:
    varied.update(result for value, result in zip(op.inputs, op.outputs, strict=True) if value in varied)


def _jvp(engine: Engine, op: OptimizationBarrierOp, tangents: Derivatives) -> None:
    pairs = [(tangents.get(value), result) for value, result in zip(op.inputs, op.outputs, strict=True)]
    given = [tangent for tangent, _ in pairs if tangent is not None]
    moved = iter(barrier(engine.builder, given))
    for tangent, result in pairs:
        if tangent is not None:
            tangents[result] = next(moved)


def _vjp(
    engine: Engine,
    op: OptimizationBarrierOp,
    cotangents: Derivatives,
    results: Sequence[Derivative],
    varied: Set[SSAValue],
) -> None:
    pairs = [
        (value, cotangent)
        for value, cotangent in zip(op.inputs, results, strict=True)
        if cotangent is not None and value in varied
    ]
    moved = barrier(engine.builder, [cotangent for _, cotangent in pairs])
    for (value, _), cotangent in zip(pairs, moved, strict=True):
        engine.accumulate(cotangents, value, cotangent)


RULES: Mapping[type[Operation], RegionRule] = {OptimizationBarrierOp: RegionRule(_varied, _jvp, _vjp)}
