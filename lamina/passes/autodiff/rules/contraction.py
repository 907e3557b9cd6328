"""Derivatives of contractions: linear in each operand, and each transpose is a contraction again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import SSAValue

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule, bilinear

Builder = DerivativeBuilder


def _dot_general_vjp(b: Builder, op: DotGeneralOp, t: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
    return (
        _towards(b, op, t, left=True) if needed[0] else None,
        _towards(b, op, t, left=False) if needed[1] else None,
    )


def _towards(b: Builder, op: DotGeneralOp, t: SSAValue, *, left: bool) -> SSAValue:
    """The cotangent of one operand: that of the result contracted with the other over the other's free axes.

    The operand's axes come out as batch, its free ones, its contracted ones in the order of the other's (of a right
    operand the contracted ones before the free ones), and are put back in place.
    """
    mine, other = (op.lhs_axes, op.rhs_axes) if left else (op.rhs_axes, op.lhs_axes)
    operand, factor = (op.lhs, op.rhs) if left else (op.rhs, op.lhs)
    (batch, free, contracted), (other_batch, other_free, other_contracted) = mine, other
    count, left_count = len(batch), len(op.lhs_axes[1])
    first = count + left_count if left else count
    others = range(first, first + len(other_free))
    element_type = b.element_type(operand)
    into = None if element_type == b.element_type(t) else element_type
    # A product of two types has none: the narrow factor becomes as wide as the cotangent, which loses nothing.
    factor = b.cast(factor, b.element_type(t))
    partners = sorted(range(len(contracted)), key=lambda index: other_contracted[index])
    summed = [contracted[index] for index in partners]
    if left:
        product = b.dot_general(t, factor, list(others), other_free, range(count), other_batch, into)
        axes = [*batch, *free, *summed]
    else:
        product = b.dot_general(factor, t, other_free, list(others), other_batch, range(count), into)
        axes = [*batch, *summed, *free]
    order = sorted(range(len(axes)), key=lambda position: axes[position])
    return product if order == list(range(len(axes))) else b.transpose(product, order)


RULES: Mapping[type[GraphOp], Rule] = {DotGeneralOp: bilinear(_dot_general_vjp)}
