"""Transposes: tiles turned in shared memory, so that neighboring threads read and write neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr

from lamina.dialects.hardware import gpu
from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.bodies import argument_at, emit_body
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.row_shapes import static_extents
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import body_block, element_type, emit_affine, extent, iterators_of, maps_of

TILE, LINES = 32, 8
"""Rows and columns of a tile, and rows that the threads of a block bring at a time."""

PADDING = 1
"""Added to a row of shared memory, so that threads that go down a column meet different banks."""

SHORTEST = 8
"""Axes of fewer elements are not worth a tile."""

MOST_TURNED = 2


@dataclass(frozen=True)
class Transpose:
    """An elementwise stage: inputs `turned` lie along another axis, `across`, than its result, `along`."""

    op: linalg.GenericOp
    across: int
    along: int
    turned: Sequence[int]

    @staticmethod
    def of(op: Operation) -> Transpose | None:
        """The transpose that an op is, None for any other op."""
        if not isinstance(op, linalg.GenericOp) or not all(iterators_of(op)) or len(op.outputs) != 1:
            return None
        if any(inner.name in ("memref.load", "memref.store") for inner in op.body.walk()):
            return None
        maps, sizes = maps_of(op), static_extents(op)
        along = _fast_dim(maps[-1].results)
        if along is None or _is_short(sizes[along]):
            return None
        candidates: dict[int, list[int]] = {}
        for number, operand in enumerate(op.inputs):
            fast = _fast_dim(maps[number].results)
            if not is_memref(operand.type) or fast is None or fast == along or not body_block(op).args[number].uses:
                continue
            if any(along in result.used_dims() for result in maps[number].results) and not _is_short(sizes[fast]):
                candidates.setdefault(fast, []).append(number)
        written = {dim for result in maps[-1].results for dim in result.used_dims()}
        for across, turned in candidates.items():
            if across in written and len(turned) <= MOST_TURNED:
                return Transpose(op, across, along, turned)
        return None


def _fast_dim(results: Sequence[object]) -> int | None:
    """The dim that a buffer's last axis is, None where it is another expression."""
    last = results[-1] if results else None
    return last.position if isinstance(last, AffineDimExpr) else None


def _is_short(size: int | None) -> bool:
    return size is not None and size != DYNAMIC_INDEX and size < SHORTEST


def outline_transpose(maker: KernelMaker, transpose: Transpose) -> None:
    """Make the kernel of a transpose.

        linalg.generic ins(%x : memref<1000x512xf32>) outs(%y : memref<512x1000xf32>) {maps (i, j) -> (j, i), (i, j)}
    →
        32×16 blocks of 256 threads: 32×32 elements of %x row by row to shared memory, gpu.barrier, from there column by
        column to %y
    """
    op = transpose.op
    host = maker.host(op)
    count = len(iterators_of(op))
    sizes = [extent(host, op, dim) for dim in range(count)]
    tiled = {transpose.across, transpose.along}
    grid = host.product([host.ceil_divide(size, TILE) if dim in tiled else size for dim, size in enumerate(sizes)])
    kernel = maker.begin(op)
    _TransposeKernel(kernel, transpose).emit()
    op.detach()
    op.erase()
    maker.finish(kernel, grid, TILE * LINES)


class _TransposeKernel:
    """Emits one kernel."""

    def __init__(self, kernel: Kernel, transpose: Transpose):
        self.kernel = kernel
        self.emitter = kernel.emitter
        self.transpose = transpose

    def emit(self) -> None:
        """Bring the tiles, wait, carry out the body on what they hold."""
        inner, transpose = self.emitter, self.transpose
        op = transpose.op
        self.extents = [extent(inner, op, dim) for dim in range(len(iterators_of(op)))]
        across, along = transpose.across, transpose.along
        block, thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        order = [dim for dim in range(len(self.extents)) if dim not in (across, along)]
        counts = [self.extents[dim] for dim in order]
        counts += [inner.ceil_divide(self.extents[dim], TILE) for dim in (across, along)]
        *outer, first, second = delinearized(inner, block, counts)
        self.origin: list[Index] = [0] * len(self.extents)
        for dim, index in zip(order, outer, strict=True):
            self.origin[dim] = index
        self.origin[across], self.origin[along] = inner.multiply(first, TILE), inner.multiply(second, TILE)
        self.column, self.line = inner.remainder(thread, TILE), inner.divide(thread, TILE)
        tiles = {
            number: self.kernel.share(element_type(op.operands[number]), [TILE * (TILE + PADDING)])
            for number in transpose.turned
        }
        for step in range(TILE // LINES):
            self._bring(step, tiles)
        inner.append(gpu.BarrierOp())
        for step in range(TILE // LINES):
            self._write(step, tiles)

    def _at(self, emitter: Emitter, step: int, fast: int, slow: int) -> tuple[list[Index], Index, SSAValue]:
        """Positions of this thread, `fast` running along threads; the line in the tile; whether it is inside."""
        line = emitter.add(self.line, step * LINES)
        at = list(self.origin)
        at[fast], at[slow] = emitter.add(at[fast], self.column), emitter.add(at[slow], line)
        near, far = (emitter.compare("ult", at[dim], self.extents[dim]) for dim in (fast, slow))
        return at, line, emitter.value(arith.AndIOp(near, far))

    def _bring(self, step: int, tiles: dict[int, SSAValue]) -> None:
        op = self.transpose.op
        at, line, inside = self._at(self.emitter, step, self.transpose.across, self.transpose.along)

        def load(inner: Emitter) -> None:
            for number, tile in tiles.items():
                value = argument_at(inner, op.operands[number], maps_of(op)[number], at)
                inner.store(value, tile, [inner.add(inner.multiply(line, TILE + PADDING), self.column)])

        self.emitter.branch(inside, load)

    def _write(self, step: int, tiles: dict[int, SSAValue]) -> None:
        op, block = self.transpose.op, body_block(self.transpose.op)
        at, line, inside = self._at(self.emitter, step, self.transpose.along, self.transpose.across)

        def store(inner: Emitter) -> None:
            place = [inner.add(inner.multiply(self.column, TILE + PADDING), line)]
            arguments = [
                None
                if not argument.uses
                else inner.load(tiles[number], place)
                if number in tiles
                else argument_at(inner, operand, map_, at)
                for number, (operand, map_, argument) in enumerate(
                    zip(op.operands, maps_of(op), block.args, strict=True)
                )
            ]
            (value,) = emit_body(inner, block, arguments, at)
            cell = [emit_affine(inner, expression, at) for expression in maps_of(op)[-1].results]
            inner.store(value, op.outputs[0], cell)

        self.emitter.branch(inside, store)
