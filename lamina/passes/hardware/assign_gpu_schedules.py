"""`assign-gpu-schedules`: how each structured op will be cut over blocks of threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import Float32Type, ModuleOp, StringAttr
from xdsl.ir import SSAValue

from lamina.dialects.hardware.gpu_target import gpu_target_of
from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.hardware.gpu_products import BLOCK, DEPTH, THREADS_PER_SIDE
from lamina.passes.tensor.schedules.rows import schedule_rows
from lamina.passes.tensor.schedules.stage_view import StageView, numbers, plain_dims, write_schedule

PRODUCT = "gpu-product"
"""The kind of a contraction that goes tile by tile through shared memory."""


@dataclass(frozen=True)
class AssignGpuSchedulesPass(LaminaPass):
    """Write `lamina.schedule` on every `linalg.generic` for a GPU.

    ```mlir
    linalg.generic … attrs = {lamina.axes = ["m0", "k0", "n0"]}
      →   … attrs = {lamina.axes = …, lamina.schedule = {kind = "gpu-product", row = "m0", column = "n0",
                     tile = {m0 = 4, n0 = 4}, block = {m0 = 64, n0 = 64, k0 = 16}}}
    ```

    - f32 contractions over one axis, each factor of which has a row or a column of its own: `gpu-product`, one block of
      threads per block of the result, one tile of it per thread.
    - All others: `rows`, as on a CPU; stages that share rows run in one kernel, one block of threads per row.

    A schedule that is there already stays.
    """

    name = "assign-gpu-schedules"
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"scheduled"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        gpu_target_of(op)
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                _assign(function)


def _assign(function: func.FuncOp) -> None:
    run: list[StageView] = []
    for op in function.body.block.ops:
        if not isinstance(op, linalg.GenericOp):
            continue
        stage = StageView(op)
        axes = _row_and_column(stage)
        if axes is None:
            run.append(stage)
            continue
        schedule_rows(run)
        run = []
        row, column, depth = (stage.names[dim] for dim in axes)
        tile = BLOCK // THREADS_PER_SIDE
        write_schedule(
            op,
            {
                "kind": StringAttr(PRODUCT),
                "row": StringAttr(row),
                "column": StringAttr(column),
                "tile": numbers({row: tile, column: tile}),
                "block": numbers({row: BLOCK, column: BLOCK, depth: DEPTH}),
            },
        )
    schedule_rows(run)


def _row_and_column(stage: StageView) -> tuple[int, int, int] | None:
    """The dims of rows, columns and the sum of a product that tiles suit, None for any other op."""
    reduced = [dim for dim, parallel in enumerate(stage.parallel) if not parallel]
    if len(reduced) != 1 or len(stage.op.inputs) != 2 or len(stage.op.outputs) != 1 or not is_product(stage.op):
        return None
    if any(None in plain_dims(map_) for map_ in stage.output_maps):
        return None
    used = [{dim for result in map_.results for dim in result.used_dims()} for map_ in stage.maps[:2]]
    rows, columns = (sorted(own - other - set(reduced)) for own, other in (used, used[::-1]))
    if not rows or not columns or reduced[0] not in used[0] & used[1]:
        return None
    row, column = (max(dims, key=lambda dim: (stage.size(dim), dim)) for dims in (rows, columns))
    return row, column, reduced[0]


def is_product(op: linalg.GenericOp) -> bool:
    """Whether the body is `sum + left * right` on f32."""
    *ops, terminator = op.body.block.ops
    if len(ops) != 2 or not isinstance(ops[0], arith.MulfOp) or not isinstance(ops[1], arith.AddfOp):
        return False
    left, right, total = op.body.block.args
    factors: set[SSAValue] = {left, right}
    return (
        isinstance(total.type, Float32Type)
        and set(ops[0].operands) == factors
        and set(ops[1].operands) == {ops[0].results[0], total}
        and list(terminator.operands) == [ops[1].results[0]]
        and all(is_tensor(operand.type) for operand in op.operands)
    )
