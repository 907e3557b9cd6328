"""Schedules of products for a GPU, from the figures of the target and the sizes of the product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type, bf16, f16, f32
from xdsl.ir import Attribute, SSAValue

from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.hardware.nvgpu import FRAGMENTS
from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.product_groups import Groups
from lamina.passes.hardware.gpu.product_loads import MOST_BYTES, widest_load
from lamina.passes.hardware.gpu.product_matrix_cores import matrix_core_shape, matrix_core_shapes
from lamina.passes.hardware.gpu.product_schedule import WARPGROUP_LINE, WARPGROUPS, ProductSchedule
from lamina.passes.hardware.gpu.product_warpgroups import (
    BARRIER_ROOM,
    SWIZZLED_BYTES,
    MapAxes,
    map_axes,
    suits_warpgroups,
)
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.tensor.schedules.stage_view import StageView, plain_dims

MOST_SPLITS = 16
"""Parts of one sum that different blocks of threads take, at most."""

MULTIPLY_ADD_SHAPES: tuple[tuple[tuple[int, int, int], tuple[int, int]], ...] = (
    ((128, 128, 8), (8, 8)),
    ((128, 64, 8), (8, 4)),
    ((64, 64, 16), (4, 4)),
    ((32, 64, 16), (4, 4)),
    ((16, 64, 16), (2, 4)),
    ((32, 32, 16), (2, 2)),
)
"""Blocks and the threads' tiles, from the one that reads least per multiplication to the one that gives most blocks."""

FRAGMENT_SHAPES: tuple[tuple[tuple[int, int, int], tuple[int, int]], ...] = (
    ((128, 128, 32), (64, 32)),
    ((128, 64, 32), (64, 32)),
    ((64, 64, 32), (32, 32)),
    ((32, 64, 32), (32, 16)),
    ((16, 64, 64), (16, 16)),
)
"""Blocks and the warps' parts; with f32 factors half the depth."""

NARROW_MULTIPLY_ADD_SHAPES: tuple[tuple[tuple[int, int, int], tuple[int, int]], ...] = (
    ((128, 32, 8), (8, 4)),
    ((64, 32, 16), (4, 4)),
    ((32, 32, 16), (2, 2)),
)
NARROW_FRAGMENT_SHAPES: tuple[tuple[int, tuple[tuple[tuple[int, int, int], tuple[int, int]], ...]], ...] = (
    (16, (((128, 16, 32), (32, 16)), ((64, 16, 32), (16, 16)), ((32, 16, 64), (16, 8)))),
    (32, (((128, 32, 32), (32, 32)), ((64, 32, 32), (32, 16)), ((32, 32, 32), (16, 16)))),
)
"""The same where there are 32 columns at most; for fragments, by the most columns."""

DOUBLE_FRAGMENT_SHAPES: tuple[tuple[tuple[int, int, int], tuple[int, int]], ...] = (
    ((128, 64, 16), (32, 32)),
    ((64, 64, 16), (32, 32)),
    ((32, 64, 16), (16, 32)),
    ((32, 32, 16), (16, 16)),
    ((16, 32, 16), (8, 16)),
)
"""The same with f64 factors, whose sums take two registers each."""

DOUBLE_FRAGMENT = (8, 8, 4)
DOUBLE_ROW_PADDING = 4
"""Elements that a row has more with f64 factors: of eight rows, four at a time lie in different banks."""

WARPGROUP_SHAPES: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = (
    ((128, 256), (64, 256)),
    ((128, 128), (64, 128)),
    ((64, 128), (64, 128)),
)
"""Blocks and the warpgroups' parts; the depth is 128 bytes."""

TYPE_NAMES: tuple[tuple[type[Attribute], str], ...] = ((Float16Type, "f16"), (BFloat16Type, "bf16"))


@dataclass(frozen=True)
class ProductView:
    """A contraction on tensors as its schedule sees it: dims of rows, columns, depth and batches, each in order."""

    stage: StageView
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    batch: tuple[int, ...]
    factors: tuple[int, int]
    groups: Groups | None = None

    def size(self, dims: tuple[int, ...]) -> int:
        """The size of some dims taken as one, assumed where it is not known; of the columns, that of a group."""
        return prod(self._size(dim) or self.stage.size(dim) for dim in dims)

    def _size(self, dim: int) -> int | None:
        return self.groups.columns if self.groups is not None and self.groups.dim == dim else self.stage.sizes[dim]

    @property
    def batches(self) -> int:
        """Products side by side, assumed where their number is not known."""
        groups = 1 if self.groups is None else self.stage.size(self.groups.dim) // self.groups.columns
        return self.size(self.batch) * groups

    def names(self, dims: tuple[int, ...]) -> tuple[str, ...]:
        """The names of some dims."""
        return tuple(self.stage.names[dim] for dim in dims)

    def element(self, number: int) -> Attribute:
        """The element type of the factor that has the rows (0) or the columns (1)."""
        type_ = self.stage.op.inputs[self.factors[number]].type
        return type_.get_element_type() if is_tensor(type_) else type_

    def widest(self, number: int) -> int:
        """How many neighbors of a factor can be loaded at a time."""
        operand, map_ = self.stage.op.inputs[self.factors[number]], self.stage.maps[self.factors[number]]
        if self.groups is not None and self.groups.factor == self.factors[number]:
            map_ = self.groups.map_
        if not is_tensor(operand.type) or not map_.results:
            return 1
        side = (self.rows, self.columns)[number]
        last = map_.results[-1].used_dims()
        dim = self.depth[-1] if self.depth[-1] in last or side[-1] not in last else side[-1]
        return widest_load(map_, operand.type.get_shape(), dim, self._size(dim), element_bytes(self.element(number)))


def product_view(stage: StageView) -> ProductView | None:
    """The product that a stage is: rows in one factor only, columns in the other only; None for any other op."""
    if len(stage.op.inputs) != 2 or len(stage.op.outputs) != 1 or not is_product(stage.op):
        return None
    if any(None in plain_dims(map_) for map_ in stage.output_maps) or not stage.maps[2].results:
        return None
    groups = Groups.of(stage.maps, stage.sizes)
    maps = stage.maps if groups is None else groups.ungrouped(stage.maps)
    used = [{dim for result in map_.results for dim in result.used_dims()} for map_ in maps[:2]]
    result = [dim for dim in plain_dims(stage.maps[2]) if dim is not None]
    depth = tuple(dim for dim, parallel in enumerate(stage.parallel) if not parallel)
    own = [tuple(dim for dim in result if dim in used[one] - used[1 - one]) for one in (0, 1)]
    batch = tuple(dim for dim in result if dim in used[0] & used[1])
    # Windows of one position may have left one of the maps.
    long = {dim for dim in depth if stage.sizes[dim] != 1}
    if not depth or not own[0] or not own[1] or not long <= used[0] & used[1]:
        return None
    if len(result) != len(stage.parallel) - len(depth) or len(own[0]) + len(own[1]) + len(batch) != len(result):
        return None
    # What is contiguous in the result are its columns.
    factors = (1, 0) if result[-1] in own[0] else (0, 1)
    columns = own[factors[1]]
    if groups is not None and (columns != (groups.dim,) or groups.factor != factors[0]):
        return None
    return ProductView(stage, own[factors[0]], columns, depth, batch, factors, groups)


def is_product(op: linalg.GenericOp) -> bool:
    """Whether the body is `sum + left * right` on floats, with factors that may be widened first."""
    *ops, terminator = op.body.block.ops
    left, right, total = op.body.block.args
    wide: dict[SSAValue, SSAValue] = {left: left, right: right}
    while ops and isinstance(ops[0], arith.ExtFOp) and ops[0].operands[0] in (left, right):
        wide[ops[0].operands[0]] = ops[0].results[0]
        ops = ops[1:]
    if len(ops) != 2 or not isinstance(ops[0], arith.MulfOp) or not isinstance(ops[1], arith.AddfOp):
        return False
    return (
        left.type == right.type
        and set(ops[0].operands) == set(wide.values())
        and set(ops[1].operands) == {ops[0].results[0], total}
        and list(terminator.operands) == [ops[1].results[0]]
        and all(is_tensor(operand.type) for operand in op.operands)
    )


def default_schedule(view: ProductView, target: GpuDescription) -> ProductSchedule | None:
    """The schedule of a product; None where the target has not enough of anything."""
    fitting = [one for one in _candidates(view, target) if _fits(one, view, target)]
    if not fitting:
        return None
    fitting = [one for one in fitting if not _is_half_empty(one, view)] or fitting
    chosen = next((one for one in fitting if _blocks(one, view) >= _enough(one, target)), None)
    if chosen is not None:
        return chosen
    least = min(fitting, key=lambda one: (_work(one, view), -prod(one.block[:2])))
    return replace(least, split=_split(least, view, target))


def _enough(schedule: ProductSchedule, target: GpuDescription) -> int:
    """Blocks that keep the target busy; warpgroups are so fast that a quarter of it may be idle."""
    return target.processors * 3 // 4 if schedule.instruction == WARPGROUPS else target.processors


def _candidates(view: ProductView, target: GpuDescription) -> Iterator[ProductSchedule]:
    element = view.element(0)
    each = element_bytes(element)
    widest = view.widest(0), view.widest(1)
    axes = view.names(view.rows), view.names(view.columns), view.names(view.depth)
    total = view.stage.op.outputs[0].type
    sums = total.get_element_type() if is_tensor(total) else total
    core = matrix_core_shape(target, element, sums)
    if core is not None:
        for block, warp in matrix_core_shapes(target, each):
            yield ProductSchedule(
                *axes,
                block=block,
                warp=warp,
                fragment=core,
                instruction=target.instruction,
                vector=(_line(widest[0], block[2]), _line(widest[1], block[2])),
                row_padding=MOST_BYTES // each,
                stages=2,
            )
        return
    if target.instruction == WARPGROUPS and element in _factors_of(target) and _suits_warpgroups(view, sums):
        for block, warp in WARPGROUP_SHAPES:
            if view.size(view.rows) >= warp[0]:
                deep = WARPGROUP_LINE // each
                yield ProductSchedule(
                    *axes,
                    block=(*block, deep),
                    warp=warp,
                    fragment=(warp[0], warp[1], deep // 4),
                    instruction=WARPGROUPS,
                    vector=widest,
                    stages=_warpgroup_stages(sum(block), target),
                    asynchronous=True,
                )
    fragment = _fragment(element, sums, target)
    copies = min(widest) * each >= 4 and target.copy > 0
    if fragment is not None:
        doubles = isinstance(element, Float64Type)
        padding = DOUBLE_ROW_PADDING if doubles else MOST_BYTES // each
        columns = view.size(view.columns)
        shapes = next((shapes for most, shapes in NARROW_FRAGMENT_SHAPES if columns <= most), FRAGMENT_SHAPES)
        for block, warp in DOUBLE_FRAGMENT_SHAPES if doubles else shapes:
            deep = block[2] if doubles else block[2] * 2 // each
            yield ProductSchedule(
                *axes,
                block=(block[0], block[1], deep),
                warp=warp,
                fragment=fragment,
                vector=widest,
                # Lines of 64 bytes, padded, are stored with conflicts, and take a fifth more; tf32 fragments are read
                # element by element, for which addresses of swizzled places take too many registers.
                swizzle=each == SWIZZLED_BYTES,
                row_padding=0 if each == SWIZZLED_BYTES else padding,
                stages=_stages(block[0] + block[1], deep, each, target) if copies else 2,
                asynchronous=copies,
            )
        return
    is_narrow = view.size(view.columns) <= NARROW_MULTIPLY_ADD_SHAPES[0][0][1]
    for block, tile in NARROW_MULTIPLY_ADD_SHAPES if is_narrow else MULTIPLY_ADD_SHAPES:
        vector = _line(widest[0], block[2]), _line(widest[1], block[2])
        yield ProductSchedule(*axes, block=block, tile=tile, vector=vector, row_padding=MOST_BYTES // each, stages=2)


def _factors_of(target: GpuDescription) -> Sequence[Attribute]:
    """The elements that the target's matrix units multiply."""
    names = target.fragment_types.split()
    return [kind for name, kind in (("f16", f16), ("bf16", bf16), ("tf32", f32)) if name in names]


def _suits_warpgroups(view: ProductView, sums: Attribute) -> bool:
    """Whether tensor maps can bring the factors, and warpgroups multiply them."""
    if sums != f32 or view.groups is not None:
        return False
    found: list[MapAxes | None] = []
    for number, side in enumerate((view.rows, view.columns)):
        operand, map_ = view.stage.op.inputs[view.factors[number]], view.stage.maps[view.factors[number]]
        shape = operand.type.get_shape() if is_tensor(operand.type) else ()
        found.append(map_axes(map_, shape, side, view.depth, element_bytes(view.element(number))))
    return suits_warpgroups(found, view.element(0))


def _warpgroup_stages(sides: int, target: GpuDescription) -> int:
    """Up to four stages; where three leave room for another block of threads beside this one, no more than those."""
    one = sides * WARPGROUP_LINE
    beside = (target.shared_memory // 2 - BARRIER_ROOM) // one
    return min(4, beside if beside >= 3 else (target.shared_memory - BARRIER_ROOM) // one)


def _line(widest: int, size: int) -> int:
    return min(widest, size)


def _stages(sides: int, depth: int, each: int, target: GpuDescription) -> int:
    """As many stages, up to four, as shared memory has room for with another block of threads beside this one."""
    one = sides * (depth + MOST_BYTES // each) * each
    return max(2, min(4, target.shared_memory // 2 // one))


def _fragment(element: Attribute, sums: Attribute, target: GpuDescription) -> tuple[int, int, int] | None:
    """The matrix instruction for a type of factors, None where the target has none."""
    sizes = tuple(int(size) for size in target.fragment.split("x")) if target.fragment else ()
    if len(sizes) != 3:
        return None
    m, n, k = sizes
    if isinstance(element, Float32Type):
        shape, allowed = (m, n, k // 2), "tf32" in target.fragment_types.split()
    elif isinstance(element, Float64Type):
        shape, allowed = DOUBLE_FRAGMENT, "f64" in target.fragment_types.split()
    else:
        names = [name for kind, name in TYPE_NAMES if isinstance(element, kind)]
        shape, allowed = (m, n, k), bool(names) and names[0] in target.fragment_types.split()
    return shape if allowed and (shape, element, sums) in FRAGMENTS else None


def _fits(schedule: ProductSchedule, view: ProductView, target: GpuDescription) -> bool:
    each = element_bytes(view.element(0))
    m, n, k = schedule.block
    shared = max((m + schedule.row_padding) * k, m * (k + schedule.row_padding))
    shared += max((n + schedule.row_padding) * k, n * (k + schedule.row_padding))
    return (
        schedule.threads(target.warp) <= target.maximum_threads
        and shared * each * schedule.stages <= target.shared_memory
        and schedule.registers(target.warp, each) <= target.registers
    )


def _is_half_empty(schedule: ProductSchedule, view: ProductView) -> bool:
    """Whether half of a block, or more, would lie outside of the result."""
    return schedule.block[0] >= 2 * view.size(view.rows) or schedule.block[1] >= 2 * view.size(view.columns)


def _blocks(schedule: ProductSchedule, view: ProductView) -> int:
    sides = ceil(view.size(view.rows) / schedule.block[0]), ceil(view.size(view.columns) / schedule.block[1])
    return view.batches * prod(sides)


def _work(schedule: ProductSchedule, view: ProductView) -> int:
    """Cells that are computed, those outside of the result too."""
    return _blocks(schedule, view) * schedule.block[0] * schedule.block[1]


def _split(schedule: ProductSchedule, view: ProductView, target: GpuDescription) -> int:
    """Blocks that share one sum, so that all processors have something to do and each enough of it."""
    if view.groups is not None:
        return 1
    idle = target.processors // max(1, _blocks(schedule, view))
    return max(1, min(MOST_SPLITS, idle, view.size(view.depth) // (8 * schedule.block[2])))
