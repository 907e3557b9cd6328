"""Derivatives of packing: each op is the other's transpose (what `pack` adds is dropped again)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import SSAValue

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.packing import PackOp, UnpackOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule, linear


def _pack_vjp(b: DerivativeBuilder, op: PackOp, t: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
    axis = op.dimension.value.data
    size = b.shape(op.operand)[axis]
    if not isinstance(size, int):
        raise b.error(
            f"{op.name}: no derivative along an axis of unknown size; differentiate before layouts are assigned"
        )
    return (b.create("unpack", (t,), dimension=axis, size=size),)


def _unpack_vjp(b: DerivativeBuilder, op: UnpackOp, t: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
    tile = b.shape(op.operand)[-1]
    return (b.create("pack", (t,), dimension=op.dimension.value.data, tile=tile),)


RULES: Mapping[type[GraphOp], Rule] = {PackOp: linear(_pack_vjp), UnpackOp: linear(_unpack_vjp)}
