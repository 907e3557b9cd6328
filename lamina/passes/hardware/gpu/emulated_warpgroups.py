"""Tensor maps, barriers in memory and products of warpgroups where a target has none: loads, stores and barriers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects import math
from xdsl.dialects.builtin import (
    FloatTF32Type,
    FunctionType,
    IntegerAttr,
    ModuleOp,
    UnrealizedConversionCastOp,
    VectorType,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from lamina.diagnostics import error_at
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.hardware.nvgpu_tma import (
    BARRIER_TOKEN,
    MBarrierArriveExpectOp,
    MBarrierArriveOp,
    MBarrierCreateOp,
    MBarrierInitOp,
    MBarrierTestWaitOp,
    MBarrierTryWaitOp,
    TmaCreateOp,
    TmaFenceOp,
    TmaLoadOp,
    TmaPrefetchOp,
    TmaStoreOp,
)
from lamina.dialects.hardware.nvgpu_types import SWIZZLE_BYTES, AccumulatorType, TensorMapType
from lamina.dialects.hardware.nvgpu_warpgroup import (
    WARPGROUP_ROWS,
    GenerateDescriptorOp,
    InitAccumulatorOp,
    WarpgroupMmaOp,
    WarpgroupStoreOp,
    accumulator_type,
    descriptor_type,
)
from lamina.dialects.loop import arith, memref, scf, vector
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.hardware.gpu.swizzle import swizzled
from lamina.passes.loop.emitter import Constants, Emitter, Index, known_index, memref_type, scalar_attribute
from lamina.passes.loop.plan_arena import element_bytes

WARP, WARPS = 32, 4
TF32_BITS, TF32_HALF = -8192, 4096
"""What is kept of an f32 as tf32: all but the last 13 bits; half of the last one that is kept."""


def has_warpgroups(target: GpuDescription) -> bool:
    """Whether a target has instructions for these ops."""
    return target.instruction == "wgmma"


def expand_warpgroups(module: ModuleOp, target: GpuDescription) -> None:
    """Expand what the target has not.

        %map = nvgpu.tma.create.descriptor %x box[…]; gpu.launch_func @k … args(%map : …)
        nvgpu.tma.async.load %map[%k, %i], %full[%s] to %a …; nvgpu.mbarrier.try_wait.parity %full[%s], …
        %d = nvgpu.warpgroup.mma %left, %right, %c
    →
        gpu.launch_func @k … args(%x : …)
        scf.for %n = %thread to … { memref.store of an element or zero, its chunk swizzled }; gpu.barrier
        %d = scf.for %k = … iter_args(%c) { loads of rows and columns; math.fma }

    All threads of a block come to these ops together, and of those of a predicate's ops one has it true. An arrival is
    a barrier of all where no bytes come with it, so that waits for such arrivals are nothing; all other waits are
    barriers. Stores of sums are expanded for every target.
    """
    kernels = [one for one in module.walk() if isinstance(one, gpu.FuncOp)]
    if has_warpgroups(target):
        for kernel in kernels:
            _expand_stores(kernel)
        return
    for kernel in kernels:
        if any(_is_ours(op) for op in kernel.walk()):
            swizzles = _take_buffers(module, kernel)
            _Expander(kernel, swizzles).run()
    for op in [one for one in module.walk() if isinstance(one, TmaCreateOp)]:
        view = op.tensor.owner
        if not op.map.uses:
            _erase(op)
            if isinstance(view, memref.CastOp) and not view.dest.uses:
                _erase(view)


def _erase(op: Operation) -> None:
    op.detach()
    op.erase()


def _take_buffers(module: ModuleOp, kernel: gpu.FuncOp) -> Mapping[SSAValue, int]:
    """Pass a kernel the buffers that its tensor maps describe; by buffer, the bytes of a swizzled line."""
    swizzles: dict[SSAValue, int] = {}
    launches = [
        op
        for op in module.walk()
        if isinstance(op, gpu.LaunchFuncOp) and op.kernel.nested_references.data[-1].data == kernel.sym_name.data
    ]
    types = list(kernel.function_type.inputs)
    for number, type_ in enumerate(types):
        if not isinstance(type_, TensorMapType):
            continue
        for launch in launches:
            position = list(launch.operands).index(launch.kernel_operands[number])
            made = launch.kernel_operands[number].owner
            view = made.tensor.owner if isinstance(made, TmaCreateOp) else None
            if not isinstance(view, memref.CastOp):
                raise error_at(launch, f"expected a tensor map of a known buffer for argument {number}")
            launch.operands[position] = view.source
            types[number] = view.source.type
        taken = Rewriter.replace_value_with_new_type(kernel.body.block.args[number], types[number])
        swizzles[taken] = SWIZZLE_BYTES[type_.swizzle.data]
    kernel.properties["function_type"] = FunctionType.from_lists(types, [])
    return swizzles


class _Expander:
    """Expands the ops of one kernel."""

    def __init__(self, kernel: gpu.FuncOp, swizzles: Mapping[SSAValue, int]):
        self.kernel = kernel
        self.swizzles = swizzles
        self.constants = Constants(kernel.body.block)
        self.met: set[SSAValue] = set()
        """Barriers at which threads arrive without bytes that come later: they have met where they arrive."""

    def run(self) -> None:
        """Expand all ops, then what they leave behind: descriptors and groups of barriers."""
        ops = [op for op in self.kernel.walk() if _is_ours(op)]
        self._retype()
        self.met = {op.barriers for op in ops if isinstance(op, MBarrierCreateOp) and _has_plain_arrivals(op.barriers)}
        left: list[Operation] = []
        for op in ops:
            emitter = Emitter.ahead_of(op, self.constants)
            if type(op) in (GenerateDescriptorOp, MBarrierCreateOp):
                left.append(op)
                continue
            values = EXPANSIONS[type(op)](self, emitter, op)
            for result, value in zip(op.results, values, strict=True):
                result.replace_all_uses_with(value)
            _erase(op)
        for op in reversed(left):
            _erase(op)

    def _retype(self) -> None:
        """Loops carry what threads hold of sums."""
        for op in self.kernel.walk():
            if isinstance(op, scf.ForOp):
                for value in (*op.body.block.args, *op.results):
                    if isinstance(value.type, AccumulatorType):
                        Rewriter.replace_value_with_new_type(value, held_type(value.type))
                    elif value.type == BARRIER_TOKEN:
                        Rewriter.replace_value_with_new_type(value, i64)

    # Barriers

    def nothing(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """What needs no counterpart."""
        return ()

    def arrive(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """All threads meet."""
        emitter.append(gpu.BarrierOp())
        return [self.constants.get(IntegerAttr(0, i64), i64)]

    def arrive_expecting(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """All threads meet where no bytes are waited for."""
        if isinstance(op, MBarrierArriveExpectOp) and known_index(op.bytes) == 0:
            emitter.append(gpu.BarrierOp())
        return ()

    def test(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """All have arrived who arrive."""
        return [self.constants.get(IntegerAttr(1, i1), i1)]

    def wait(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """All threads meet, so that what they have copied is there."""
        if isinstance(op, MBarrierTryWaitOp) and op.barriers not in self.met:
            emitter.append(gpu.BarrierOp())
        return ()

    # Copies

    def load(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """Elements of a box to shared memory, zeros from outside."""
        if isinstance(op, TmaLoadOp):

            def move(inner: Emitter, inside: SSAValue, outer: Sequence[Index], place: Sequence[Index]) -> None:
                zero = inner.scalar_constant(0.0, memref_type(op.map).get_element_type())
                inner.branch(
                    inside,
                    lambda deep: deep.store(deep.load(op.map, outer), op.target, place),
                    lambda deep: deep.store(zero, op.target, place),
                )

            self._copy(emitter, op.map, op.target, op.coordinates, self.swizzles[op.map], move)
        return ()

    def store(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """Elements of a box from shared memory, those that exist."""
        if isinstance(op, TmaStoreOp):
            emitter.append(gpu.BarrierOp())

            def move(inner: Emitter, inside: SSAValue, outer: Sequence[Index], place: Sequence[Index]) -> None:
                inner.branch(inside, lambda deep: deep.store(deep.load(op.source, place), op.map, outer))

            self._copy(emitter, op.map, op.source, op.coordinates, self.swizzles[op.map], move)
        return ()

    def _copy(
        self,
        emitter: Emitter,
        tensor: SSAValue,
        buffer: SSAValue,
        coordinates: Sequence[SSAValue],
        swizzle: int,
        move: Callable[[Emitter, SSAValue, Sequence[Index], Sequence[Index]], None],
    ) -> None:
        shape = memref_type(buffer).get_shape()
        total = 1
        for size in shape:
            total *= size
        thread = emitter.value(gpu.ThreadIdOp())

        def one(inner: Emitter, number: SSAValue, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            place = delinearized(inner, number, list(shape))
            outer = [inner.add(start, at) for start, at in zip(reversed(coordinates), place, strict=True)]
            inside: SSAValue | None = None
            for at, size in zip(outer, inner.sizes(tensor), strict=True):
                within = inner.compare("ult", at, size)
                inside = within if inside is None else inner.value(arith.AndIOp(inside, within))
            line = inner.divide(number, shape[-1])
            column = swizzled(inner, line, place[-1], element_bytes(memref_type(buffer).get_element_type()), swizzle)
            if inside is not None:
                move(inner, inside, outer, [*place[:-1], column])
            return ()

        emitter.for_loop(thread, total, self.kernel.threads, (), one)

    # Products

    def zeros(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """Sums of zeros."""
        if not isinstance(op, InitAccumulatorOp):
            return ()
        type_ = held_type(accumulator_type(op.result))
        return [emitter.splat(scalar_attribute(0.0, type_.get_element_type()), type_)]

    def multiply(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """Every thread computes the cells that it holds."""
        if not isinstance(op, WarpgroupMmaOp):
            return ()
        rows, columns = accumulator_type(op.result).sizes
        type_ = held_type(accumulator_type(op.result))
        (left, deep_left), (right, deep_right) = (_factor(op, value) for value in (op.a, op.b))
        element = descriptor_type(op.a).matrix.get_element_type()
        warp, group, member = _positions(emitter)
        row = emitter.add(emitter.multiply(warp, 16), group)
        down = [emitter.add(row, start + half * 8) for start in range(0, rows, WARPGROUP_ROWS) for half in range(2)]
        across = [
            emitter.add(emitter.multiply(member, 2), start + one) for start in range(0, columns, 8) for one in range(2)
        ]
        cells = [
            (i, j)
            for m in range(0, len(down), 2)
            for n in range(0, len(across), 2)
            for i in (m, m + 1)
            for j in (n, n + 1)
        ]
        places = [(number // 2, number % 2) for number in range(len(cells))]
        start = [emitter.value(vector.ExtractOp(op.c, place, f32)) for place in places]

        def step(inner: Emitter, depth: SSAValue, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            lefts = [_element(inner, left, at, depth, deep_left, element) for at in down]
            rights = [_element(inner, right, at, depth, deep_right, element) for at in across]
            return [
                inner.value(math.FmaOp(lefts[i], rights[j], total)) for (i, j), total in zip(cells, sums, strict=True)
            ]

        sums = emitter.for_loop(0, op.depth, 1, start, step)
        return [emitter.value(vector.FromElementsOp(list(sums), type_))]

    def read(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """Squares of two by two of the sums."""
        return [
            emitter.value(vector.ExtractStridedSliceOp(op.operands[0], [2 * number], [2]))
            for number in range(len(op.results))
        ]

    def write(self, emitter: Emitter, op: Operation) -> Sequence[SSAValue]:
        """Sums to a buffer."""
        if isinstance(op, WarpgroupStoreOp):
            rows, columns = memref_type(op.target).get_shape()
            count = rows * columns // 512
            cells = [emitter.value(vector.ExtractStridedSliceOp(op.sums, [2 * one], [2])) for one in range(count)]
            _store_cells(emitter, cells, op.target)
        return ()


def _positions(emitter: Emitter) -> tuple[Index, Index, Index]:
    """This thread's warp in its warpgroup, its lane's group of four, and its place in that."""
    thread = emitter.value(gpu.ThreadIdOp())
    lane = emitter.remainder(thread, WARP)
    warp = emitter.remainder(emitter.divide(thread, WARP), WARPS)
    return warp, emitter.divide(lane, 4), emitter.remainder(lane, 4)


def _store_cells(emitter: Emitter, cells: Sequence[SSAValue], target: SSAValue) -> None:
    """Store squares of two by two, which lie eight rows apart."""
    rows, columns = memref_type(target).get_shape()
    warp, group, member = _positions(emitter)
    row = emitter.add(emitter.multiply(warp, 16), group)
    places = [(down, across) for down in range(0, rows, WARPGROUP_ROWS) for across in range(0, columns, 8)]
    for (down, across), square in zip(places, cells, strict=True):
        for half in range(2):
            for one in range(2):
                at = emitter.add(row, down + 8 * half), emitter.add(emitter.multiply(member, 2), across + one)
                emitter.store(emitter.value(vector.ExtractOp(square, [half, one], f32)), target, at)


def _expand_stores(kernel: gpu.FuncOp) -> None:
    """Stores of sums where the rest is native: every thread stores what it reads of them."""
    for op in [one for one in kernel.walk() if isinstance(one, WarpgroupStoreOp)]:
        emitter = Emitter.ahead_of(op, Constants(kernel.body.block))
        rows, columns = memref_type(op.target).get_shape()
        cast = UnrealizedConversionCastOp.get([op.sums], [VectorType(f32, (2, 2))] * (rows * columns // 512))
        emitter.append(cast)
        _store_cells(emitter, cast.results, op.target)
        _erase(op)


def _is_ours(op: Operation) -> bool:
    if isinstance(op, UnrealizedConversionCastOp):
        return any(isinstance(value.type, AccumulatorType) for value in op.operands)
    return type(op) in EXPANSIONS


def _has_plain_arrivals(barriers: SSAValue) -> bool:
    """Whether threads arrive at some barriers without bytes that come later."""
    users = [use.operation for use in barriers.uses]
    return any(
        isinstance(op, MBarrierArriveOp) or (isinstance(op, MBarrierArriveExpectOp) and known_index(op.bytes) == 0)
        for op in users
    )


def held_type(type_: AccumulatorType) -> VectorType[Attribute]:
    """What a thread holds of sums: pairs of neighbors."""
    rows, columns = type_.sizes
    return VectorType(type_.vector.get_element_type(), (rows * columns // 256, 2))


def _factor(op: Operation, descriptor: SSAValue) -> tuple[SSAValue, bool]:
    """A factor's panels in shared memory, and whether their lines go along the depth."""
    made = descriptor.owner
    if not isinstance(made, GenerateDescriptorOp):
        raise error_at(op, "expected the descriptor of a known buffer")
    along_depth = not (isinstance(op, WarpgroupMmaOp) and descriptor is op.b and op.transpose_b is not None)
    return made.tensor, along_depth


def _element(
    emitter: Emitter, panels: SSAValue, side: Index, depth: Index, along_depth: bool, element: Attribute
) -> SSAValue:
    """An element of a factor, as f32."""
    type_ = memref_type(panels)
    line, along = (side, depth) if along_depth else (depth, side)
    width = type_.get_shape()[-1]
    bytes_each = element_bytes(type_.get_element_type())
    column = swizzled(emitter, line, emitter.remainder(along, width), bytes_each, width * bytes_each)
    panel = [emitter.divide(along, width)] if type_.get_num_dims() == 3 else []
    value = emitter.load(panels, [*panel, line, column])
    if isinstance(element, FloatTF32Type):
        return _rounded(emitter, value)
    return value if value.type == f32 else emitter.value(arith.ExtFOp(value, f32))


def _rounded(emitter: Emitter, value: SSAValue) -> SSAValue:
    """An f32 as tf32, as copies by tensor maps of tf32 round it: to the nearest, halves away from zero."""
    kept, half = (emitter.constants.get(IntegerAttr(one, i32), i32) for one in (TF32_BITS, TF32_HALF))
    bits = emitter.value(arith.AddiOp(emitter.value(arith.BitcastOp(value, i32)), half))
    rounded = emitter.value(arith.BitcastOp(emitter.value(arith.AndIOp(bits, kept)), f32))
    # The bits of a NaN may overflow.
    is_nan = emitter.value(arith.CmpfOp(value, value, "uno"))
    return emitter.value(arith.SelectOp(is_nan, value, rounded))


Expansion = Callable[["_Expander", Emitter, Operation], Sequence[SSAValue]]

EXPANSIONS: Mapping[type[Operation], Expansion] = {
    MBarrierCreateOp: _Expander.nothing,
    MBarrierInitOp: _Expander.nothing,
    MBarrierArriveOp: _Expander.arrive,
    MBarrierArriveExpectOp: _Expander.arrive_expecting,
    MBarrierTestWaitOp: _Expander.test,
    MBarrierTryWaitOp: _Expander.wait,
    TmaFenceOp: _Expander.nothing,
    TmaPrefetchOp: _Expander.nothing,
    TmaLoadOp: _Expander.load,
    TmaStoreOp: _Expander.store,
    GenerateDescriptorOp: _Expander.nothing,
    InitAccumulatorOp: _Expander.zeros,
    WarpgroupMmaOp: _Expander.multiply,
    WarpgroupStoreOp: _Expander.write,
    UnrealizedConversionCastOp: _Expander.read,
}
"""By op; casts only those of sums."""
