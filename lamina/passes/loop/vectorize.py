"""Scheduled contractions become loops over tiles held in n-D vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.contraction import read_contraction
from lamina.passes.loop.contraction_loops import TileLoops
from lamina.passes.loop.emitter import Constants, Emitter
from lamina.passes.loop.structured import (
    Schedule,
    require_buffers,
)
from lamina.passes.loop.vectorize_columns import lower_columns
from lamina.passes.loop.vectorize_transpose import lower_transpose


@dataclass(frozen=True)
class VectorizePass(LaminaPass):
    """Lower contractions and convolutions scheduled as such to explicit n-D vectors.

        linalg.fill ins(%zero) outs(%c)
        linalg.generic {m, n, k} ins(%a, %b) outs(%c) attrs = {lamina.schedule = {kind = "contraction", row = "m",
          column = "n", tile = {m = 8, n = 48}, unroll = 2}} { mulf, addf }
        linalg.generic {m, n} ins(%c, %bias) outs(%d) { addf, maximumf }
    →
        scf.for %i = %c0 to %rows step %c8 {
          %tile = scf.for %k … step %c2 iter_args(%acc = %zeros) -> (vector<8x48xf32>) {
            %column = vector.transfer_read %a[%i, %k] {permutation_map = (d0, d1) -> (d0)} : …, vector<8xf32>
            %row = vector.transfer_read %b[%k, %j] : …, vector<48xf32>
            %next = vector.outerproduct %column, %row, %acc
            …
          }
          … addf, maximumf : vector<8x48xf32>
          vector.transfer_write %y, %d[%i, %j] : vector<8x48xf32>, …
        }

    Remainders of static size are tiles of their own (columns rounded up and masked); columns of a dynamic remainder
    are masked, its rows are half a tile and a tile of what is left.
    Stages of kind `columns` become loops over vectors along that axis (`passes/loop/vectorize_columns.py`), those of
    kind `transpose` loops over square blocks (`passes/loop/vectorize_transpose.py`).
    Long epilogues run over the rows of the tile, stored on the stack. Raises LaminaError for a scheduled op that is no
    contraction.
    """

    name = "vectorize"
    requires: ClassVar[frozenset[str]] = frozenset({"tiled"})
    ensures: ClassVar[frozenset[str]] = frozenset({"vectorized"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                vectorize_function(function)


def vectorize_function(function: func.FuncOp) -> None:
    """Lower the scheduled contractions of one function."""
    scheduled = [
        (op, schedule)
        for op in function.walk()
        if isinstance(op, linalg.GenericOp) and (schedule := Schedule.of(op)) and schedule.kind == "contraction"
    ]
    constants = Constants(function.body.block)
    for op, schedule in scheduled:
        require_buffers(op)
        contraction = read_contraction(op, schedule)
        stages = contraction.stages
        emitter = Emitter.ahead_of(stages[-1], constants)
        emitter.location = op.location
        TileLoops(contraction, emitter).emit()
        for stage in stages:
            stage.detach()
            stage.erase()
    columns = [
        (op, schedule)
        for op in function.walk()
        if isinstance(op, linalg.GenericOp) and (schedule := Schedule.of(op)) and schedule.kind == "columns"
    ]
    for op, schedule in columns:
        require_buffers(op)
        for stage in lower_columns(op, schedule, constants):
            stage.detach()
            stage.erase()
    turned = [
        (op, schedule)
        for op in function.walk()
        if isinstance(op, linalg.GenericOp) and (schedule := Schedule.of(op)) and schedule.kind == "transpose"
    ]
    for op, schedule in turned:
        require_buffers(op)
        lower_transpose(op, schedule, constants)
        op.detach()
        op.erase()
    if scheduled or columns or turned:
        erase_dead_ops(function.body.block)
