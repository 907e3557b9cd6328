"""Where elements lie in lines of shared memory whose chunks of 16 bytes change places from line to line."""

from __future__ import annotations

from lamina.dialects.loop import arith
from lamina.passes.loop.emitter import INDEX, Emitter, Index

CHUNK = 16


def swizzled(emitter: Emitter, line: Index, column: Index, bytes_each: int, line_bytes: int) -> Index:
    """The place of an element in a line whose chunks of 16 bytes are swizzled (`nvgpu_types.swizzled_chunk`)."""
    chunks = min(line_bytes // CHUNK, 8)
    if chunks < 2:
        return column
    turn = emitter.remainder(emitter.divide(line, 8 // chunks), chunks)
    shift = emitter.multiply(turn, CHUNK // bytes_each)
    if isinstance(column, int) and isinstance(shift, int):
        return column ^ shift
    return emitter.computed(arith.XOrIOp, (emitter.index(column), emitter.index(shift)), INDEX)


def can_swizzle(line_bytes: int) -> bool:
    """Whether lines of some bytes have as many chunks as can change places: 2, 4, or a multiple of 8."""
    return line_bytes in (32, 64) or line_bytes % 128 == 0
