"""Products of fragments by matrix cores where a target has none: lanes pass their factors on in shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects import math
from xdsl.dialects.builtin import Float64Type, f32
from xdsl.ir import Attribute, SSAValue

from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.amdgpu import MatrixCoreOp, element_of
from lamina.dialects.loop import arith, vector
from lamina.dialects.loop.types import is_vector
from lamina.passes.loop.emitter import Emitter, Index, vector_of

Share = Callable[[str, Attribute, int], SSAValue]
"""A buffer in shared memory by purpose, element type and elements of each thread: `[threads, elements]`."""


def emulated_matrix_core(emitter: Emitter, op: MatrixCoreOp, share: Share) -> SSAValue:
    """Emit what an op computes: every lane its own elements of d, in f64 for f64, else in f32.

    memref.store %a…, %shared_a[%thread, …]; memref.store %b…; gpu.barrier
    scf.for %k = 0 to 16 iter_args(%c…) { a's row and b's column from the lanes that have them; math.fma }
    gpu.barrier
    """
    core, (m, n, k) = op.core, op.sizes
    thread = emitter.value(gpu.ThreadIdOp())
    lane = emitter.remainder(thread, core.lanes)
    wave = emitter.subtract(thread, lane)
    element, total = element_of(op.a), element_of(op.c)
    wide: Attribute = element if isinstance(element, Float64Type) else f32
    factors = [share(f"factor{number}", element, core.held) for number in (0, 1)]
    for buffer, value in zip(factors, (op.a, op.b), strict=True):
        for place, one in enumerate(_values(emitter, value, element)):
            emitter.store(one, buffer, [thread, place])
    emitter.append(gpu.BarrierOp())
    group = emitter.multiply(emitter.divide(lane, n), core.step)
    rows = [emitter.add(group, row) for row in core.rows]
    column = emitter.remainder(lane, n)
    start = _values(emitter, op.c, total)

    def step(inner: Emitter, depth: SSAValue, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        def held(factor: int, side: Index, size: int) -> SSAValue:
            # Where a lane has the whole depth, the lanes behind the first `size` repeat it.
            holder = inner.add(side, inner.multiply(inner.divide(depth, core.held), size))
            value = inner.load(factors[factor], [inner.add(wave, holder), inner.remainder(depth, core.held)])
            return value if value.type == wide else inner.value(arith.ExtFOp(value, wide))

        right = held(1, column, n)
        return [inner.value(math.FmaOp(held(0, row, m), right, one)) for row, one in zip(rows, sums, strict=True)]

    sums = emitter.for_loop(0, k, 1, start, step)
    emitter.append(gpu.BarrierOp())
    return emitter.value(vector.FromElementsOp(list(sums), vector_of((len(sums),), total)))


def _values(emitter: Emitter, value: SSAValue, element: Attribute) -> list[SSAValue]:
    """The values of a lane, one by one."""
    if not is_vector(value.type):
        return [value]
    return [emitter.value(vector.ExtractOp(value, [place], element)) for place in range(value.type.get_shape()[0])]
