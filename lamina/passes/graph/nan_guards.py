"""Guards against the NaN of rows that a mask hides as a whole: which of them nothing can need."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from lamina.dialects.graph.canonicalization.support import splat
from lamina.dialects.graph.composite import SoftmaxOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.elementwise import AddOp, DivideOp, IsNanOp, MultiplyOp, SelectOp
from lamina.passes.graph.matching import MAX_DEPTH, rank, scalar, scalar_factor
from lamina.resources import ResourceStore


def needlessly_guarded(op: SelectOp, resources: ResourceStore) -> SSAValue | None:
    """y of select(is_nan(y), 0, y), y a softmax of scores that no mask hides a row of."""
    predicate, y = op.pred.owner, op.on_false
    if not isinstance(predicate, IsNanOp) or predicate.operand is not y or scalar(op.on_true) != 0:
        return None
    return y if isinstance(y.owner, SoftmaxOp) and _leaves_something(y.owner, resources) else None


def _leaves_something(op: SoftmaxOp, resources: ResourceStore) -> bool:
    """Whether the scores are a product with factors, and one mask at most, which leaves something of each row.

    After a mask, factors of more than 1 and another mask may make -inf of finite numbers.
    """
    axis = op.dimension.value.data - rank(op.operand)
    value, may_be_masked = op.operand, True
    for _ in range(MAX_DEPTH):
        owner = value.owner
        match owner:
            case DotGeneralOp():
                return True
            case MultiplyOp() | DivideOp() if (factor := scalar_factor(owner)) is not None:
                value, by = factor
                may_be_masked = may_be_masked and 0 < by <= 1
            case AddOp() if may_be_masked:
                sides = ((owner.lhs, owner.rhs), (owner.rhs, owner.lhs))
                inner = next((x for x, mask in sides if _keeps_every_row(mask, axis, resources)), None)
                if inner is None:
                    return False
                value, may_be_masked = inner, False
            case _:
                return False
    return False


def _keeps_every_row(mask: SSAValue, axis: int, resources: ResourceStore) -> bool:
    """Whether a mask has a finite number in each row; `axis`, counted from the last, is what a softmax runs along."""
    owner = mask.owner
    if isinstance(owner, SelectOp):
        return all(number is not None and np.isfinite(number) for number in map(splat, (owner.on_true, owner.on_false)))
    if not isinstance(owner, ConstantOp):
        return False
    array = owner.array(resources).astype(np.float64)
    if array.ndim + axis < 0:
        return bool(np.isfinite(array).all())
    return bool(array.size and np.isfinite(array.max(axis)).all())
