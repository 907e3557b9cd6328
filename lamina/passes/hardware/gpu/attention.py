"""Attention as one kernel: a block of queries against one block of keys after the other, no scores in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import TypeAlias

from xdsl.dialects import math
from xdsl.dialects.builtin import StringAttr, f32
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_communication import SubgroupReduceOp
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.loop import arith
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.alignment import is_dense, starts_aligned
from lamina.passes.hardware.gpu.attention_fragments import FragmentAttention
from lamina.passes.hardware.gpu.attention_schedule import FragmentSchedule, Problem, fragment_schedule
from lamina.passes.hardware.gpu.attention_stages import (
    BLOCKS,
    COLUMN,
    FEATURE,
    OUTPUT,
    ROW,
    Attention,
    Known,
    Source,
    StageBodies,
    other_factor,
    sizes_of,
    static_extent,
)
from lamina.passes.hardware.gpu.bodies import forget
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.product_loads import widest_load
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import Schedule, emit_affine, maps_of
from lamina.passes.tensor.schedules.stage_view import StageView, numbers, write_schedule

ATTENTION = "gpu-attention"
"""The kind of the schedule of all stages of an attention."""

LANES, ROWS = 16, 4
"""Threads that share queries, and queries of one of them."""

KEYS = 32
"""Keys of a block."""

QUERIES = (64, 32, 16)
"""Queries of a block: the first of these that shared memory has room for."""

MOST_FEATURES = 256
PADDING = 1
"""Added to a row of shared memory, so that threads that go down a column meet different banks."""


Load: TypeAlias = Callable[[Emitter, SSAValue], None]


def assign_attention(stages: Sequence[StageView], target: GpuDescription) -> None:
    """Schedules of the stages that are an attention: with fragments where the target has them for its type."""
    run: list[StageView] = []
    for stage in [*stages, None]:
        if stage is not None and BLOCKS in stage.op.attributes:
            run.append(stage)
            continue
        attention = Attention.of([one.op for one in run])
        entries = None if attention is None else _entries(attention, run, target)
        for one in run if entries is not None else ():
            write_schedule(one.op, {"kind": StringAttr(ATTENTION), **(entries or {})})
        run = []


def _entries(
    attention: Attention, stages: Sequence[StageView], target: GpuDescription
) -> Mapping[str, Attribute] | None:
    """What a schedule says beside the kind, None where the sizes do not suit the kernels."""
    known: dict[str, int | None] = {}
    assumed: dict[str, int] = {}
    for stage in stages:
        for dim, (name, size) in enumerate(zip(stage.names, stage.sizes, strict=True)):
            if known.get(name) is None:
                known[name], assumed[name] = size, stage.size(dim)
    features, outputs, rows = known.get(FEATURE), known.get(OUTPUT), known.get(ROW)
    if features is None or outputs is None or not 0 < features <= MOST_FEATURES or not 0 < outputs <= MOST_FEATURES:
        return None
    if rows is not None and rows < 2:
        return None
    sources = attention.sources
    if sources is not None:
        beside = prod(assumed[name] for name in attention.outer)
        problem = Problem(sources[0].element, features, outputs, assumed[ROW], beside, attention.masked is not None)
        schedule = fragment_schedule(problem, target)
        if schedule is not None:
            return schedule.entries()
    for queries in QUERIES:
        if rows is not None and queries > QUERIES[-1] and queries >= 2 * rows:
            continue
        used = sum(_shared_elements(queries, features, outputs)) * 4
        if used + 4 * queries * LANES // ROWS <= target.shared_memory:
            return {"block": numbers({ROW: queries, COLUMN: KEYS})}
    return None


def _shared_elements(queries: int, features: int, outputs: int) -> tuple[int, int, int]:
    """Elements of shared memory: the queries, a block of keys or values, the weights."""
    columns = LANES * -(-outputs // LANES)
    return (
        features * (queries + PADDING),
        max(features * (KEYS + PADDING), KEYS * columns),
        KEYS * (queries + PADDING),
    )


RESIDENT, RESIDENT_IN_PARTS = 768, 256
"""Threads of a processor: with 80 registers each, and, where warps share queries, with all that a thread can have."""


def outline_attention(maker: KernelMaker, op: linalg.GenericOp) -> None:
    """Make the kernel of an attention, whose first stage is `op`.

    %q: a block of queries in shared memory, scaled
    scf.for %n = 0 to %keys step 32 iter_args(4 maxima, 4 sums, 4 × features/16 results) {
      a block of keys in shared memory; 4×2 scores per thread; masks; the maxima of 16 threads by shuffles
      weights = exp(score - maximum) to shared memory; sums and results are scaled by exp(old - new maximum)
      a block of values in shared memory; results += weights · values
    }
    results / sums

    Causal attention stops at the last key that the block's last query sees.
    """
    stages: list[linalg.GenericOp] = []
    ops: list[Operation] = []
    following: Operation | None = op
    while following is not None:
        schedule = Schedule.of(following) if isinstance(following, linalg.GenericOp) else None
        if isinstance(following, linalg.GenericOp) and schedule is not None and schedule.kind == ATTENTION:
            stages.append(following)
            ops.append(following)
            if Attention.of(stages) is not None:
                break
        elif isinstance(following, linalg.FillOp):
            ops.append(following)
        following = following.next_op
    attention = Attention.of(stages)
    if attention is None:
        raise error_at(op, "its schedule is an attention's, its stages are not")
    schedule = Schedule.of(op)
    queries = dict(schedule.block)[ROW] if schedule is not None else QUERIES[0]
    temporaries = [one.outputs[0] for one in stages[:-1]]
    fragments = FragmentSchedule.of(op)
    widths = _widths(attention, maker) if fragments is not None else ()
    host = maker.host(stages[-1])
    sizes = sizes_of(host, attention)
    grid = host.multiply(host.product([sizes[name] for name in attention.outer]), host.ceil_divide(sizes[ROW], queries))
    kernel = maker.begin(*ops)
    moved = Attention.of(stages)
    assert moved is not None
    if fragments is not None:
        FragmentAttention(kernel, moved, fragments, widths).emit()
    else:
        _AttentionKernel(kernel, moved, queries, temporaries).emit()
    for one in reversed(ops):
        one.detach()
        one.erase()
    if fragments is None:
        maker.finish(kernel, grid, queries // ROWS * LANES, RESIDENT)
    else:
        maker.finish(kernel, grid, fragments.threads, RESIDENT_IN_PARTS if fragments.parts > 1 else 0)
    for buffer in dict.fromkeys(temporaries):
        forget(buffer)


def _widths(attention: Attention, maker: KernelMaker) -> list[int]:
    """How many neighboring features of queries, keys, values and results can be accessed at once."""

    def aligned(source: Source, feature: str) -> int:
        dim = source.dim(feature)
        size = static_extent(source.op, dim)
        if not is_dense(memref_type(source.operand)) or not starts_aligned(source.operand, maker.unaligned):
            return 1
        return widest_load(source.map, source.shape, dim, size, element_bytes(source.element))

    sources, op = attention.sources, attention.result
    if sources is None:
        return []
    result = Source(op, op.outputs[0], maps_of(op)[-1], 1.0)
    features = (FEATURE, FEATURE, OUTPUT, OUTPUT)
    return [aligned(source, feature) for source, feature in zip((*sources, result), features, strict=True)]


class _AttentionKernel:
    """Emits one kernel. Values by axis name say where a body stands."""

    def __init__(self, kernel: Kernel, attention: Attention, queries: int, temporaries: Sequence[SSAValue]):
        self.kernel = kernel
        self.emitter = kernel.emitter
        self.attention = attention
        self.queries = queries
        self.threads = queries // ROWS * LANES
        self.bodies = StageBodies()

    def emit(self) -> None:
        """The queries, the loop over blocks of keys, the results."""
        inner, attention = self.emitter, self.attention
        self.sizes = sizes_of(inner, attention)
        features, outputs = self.sizes[FEATURE], self.sizes[OUTPUT]
        assert isinstance(features, int) and isinstance(outputs, int)
        self.columns = -(-outputs // LANES)
        sizes = _shared_elements(self.queries, features, outputs)
        self.query_tile, self.tile, self.weight_tile = (self.kernel.share(f32, [size]) for size in sizes)
        block, self.thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        blocks = inner.ceil_divide(self.sizes[ROW], self.queries)
        names = attention.outer
        at = delinearized(inner, block, [*(self.sizes[name] for name in names), blocks])
        self.outer: dict[str, Index] = dict(zip(names, at, strict=False))
        self.first = inner.multiply(at[-1], self.queries)
        self.row = inner.multiply(inner.divide(self.thread, LANES), ROWS)
        self.lane = inner.remainder(self.thread, LANES)
        self.rows = [inner.add(self.first, inner.add(self.row, number)) for number in range(ROWS)]
        last = inner.subtract(self.sizes[ROW], 1)
        self.safe_rows = [inner.minimum(row, last) for row in self.rows]
        self._load_queries(features)
        zero, lowest = inner.scalar_constant(0.0, f32), inner.scalar_constant(-inf, f32)
        start = [*[lowest] * ROWS, *[zero] * ROWS, *[zero] * (ROWS * self.columns)]
        found = inner.for_loop(0, self._key_limit(), KEYS, start, self._block)
        self._store(found[ROWS : 2 * ROWS], found[2 * ROWS :], outputs)

    def _key_limit(self) -> Index:
        """Behind the last key that a query of this block sees."""
        inner, keys = self.emitter, self.sizes[COLUMN]
        if self.attention.limit is None:
            return keys
        end = inner.add(self.first, self.queries)
        if self.attention.limit == "end":
            end = inner.add(end, inner.subtract(keys, self.sizes[ROW]))
        return inner.maximum(inner.minimum(end, keys), 0)

    # Shared memory

    def _fill(self, emitter: Emitter, count: int, load: Load) -> None:
        """All threads bring `count` elements."""
        emitter.loop(self.thread, count, self.threads, load)

    def _load_queries(self, features: int) -> None:
        def load(inner: Emitter, flat: SSAValue) -> None:
            row, feature = inner.divide(flat, features), inner.remainder(flat, features)
            place = inner.minimum(inner.add(self.first, row), inner.subtract(self.sizes[ROW], 1))
            value = self.bodies.result(inner, self.attention.query, {**self.outer, ROW: place, FEATURE: feature}, {})
            cell = inner.add(inner.multiply(feature, self.queries + PADDING), row)
            inner.store(value, self.query_tile, [cell])

        self._fill(self.emitter, self.queries * features, load)

    def _load_keys(self, emitter: Emitter, start: SSAValue, features: int) -> None:
        factor = other_factor(self.attention.scores, self.attention.query)
        assert factor is not None

        def load(inner: Emitter, flat: SSAValue) -> None:
            key, feature = inner.divide(flat, features), inner.remainder(flat, features)
            place = inner.minimum(inner.add(start, key), inner.subtract(self.sizes[COLUMN], 1))
            at = {**self.outer, ROW: self.first, COLUMN: place, FEATURE: feature}
            value = self.bodies.value(inner, self.attention.scores, factor, at, {})
            inner.store(value, self.tile, [inner.add(inner.multiply(feature, KEYS + PADDING), key)])

        self._fill(emitter, KEYS * features, load)

    def _load_values(self, emitter: Emitter, start: SSAValue, outputs: int) -> None:
        factor = other_factor(self.attention.mixture, self.attention.weights)
        assert factor is not None
        width = LANES * self.columns

        def load(inner: Emitter, flat: SSAValue) -> None:
            key, output = inner.divide(flat, width), inner.remainder(flat, width)
            place = inner.minimum(inner.add(start, key), inner.subtract(self.sizes[COLUMN], 1))
            at = {
                **self.outer,
                ROW: self.first,
                COLUMN: place,
                OUTPUT: output if width == outputs else inner.minimum(output, outputs - 1),
            }
            value = self.bodies.value(inner, self.attention.mixture, factor, at, {})
            # The weight of a key that does not exist is 0, which is not enough for a value that is infinite.
            exists = inner.compare("ult", inner.add(start, key), self.sizes[COLUMN])
            value = inner.value(arith.SelectOp(exists, value, inner.scalar_constant(0.0, f32)))
            inner.store(value, self.tile, [inner.add(inner.multiply(key, width), output)])

        self._fill(emitter, KEYS * width, load)

    # One block of keys

    def _block(self, emitter: Emitter, start: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        features, outputs = self.sizes[FEATURE], self.sizes[OUTPUT]
        assert isinstance(features, int) and isinstance(outputs, int)
        maxima, sums, results = carried[:ROWS], carried[ROWS : 2 * ROWS], carried[2 * ROWS :]
        emitter.append(gpu.BarrierOp())
        self._load_keys(emitter, start, features)
        emitter.append(gpu.BarrierOp())
        scores = self._scores(emitter, features)
        keys = [emitter.add(start, emitter.add(self.lane, number * LANES)) for number in range(KEYS // LANES)]
        last = emitter.subtract(self.sizes[COLUMN], 1)
        safe_keys = [emitter.minimum(key, last) for key in keys]
        exists = [emitter.compare("ult", key, self.sizes[COLUMN]) for key in keys]
        zero, lowest = emitter.scalar_constant(0.0, f32), emitter.scalar_constant(-inf, f32)
        scales: list[SSAValue] = []
        new_maxima: list[SSAValue] = []
        new_sums: list[SSAValue] = []
        for number in range(ROWS):
            row: list[SSAValue] = []
            largest = lowest
            for key, inside, score in zip(safe_keys, exists, scores[number], strict=True):
                at = {**self.outer, ROW: self.safe_rows[number], COLUMN: key}
                masked = self._masked(emitter, at, score)
                row.append(masked)
                above = self.bodies.result(emitter, self.attention.maxima, at, self._known_score(masked), largest)
                largest = emitter.value(arith.SelectOp(inside, above, largest))
            largest = emitter.value(arith.MaximumfOp(largest, maxima[number]))
            largest = emitter.value(SubgroupReduceOp("maximumf", largest, LANES))
            is_lowest = emitter.value(arith.CmpfOp(largest, lowest, "oeq"))
            # Where nothing takes part so far, weights are 0 and not the exponential of infinity minus infinity.
            base = emitter.value(arith.SelectOp(is_lowest, zero, largest))
            scale = emitter.value(math.ExpOp(emitter.value(arith.SubfOp(maxima[number], base))))
            total = emitter.value(arith.MulfOp(sums[number], scale))
            for column, (key, inside, score) in enumerate(zip(safe_keys, exists, row, strict=True)):
                at = {**self.outer, ROW: self.safe_rows[number], COLUMN: key}
                known = {**self._known_score(score), self.attention.maxima: base}
                weight = self.bodies.result(emitter, self.attention.weights, at, known)
                weight = emitter.value(arith.SelectOp(inside, weight, zero))
                total = emitter.value(arith.AddfOp(total, weight))
                place = emitter.multiply(emitter.add(self.lane, column * LANES), self.queries + PADDING)
                emitter.store(weight, self.weight_tile, [emitter.add(place, emitter.add(self.row, number))])
            scales.append(scale)
            new_maxima.append(largest)
            new_sums.append(total)
        emitter.append(gpu.BarrierOp())
        self._load_values(emitter, start, outputs)
        emitter.append(gpu.BarrierOp())
        scaled = [
            emitter.value(arith.MulfOp(value, scales[number // self.columns])) for number, value in enumerate(results)
        ]
        return [*new_maxima, *new_sums, *self._mixed(emitter, scaled)]

    def _scores(self, emitter: Emitter, features: int) -> list[list[SSAValue]]:
        """4×2 products of queries and keys."""
        columns = KEYS // LANES
        zero = emitter.scalar_constant(0.0, f32)

        def step(inner: Emitter, feature: SSAValue, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            query = inner.add(inner.multiply(feature, self.queries + PADDING), self.row)
            key = inner.add(inner.multiply(feature, KEYS + PADDING), self.lane)
            left = [inner.load(self.query_tile, [inner.add(query, number)]) for number in range(ROWS)]
            right = [inner.load(self.tile, [inner.add(key, number * LANES)]) for number in range(columns)]
            return [
                inner.value(math.FmaOp(left[row], right[column], sums[row * columns + column]))
                for row in range(ROWS)
                for column in range(columns)
            ]

        found = emitter.for_loop(0, features, 1, [zero] * (ROWS * columns), step)
        return [list(found[row * columns : (row + 1) * columns]) for row in range(ROWS)]

    def _known_score(self, score: SSAValue) -> Known:
        """A masked score under the names that stages may read it by."""
        attention = self.attention
        return {attention.scores if attention.masked is None else attention.masked: score}

    def _masked(self, emitter: Emitter, at: Mapping[str, Index], score: SSAValue) -> SSAValue:
        masked = self.attention.masked
        return score if masked is None else self.bodies.result(emitter, masked, at, {self.attention.scores: score})

    def _mixed(self, emitter: Emitter, results: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Weighted values added to the results."""
        width = LANES * self.columns

        def step(inner: Emitter, key: SSAValue, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            weight = inner.add(inner.multiply(key, self.queries + PADDING), self.row)
            value = inner.add(inner.multiply(key, width), self.lane)
            left = [inner.load(self.weight_tile, [inner.add(weight, number)]) for number in range(ROWS)]
            right = [inner.load(self.tile, [inner.add(value, number * LANES)]) for number in range(self.columns)]
            return [
                inner.value(math.FmaOp(left[row], right[column], sums[row * self.columns + column]))
                for row in range(ROWS)
                for column in range(self.columns)
            ]

        return emitter.for_loop(0, KEYS, 1, list(results), step)

    def _store(self, sums: Sequence[SSAValue], results: Sequence[SSAValue], outputs: int) -> None:
        """Divide, and write what is inside of the result."""
        inner, op = self.emitter, self.attention.result
        totals = [inner.value(SubgroupReduceOp("add", total, LANES)) for total in sums]
        for number in range(ROWS):

            def row(emitter: Emitter, number: int = number) -> None:
                for column in range(self.columns):
                    output = emitter.add(self.lane, column * LANES)
                    at = {**self.outer, ROW: self.rows[number], OUTPUT: output}
                    known = {
                        self.attention.mixture: results[number * self.columns + column],
                        self.attention.sums: totals[number],
                    }

                    def store(deep: Emitter, at: Mapping[str, Index] = at, known: Known = known) -> None:
                        value = self.bodies.result(deep, op, at, known)
                        positions = self.bodies.positions(op, at)
                        cell = [emit_affine(deep, one, positions) for one in maps_of(op)[-1].results]
                        deep.store(value, op.outputs[0], cell)

                    if (column + 1) * LANES <= outputs:
                        store(emitter)
                    else:
                        emitter.branch(emitter.compare("ult", output, outputs), store)

            inner.branch(inner.compare("ult", self.rows[number], self.sizes[ROW]), row)
