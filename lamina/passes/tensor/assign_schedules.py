"""`assign-schedules`: how each structured op will be tiled, vectorized and run in parallel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import ClassVar, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    Float32Type,
    Float64Type,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import linalg, tensor
from lamina.passes.base import LaminaPass
from lamina.passes.size_classes import SizeClasses

AXES, SCHEDULE, TARGET = "lamina.axes", "lamina.schedule", "lamina.target"

DEFAULT_VECTOR_BITS = 256
"""For modules without `lamina.target`."""

CHUNK_OPERATIONS = 16 * 1024
"""Scalar operations in one piece of parallel work, at least: some microseconds, against one for handing it out."""

ASSUMED_SIZE = 128
"""What an unknown size counts as."""

BLOCK_ROWS = 64
"""Rows of a contraction that one piece of work covers, about: they share the panel of columns in the caches."""

UNROLL = 2

ROWS_BY_COLUMN_VECTORS: Mapping[int, Mapping[int, int]] = {
    512: {1: 16, 2: 12, 3: 8},
    256: {1: 12, 2: 6},
    128: {1: 12, 2: 6},
}
"""Register blocks: rows by vectors of columns; with the columns and one broadcast they fit 31 or 15 registers."""

REGISTERS: Mapping[int, int] = {512: 31, 256: 15, 128: 15}
"""Vector registers that a block may take, by vector width."""

FEW_ROWS, FEW_ROWS_VECTORS = 3, 8
"""With so few rows a block has more vectors of columns: enough accumulators to hide the latency of a multiply-add."""


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
    - All others: `rows`. Stages that follow each other and depend on each other row by row get the same `parallel`
      axes, and so one parallel loop; `grain` is the number of rows that make one piece of work.

    A schedule that is there already stays.
    """

    name = "assign-schedules"
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"scheduled"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        vector_bits = target_vector_bits(op)
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                assign_schedules(function, vector_bits)


def target_vector_bits(module: ModuleOp) -> int:
    """The width of the target's vectors that schedules count on: 128, 256 or 512."""
    target = module.attributes.get(TARGET)
    bits = target.data.get("vector_bits") if isinstance(target, DictionaryAttr) else None
    width = bits.value.data if isinstance(bits, IntegerAttr) else DEFAULT_VECTOR_BITS
    return max((known for known in ROWS_BY_COLUMN_VECTORS if known <= width), default=min(ROWS_BY_COLUMN_VECTORS))


def assign_schedules(function: func.FuncOp, vector_bits: int) -> None:
    """Write the schedules of one function."""
    run: list[StageView] = []
    for op in function.body.block.ops:
        if not isinstance(op, linalg.GenericOp):
            continue
        stage = StageView(op)
        schedule = contraction_schedule(stage, vector_bits)
        if schedule is None:
            run.append(stage)
            continue
        _schedule_rows(run)
        run = []
        _write(op, schedule)
    _schedule_rows(run)


def _write(op: Operation, schedule: Mapping[str, Attribute]) -> None:
    op.attributes.setdefault(SCHEDULE, DictionaryAttr(dict(schedule)))


# ---- reading a generic


class StageView:
    """A `linalg.generic` as schedules see it."""

    def __init__(self, op: linalg.GenericOp):
        self.op = op
        self.maps: Sequence[AffineMap] = [attribute.data for attribute in op.indexing_maps]
        self.parallel = [kind.data == linalg.IteratorType.PARALLEL for kind in op.iterator_types]
        self.sizes = self._sizes()
        self.names = self._names()

    def _sizes(self) -> list[int | None]:
        """The static size of each iteration dim, None where it is dynamic."""
        sizes: list[int | None] = [None] * len(self.parallel)
        for operand, map_ in zip(self.op.operands, self.maps, strict=True):
            if not is_tensor(operand.type):
                continue
            for expression, size in zip(map_.results, operand.type.get_shape(), strict=True):
                if isinstance(expression, AffineDimExpr) and size >= 0:
                    sizes[expression.position] = size
        return sizes

    def _names(self) -> list[str]:
        """The axes' names; written on the op where it has none."""
        written = self.op.attributes.get(AXES)
        names = [name.data for name in cast("ArrayAttr[StringAttr]", written)] if isinstance(written, ArrayAttr) else []
        if len(names) != len(self.parallel):
            names = [f"{'i' if parallel else 'r'}{dim}" for dim, parallel in enumerate(self.parallel)]
            self.op.attributes[AXES] = _texts(names)
        return names

    @property
    def output_maps(self) -> Sequence[AffineMap]:
        return self.maps[len(self.op.inputs) :]

    @property
    def leading_parallel(self) -> int:
        """How many dims before the first reduction."""
        return self.parallel.index(False) if False in self.parallel else len(self.parallel)

    def size(self, dim: int) -> int:
        """The size of a dim, assumed where it is dynamic."""
        size = self.sizes[dim]
        return ASSUMED_SIZE if size is None else size

    def operations(self, outer: int) -> int:
        """Scalar operations of one iteration of the `outer` leading dims."""
        inner = prod(self.size(dim) for dim in range(outer, len(self.parallel)))
        return inner * max(1, sum(1 for _ in self.op.body.walk()) - 1)


def _plain_dims(map_: AffineMap) -> list[int | None]:
    return [result.position if isinstance(result, AffineDimExpr) else None for result in map_.results]


# ---- contractions


def contraction_schedule(stage: StageView, vector_bits: int) -> Mapping[str, Attribute] | None:
    """The schedule of a contraction that explicit vectors suit, None for any other op."""
    axes = _row_and_column(stage)
    if axes is None:
        return None
    row, column = axes
    element_type = stage.op.body.block.args[-1].type
    lanes = vector_bits // (32 if isinstance(element_type, Float32Type) else 64)
    rows, vectors = register_block(stage.sizes[row], stage.sizes[column], lanes, vector_bits)
    block = max(rows, BLOCK_ROWS // rows * rows)
    if (size := stage.sizes[row]) is not None:
        block = min(block, ceil(max(size, 1) / rows) * rows)
    reduced = [dim for dim, parallel in enumerate(stage.parallel) if not parallel]
    work = 2 * block * vectors * lanes * prod(stage.size(dim) for dim in reduced)
    others = [dim for dim, parallel in enumerate(stage.parallel) if parallel and dim not in axes]
    names = stage.names
    return {
        "kind": StringAttr("contraction"),
        "row": StringAttr(names[row]),
        "column": StringAttr(names[column]),
        "tile": _numbers({names[row]: rows, names[column]: vectors * lanes}),
        "block": _numbers({names[row]: block}),
        "unroll": IntegerAttr(UNROLL, i64),
        "parallel": _texts([names[dim] for dim in (*others, column, row)]),
        "grain": IntegerAttr(max(1, CHUNK_OPERATIONS // max(work, 1)), i64),
    }


def _row_and_column(stage: StageView) -> tuple[int, int] | None:
    """The dims that registers hold a block of, for f32 and f64 products whose columns are contiguous."""
    op = stage.op
    if len(op.inputs) != 2 or len(op.outputs) != 1 or not _is_multiply_add(op):
        return None
    rhs, output = (_plain_dims(map_) for map_ in stage.maps[1:])
    if not output or not rhs or None in output:
        return None
    column = output[-1]
    used_by_lhs = {dim for result in stage.maps[0].results for dim in result.used_dims()}
    if column is None or rhs[-1] != column or column in used_by_lhs or rhs.count(column) != 1:
        return None
    used_by_rhs = {dim for result in stage.maps[1].results for dim in result.used_dims()}
    rows = [dim for dim in output[:-1] if dim is not None and dim in used_by_lhs and dim not in used_by_rhs]
    if not rows or all(stage.parallel):
        return None
    # The axis nearest to the columns; where that has few rows, the longest one.
    row = next((dim for dim in reversed(rows) if stage.size(dim) > FEW_ROWS), None)
    return max(rows, key=stage.size) if row is None else row, column


def _is_multiply_add(op: linalg.GenericOp) -> bool:
    """Whether the body is `accumulator + left * right` on f32 or f64."""
    body = list(op.body.block.ops)
    if len(body) != 3 or not isinstance(op.body.block.args[-1].type, Float32Type | Float64Type):
        return False
    multiply, add, _ = body
    left, right, accumulator = op.body.block.args
    return (
        isinstance(multiply, arith.MulfOp)
        and isinstance(add, arith.AddfOp)
        and set(multiply.operands) == {left, right}
        and set(add.operands) == {accumulator, multiply.result}
    )


def register_block(rows: int | None, columns: int | None, lanes: int, vector_bits: int) -> tuple[int, int]:
    """Rows, and vectors of columns, that the registers hold; sizes are None where they are dynamic."""
    table = ROWS_BY_COLUMN_VECTORS[vector_bits]
    widest = max(table)
    if rows is not None and rows <= FEW_ROWS:
        rows = max(rows, 1)
        most = min(FEW_ROWS_VECTORS, (REGISTERS[vector_bits] - 1) // (rows + 1))
        return rows, most if columns is None else _dividing(max(1, ceil(columns / lanes)), most)
    vectors = widest if columns is None else _dividing(max(1, ceil(columns / lanes)), widest)
    most = table[vectors]
    if rows is None:
        return most, vectors
    if rows < most:
        return rows, vectors
    return next((count for count in (most, most - 1, most - 2) if rows % count == 0), most), vectors


def _dividing(needed: int, most: int) -> int:
    """A number of vectors that divides what is needed, so that no panel needs masks, or `most`."""
    if needed <= most:
        return needed
    return next((count for count in range(most, most // 2, -1) if needed % count == 0), most)


# ---- everything else


def _schedule_rows(stages: Sequence[StageView]) -> None:
    """Give stages that follow each other the leading parallel axes that they share, in runs as long as possible."""
    run: list[StageView] = []
    for stage in stages:
        if run and _shared_axes([*run, stage]) == 0:
            _write_rows(run)
            run = []
        run.append(stage)
    if run:
        _write_rows(run)


def _shared_axes(stages: Sequence[StageView]) -> int:
    """How many leading axes the stages of one parallel loop can share.

    They are parallel in all stages, and what one stage computes another reads in the same rows only. One inner dim
    is left, unless that is all there is: innermost loops run along memory.
    """
    shared = min(stage.leading_parallel for stage in stages)
    shared = min(shared, *(max(1, len(stage.parallel) - 1) for stage in stages))
    for maps in _exchanged(stages):
        shared = min(shared, *(_matching(map_) for map_ in maps))
    first = stages[0]
    sizes = SizeClasses()
    for stage in stages:
        sizes.add(stage.op, stage.maps)
    for dim in range(shared):
        if any(
            stage.names[dim] != first.names[dim] or not sizes.equal(first.op, dim, stage.op, dim) for stage in stages
        ):
            return dim
    return shared


def _matching(map_: AffineMap) -> int:
    """How many leading results of a map are the iteration dims of the same number."""
    count = 0
    while count < len(map_.results) and map_.results[count] == AffineDimExpr(count):
        count += 1
    return count


def _exchanged(stages: Sequence[StageView]) -> Iterator[Sequence[AffineMap]]:
    """The maps at which each tensor that passes from one of the stages to another is written and read.

    A read at computed positions may be anywhere: no axis is shared then.
    """
    written: dict[SSAValue, AffineMap] = {}
    for stage in stages:
        written.update(zip(stage.op.results, stage.output_maps, strict=True))
    for stage in stages:
        for operand, map_ in zip(stage.op.operands, stage.maps, strict=True):
            if operand in written:
                yield written[operand], map_
        for op in stage.op.body.walk():
            if isinstance(op, tensor.ExtractOp) and op.tensor in written:
                yield (AffineMap(0, 0, ()),)


def _write_rows(stages: Sequence[StageView]) -> None:
    shared = _shared_axes(stages)
    names = stages[0].names[:shared]
    work = sum(stage.operations(shared) for stage in stages)
    schedule: dict[str, Attribute] = {"kind": StringAttr("rows"), "parallel": _texts(names)}
    if shared:
        schedule["grain"] = IntegerAttr(max(1, ceil(CHUNK_OPERATIONS / max(work, 1))), i64)
    for stage in stages:
        _write(stage.op, schedule)


def _texts(names: Sequence[str]) -> ArrayAttr[StringAttr]:
    return ArrayAttr([StringAttr(name) for name in names])


def _numbers(entries: Mapping[str, int]) -> DictionaryAttr:
    return DictionaryAttr({name: IntegerAttr(value, i64) for name, value in entries.items()})
