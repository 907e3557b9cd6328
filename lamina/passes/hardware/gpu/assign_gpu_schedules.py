"""`assign-gpu-schedules`: how each structured op will be cut over blocks of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from lamina.dialects.hardware.gpu_target import GpuDescription, gpu_target_of
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.hardware.gpu.attention import assign_attention
from lamina.passes.hardware.gpu.direct_products import assign_direct
from lamina.passes.hardware.gpu.product_defaults import default_schedule, product_view
from lamina.passes.tensor.schedules.rows import schedule_rows
from lamina.passes.tensor.schedules.stage_view import SCHEDULE, StageView, write_schedule


@dataclass(frozen=True)
class AssignGpuSchedulesPass(LaminaPass):
    """Write `lamina.schedule` on every `linalg.generic` for a GPU.

    ```mlir
    linalg.generic … attrs = {lamina.axes = ["m0", "k0", "n0"]}
      →   … attrs = {lamina.axes = …, lamina.schedule = {kind = "gpu-product", rows = ["m0"], columns = ["n0"],
                     depth = ["k0"], block = {m = 128, n = 128, k = 8}, tile = {m = 8, n = 8},
                     vector = {a = 4, b = 4}, row_padding = 4, stages = 2}}
    ```

    - Contractions and convolutions whose factors have rows and columns of their own: `gpu-product`
      (`lamina.passes.hardware.gpu.product_schedule` says what its entries mean), with `fragment`, `warp` and
      `copies = "asynchronous"` where the target has matrix units for the type and such copies.
    - Convolutions whose groups have few features, or one: `gpu-direct`, a thread for a few of them at a few positions
      (`lamina.passes.hardware.gpu.direct_products`).
    - All others: `rows`, as on a CPU; stages that share rows run in one kernel, one block of threads per row.

    `tf32`: f32 products go through matrix units, which round the factors to 10 bits. A schedule that is there already
    stays.
    """

    name = "assign-gpu-schedules"
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"scheduled"})

    tf32: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = gpu_target_of(op)
        if not self.tf32:
            target = replace(target, fragment_types=target.fragment_types.replace("tf32", ""))
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                _assign(function, target)


def _assign(function: func.FuncOp, target: GpuDescription) -> None:
    stages = [StageView(op) for op in function.body.block.ops if isinstance(op, linalg.GenericOp)]
    for assign in ASSIGNERS:
        assign([stage for stage in stages if SCHEDULE not in stage.op.attributes], target)
    run: list[StageView] = []
    for stage in stages:
        if SCHEDULE not in stage.op.attributes:
            run.append(stage)
            continue
        schedule_rows(run)
        run = []
    schedule_rows(run)


def assign_products(stages: Sequence[StageView], target: GpuDescription) -> None:
    """Schedules of the stages that are products: contractions and convolutions."""
    for stage in stages:
        view = product_view(stage)
        schedule = None if view is None else default_schedule(view, target)
        if schedule is not None:
            write_schedule(stage.op, schedule.attribute())


ASSIGNERS: Sequence[Callable[[Sequence[StageView], GpuDescription], None]] = (
    assign_attention,
    assign_direct,
    assign_products,
)
"""What gives the stages of a kernel function schedules, in turn; each sees those that have none yet, in order, and
writes `lamina.schedule` on those it has a kind for (see `KINDS` in outline_gpu_kernels). What is left is rows."""
