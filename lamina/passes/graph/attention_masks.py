"""Masks of attention in the form that costs least: none where `causal` says the same, one row where it is enough."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from lamina.dialects.graph.base import Array
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.canonicalization.support import splat
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.elementwise import AndOp, SelectOp
from lamina.resources import ResourceStore

HIDDEN = -1e30
"""Added to a score, this or less leaves nothing of its weight, beside a score of any use."""


def causal_kind(mask: SSAValue, queries: Dim, keys: Dim, resources: ResourceStore) -> str | None:
    """`start` or `end` where a constant mask hides what `causal` of that kind hides, and nothing else."""
    owner = mask.owner
    if not isinstance(owner, ConstantOp) or not isinstance(queries, int) or not isinstance(keys, int):
        return None
    if owner.type.get_shape()[-2:] != (queries, keys) or queries < 2:
        return None
    allowed = _allowed(owner.array(resources))
    if allowed is None:
        return None
    offsets = {"start": 0, "end": keys - queries} if keys >= queries else {"start": 0}
    for kind, offset in offsets.items():
        if bool((allowed == np.tri(queries, keys, offset, dtype=np.bool_)).all()):
            return kind
    return None


def _allowed(mask: Array) -> Array | None:
    """Where a mask leaves scores as they are; None where it does anything but that and hiding them."""
    if mask.dtype == np.bool_:
        return mask
    values = mask.astype(np.float64)
    untouched = values == 0
    return untouched if bool((untouched | (values <= HIDDEN)).all()) else None


def narrowed(builder: GraphBuilder, mask: SSAValue) -> SSAValue:
    """A mask without axes that an all-true constant alone gives it.

    select(and(true, x), a, b) -> select(x, a, b)
    """
    owner = mask.owner
    if isinstance(owner, SelectOp) and splat(owner.on_true) is not None and splat(owner.on_false) is not None:
        inner = narrowed(builder, owner.pred)
        return mask if inner is owner.pred else builder.select(inner, owner.on_true, owner.on_false)
    if isinstance(owner, AndOp):
        for one, other in (owner.operands, reversed(owner.operands)):
            if splat(one) is True or splat(one) == 1:
                return narrowed(builder, other)
    return mask
