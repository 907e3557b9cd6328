"""`lower-parallel`: parallel loop nests onto the thread pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import IndexType, IntegerAttr, ModuleOp
from xdsl.ir import Block, Operation

from lamina.dialects.hardware.cpu import ParallelForOp
from lamina.dialects.loop import arith, scf
from lamina.passes.base import LaminaPass
from lamina.passes.loop.emitter import Constants, Emitter, Index, delinearized

GRAIN = "lamina.grain"
"""On `scf.forall`: iterations of the flattened space that one thread takes at a time (1 when left out)."""

INDEX = IndexType()


@dataclass(frozen=True)
class LowerParallelPass(LaminaPass):
    """Outermost `scf.forall` nests become one parallel loop over the flattened iteration space.

    before::

        scf.forall (%i, %j) = (0, 0) to (%m, 96) step (8, 48) {body} {lamina.grain = 2 : i64}

    after::

        %rows = ceildiv(%m, 8)
        %total = %rows * 2
        cpu.parallel_for %flat = %c0 to %total grain 2 {
          %i = (%flat / 2) * 8
          %j = (%flat % 2) * 48
          body
        }

    The last index varies fastest, so one grain works on neighbors. A nest inside a parallel loop stays sequential.
    """

    name = "lower-parallel"
    # The loops come from `tile`; `plan-arena` must still see them, to give every thread buffers of its own.
    requires: ClassVar[frozenset[str]] = frozenset({"tiled", "arena-planned"})
    ensures: ClassVar[frozenset[str]] = frozenset({"parallel-lowered"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                constants = Constants(function.body.block)
                for nest in _outermost_nests(function):
                    _lower(nest, constants)


def _outermost_nests(op: Operation) -> list[scf.ForallOp]:
    found: list[scf.ForallOp] = []
    for region in op.regions:
        for block in region.blocks:
            for nested in block.ops:
                if isinstance(nested, scf.ForallOp):
                    found.append(nested)
                elif not isinstance(nested, ParallelForOp):
                    found += _outermost_nests(nested)
    return found


def _lower(nest: scf.ForallOp, constants: Constants) -> None:
    emitter = Emitter.ahead_of(nest, constants)
    axes = list(zip(nest.lower_bounds, nest.upper_bounds, nest.steps, strict=True))
    counts = [_count(emitter, *axis) for axis in axes]
    total = emitter.index(emitter.product(counts))
    body = Block(arg_types=[INDEX])
    inner = emitter.nested(body)
    indices = delinearized(inner, body.args[0], counts)
    for argument, index, (lower, _, step) in zip(nest.body.block.args, indices, axes, strict=True):
        argument.replace_all_uses_with(inner.index(inner.add(lower, inner.multiply(index, step))))
    for op in list(nest.body.block.ops):
        if isinstance(op, scf.InParallelOp):
            continue
        op.detach()
        body.add_op(op)
    grain = nest.attributes.get(GRAIN)
    size = grain.value.data if isinstance(grain, IntegerAttr) else 1
    emitter.append(ParallelForOp(emitter.index(0), total, max(1, size), body))
    nest.detach()
    nest.erase()


def _count(emitter: Emitter, lower: Index, upper: Index, step: Index) -> Index:
    """Iterations of one axis; none when the bounds cross."""
    extent = emitter.subtract(upper, lower)
    if isinstance(extent, int):
        extent = max(extent, 0)
    elif lower != 0:
        extent = emitter.computed(arith.MaxSIOp, (extent, emitter.index(0)), INDEX)
    if isinstance(step, int):
        return emitter.ceil_divide(extent, step)
    return emitter.value(arith.CeilDivSIOp(emitter.index(extent), step))
