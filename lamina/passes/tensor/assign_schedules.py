"""`assign-schedules`: how each structured op will be tiled, vectorized and run in parallel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.caches import cache_bytes
from lamina.passes.registers import target_vector_bits
from lamina.passes.tensor.schedules.blocks import block_schedule
from lamina.passes.tensor.schedules.contraction import contraction_schedule
from lamina.passes.tensor.schedules.convolution import depthwise_schedule
from lamina.passes.tensor.schedules.groups import groups_schedule
from lamina.passes.tensor.schedules.rows import schedule_rows
from lamina.passes.tensor.schedules.stage_view import StageView, write_schedule
from lamina.passes.tensor.schedules.transpose import transpose_schedule
from lamina.passes.tensor.schedules.vector_products import vector_product_schedule


@dataclass(frozen=True)
class AssignSchedulesPass(LaminaPass):
    """Write `lamina.schedule` on every `linalg.generic`, from the module's `lamina.target`.

    ```mlir
    linalg.generic … attrs = {lamina.axes = ["m0", "k0", "n0"]}
      →   … attrs = {lamina.axes = …, lamina.schedule = {kind = "contraction", row = "m0", column = "n0",
                     tile = {m0 = 8, n0 = 48}, block = {m0 = 64}, unroll = 2, parallel = ["n0", "m0"]}}
    ```

    - f32 and f64 contractions with a contiguous axis of columns: `contraction`, a block of registers that the target
      holds.
    - Elementwise kernels with operands in different orders, transposes among them: `transpose`.
    - A vector and a large matrix that is not packed: `rows` over blocks of columns, or of rows.
    - Short rows that change places: `rows` in blocks of some that are neighbors in the result.
    - All others: `rows`. Stages that follow each other and depend on each other row by row get the same `parallel`
      axes, and so one parallel loop; `grain` is the number of rows that make one piece of work.

    A schedule that is there already stays.
    """

    name = "assign-schedules"
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"scheduled"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        vector_bits, first_cache = target_vector_bits(op), cache_bytes(op, "l1")
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                assign_schedules(function, vector_bits, first_cache)


def assign_schedules(function: func.FuncOp, vector_bits: int, first_cache: int | None) -> None:
    """Write the schedules of one function; `first_cache`: its bytes, where they are known."""
    run: list[StageView] = []
    for op in function.body.block.ops:
        if not isinstance(op, linalg.GenericOp):
            continue
        stage = StageView(op)
        schedule = (
            block_schedule(stage, vector_bits, first_cache)
            or depthwise_schedule(stage, vector_bits)
            or groups_schedule(stage, vector_bits)
            or vector_product_schedule(stage)
            or contraction_schedule(stage, vector_bits)
            or transpose_schedule(stage, vector_bits)
        )
        if schedule is None:
            run.append(stage)
            continue
        schedule_rows(run)
        run = []
        write_schedule(op, schedule)
    schedule_rows(run)
