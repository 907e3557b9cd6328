"""Attention on matrix units: scores stay in registers, as sums of the first product and as a factor of the second.

T. Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import e, inf, log2

from xdsl.dialects import math
from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import f32
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_communication import SubgroupReduceOp
from lamina.dialects.hardware.nvgpu import (
    COPY_BYTES,
    AsyncCopyOp,
    AsyncCreateGroupOp,
    AsyncWaitOp,
    LdMatrixOp,
    MmaSyncOp,
)
from lamina.dialects.loop import arith, vector
from lamina.passes.hardware.gpu.attention_schedule import (
    LINE,
    SLOTS,
    TILE,
    WARP,
    FragmentSchedule,
    Problem,
    shared_shapes,
)
from lamina.passes.hardware.gpu.attention_stages import (
    COLUMN,
    FEATURE,
    OUTPUT,
    ROW,
    Attention,
    Known,
    Source,
    StageBodies,
    sizes_of,
)
from lamina.passes.hardware.gpu.kernel import Kernel
from lamina.passes.hardware.gpu.product_loads import aligned_load, aligned_store
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import Emitter, Index, memref_type, scalar_attribute, vector_of
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import emit_affine, maps_of

UNROLLED = 16
"""Copies of a thread that are written out, at most."""

KEPT_QUERIES = 32
"""Registers of queries that a thread keeps; where there are more, they are loaded again for every block of keys."""

APPROXIMATE = FastMathFlagsAttr([FastMathFlag.APPROX_FUNC])


@dataclass(frozen=True)
class Staging:
    """Rows of an operand in shared memory: the axes that it has, features with and without padding, and how they come.

    `width`: neighbors that a thread brings at once; `count`: rows.
    """

    source: Source
    row: str
    feature: str
    size: int
    padded: int
    width: int
    count: int
    shared: SSAValue


class FragmentAttention:
    """Emits one kernel.

    %q: queries of the block in shared memory, or in registers
    scf.for %n = 0 to %keys step 64 iter_args(maxima, sums, results) {
      nvgpu.device_async_wait; gpu.barrier; the next block of keys and values begins to come
      scores = queries · keys by nvgpu.mma.sync; masks; maxima of four threads by shuffles
      weights = exp2(score - maximum) as factors; sums and results are scaled by exp2(old - new maximum)
      results += weights · values by nvgpu.mma.sync
    }
    results / sums

    Blocks whose keys are all there and all seen are not asked, the others are.
    """

    def __init__(self, kernel: Kernel, attention: Attention, schedule: FragmentSchedule, widths: Sequence[int]):
        """`widths`: neighbors of queries, keys, values and results that lie aligned in memory."""
        sources = attention.sources
        if sources is None:
            raise error_at(attention.query, "its schedule has fragments, its operands are computed")
        self.kernel = kernel
        self.emitter = kernel.emitter
        self.attention = attention
        self.schedule = schedule
        self.widths = widths
        self.sources = sources
        self.element = sources[0].element
        self.line = LINE // element_bytes(self.element)
        self.shape = (TILE, TILE // 2, schedule.depth)
        self.bodies = StageBodies()
        self.tiles = schedule.warp // TILE
        self.column_tiles = schedule.keys // (TILE // 2)
        self.sums_type = vector_of((2, 2), f32)

    def emit(self) -> None:
        """The queries, the loops over blocks of keys, the results."""
        inner, attention, schedule = self.emitter, self.attention, self.schedule
        self.sizes = sizes_of(inner, attention)
        features, outputs = self.sizes[FEATURE], self.sizes[OUTPUT]
        if not isinstance(features, int) or not isinstance(outputs, int):
            raise error_at(attention.query, "its schedule has fragments, its features are not known")
        problem = Problem(self.element, features, outputs, 0, 0)
        shapes = shared_shapes(schedule, problem)
        query, key, value = (self.kernel.share(self.element, shape) for shape in shapes)
        self.features, self.outputs = shapes[0][-1] - self.line, shapes[2][-1] - self.line
        self.results = self.outputs // schedule.parts // (TILE // 2)
        width = self.widths
        sources = self.sources
        self.query = Staging(sources[0], ROW, FEATURE, features, self.features, width[0], schedule.queries, query)
        self.key = Staging(sources[1], COLUMN, FEATURE, features, self.features, width[1], schedule.keys, key)
        self.value = Staging(sources[2], COLUMN, OUTPUT, outputs, self.outputs, width[2], schedule.keys, value)
        self._positions()
        self.end = self._key_limit()
        token = self._bring(inner, [(self.query, None, self.first, self.sizes[ROW])])
        kept: list[list[SSAValue]] | None = None
        registers = self.tiles * self.features * element_bytes(self.element) // 8
        if registers <= KEPT_QUERIES:
            self._wait(inner, token)
            inner.append(gpu.BarrierOp())
            steps = range(0, self.features, 2 * self.line)
            kept = [[self._queries(inner, tile, deep) for tile in range(self.tiles)] for deep in steps]
        self.kept = kept
        token = self._bring_keys(inner, 0, 0)
        zero, lowest = inner.scalar_constant(0.0, f32), inner.scalar_constant(-inf, f32)
        nothing = inner.splat(scalar_attribute(0.0, f32), self.sums_type)
        rows = 2 * self.tiles
        found: Sequence[SSAValue] = [*[lowest] * rows, *[zero] * rows, *[nothing] * (self.tiles * self.results)]
        found = [*found, *([] if token is None else [token])]
        whole = self._whole_blocks()
        if whole != 0:
            found = inner.for_loop(0, whole, schedule.keys, found, self._whole_block)
        if whole is not self.end and whole != self.end:
            found = inner.for_loop(whole, self.end, schedule.keys, found, self._asked_block)
        if token is not None:
            *found, last = found
            inner.append(AsyncWaitOp(last, 0))
        self._store(found[rows : 2 * rows], found[2 * rows :], outputs)

    def _positions(self) -> None:
        """Where the block, the warp and the thread stand."""
        inner, names, queries = self.emitter, self.attention.outer, self.schedule.queries
        block, self.thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        blocks = inner.ceil_divide(self.sizes[ROW], queries)
        at = delinearized(inner, block, [*(self.sizes[name] for name in names), blocks])
        self.outer: dict[str, Index] = dict(zip(names, at, strict=False))
        number = at[-1]
        if self.attention.limit is not None:
            # The longest first, so that no long one is left at the end.
            number = inner.subtract(inner.subtract(blocks, 1), number)
        self.first = inner.multiply(number, queries)
        self.lane = inner.remainder(self.thread, WARP)
        self.group, self.member = inner.divide(self.lane, 4), inner.remainder(self.lane, 4)
        warp, parts = inner.divide(self.thread, WARP), self.schedule.parts
        self.warp_row = inner.multiply(inner.divide(warp, parts), self.schedule.warp)
        self.first_output = inner.multiply(inner.remainder(warp, parts), self.outputs // parts)
        start = inner.add(inner.add(self.first, self.warp_row), self.group)
        self.rows = [inner.add(start, tile * TILE + half * 8) for tile in range(self.tiles) for half in range(2)]
        last = inner.subtract(self.sizes[ROW], 1)
        self.safe_rows = [inner.minimum(row, last) for row in self.rows]

    def _offset(self) -> Index:
        """How many keys the first query sees beside its own."""
        if self.attention.limit != "end":
            return 0
        return self.emitter.subtract(self.sizes[COLUMN], self.sizes[ROW])

    def _key_limit(self) -> Index:
        """Behind the last key that a query of this block sees."""
        inner, keys = self.emitter, self.sizes[COLUMN]
        if self.attention.limit is None:
            return keys
        end = inner.add(inner.add(self.first, self.schedule.queries), self._offset())
        return inner.maximum(inner.minimum(end, keys), 0)

    def _whole_blocks(self) -> Index:
        """Behind the last block of which all queries see all keys."""
        inner, keys = self.emitter, self.sizes[COLUMN]
        if self.attention.limit is not None:
            seen = inner.add(inner.add(self.first, 1), self._offset())
            keys = inner.maximum(inner.minimum(seen, keys), 0)
        return inner.round_down(keys, self.schedule.keys)

    # Shared memory

    def _wait(self, emitter: Emitter, token: SSAValue | None) -> None:
        if token is not None:
            emitter.append(AsyncWaitOp(token, 0))

    def _bring_keys(self, emitter: Emitter, start: Index, slot: Index) -> SSAValue | None:
        """A block of keys and values; what is behind the last key that counts is zeros."""
        return self._bring(emitter, [(one, slot, start, self.end) for one in (self.key, self.value)])

    def _bring(self, emitter: Emitter, parts: Sequence[tuple[Staging, Index | None, Index, Index]]) -> SSAValue | None:
        """Rows of operands, as one group of copies: (what, slot, first row, behind the last row)."""
        tokens: list[SSAValue] = []
        for staging, slot, start, limit in parts:
            tokens += self._stage(emitter, staging, slot, start, limit)
        if not self.schedule.asynchronous:
            return None
        return emitter.value(AsyncCreateGroupOp(tokens))

    def _stage(
        self, emitter: Emitter, staging: Staging, slot: Index | None, start: Index, limit: Index
    ) -> list[SSAValue]:
        """Bring rows from `start` on; tokens of copies that every thread makes."""
        per_line = staging.padded // staging.width
        total, threads = per_line * staging.count, self.schedule.threads
        tokens: list[SSAValue] = []

        def bring(inner: Emitter, flat: Index) -> SSAValue | None:
            line, column = inner.divide(flat, per_line), inner.remainder(flat, per_line)
            return self._chunk(inner, staging, slot, line, inner.multiply(column, staging.width), start, limit)

        if total > UNROLLED * threads:
            emitter.loop(self.thread, total, threads, lambda inner, flat: _ignore(bring(inner, flat)))
            return tokens
        for number in range(-(-total // threads)):
            flat = emitter.add(self.thread, number * threads)
            if (number + 1) * threads > total:
                inside = emitter.compare("ult", flat, total)
                emitter.branch(inside, lambda inner, flat=flat: _ignore(bring(inner, flat)))
                continue
            token = bring(emitter, flat)
            tokens += [] if token is None else [token]
        return tokens

    def _chunk(
        self,
        emitter: Emitter,
        staging: Staging,
        slot: Index | None,
        line: Index,
        column: Index,
        start: Index,
        limit: Index,
    ) -> SSAValue | None:
        """Bring neighboring features of one row, zeros where there are none; the token of an asynchronous copy."""
        place = emitter.add(start, line)
        present = emitter.compare("ult", place, limit)
        if staging.padded != staging.size:
            present = emitter.value(arith.AndIOp(present, emitter.compare("ult", column, staging.size)))
        zero = emitter.index(0)
        place = emitter.value(arith.SelectOp(present, emitter.index(place), zero))
        feature = column
        if staging.padded != staging.size:
            feature = emitter.value(arith.SelectOp(present, emitter.index(column), zero))
        source, width = staging.source, staging.width
        at = {**self.outer, ROW: 0, staging.row: place, staging.feature: feature}
        positions = self.bodies.positions(source.op, at)
        cell = [emit_affine(emitter, one, positions) for one in source.map.results]
        target: list[Index] = [line, column] if slot is None else [slot, line, column]
        if self.schedule.asynchronous and width * element_bytes(self.element) in COPY_BYTES:
            count = emitter.value(arith.SelectOp(present, emitter.index(width), zero))
            indices = [[emitter.index(one) for one in some] for some in (cell, target)]
            return emitter.value(AsyncCopyOp(source.operand, indices[0], staging.shared, indices[1], width, count))

        def load(inner: Emitter) -> None:
            if width == 1:
                inner.store(inner.load(source.operand, cell), staging.shared, target)
            else:
                aligned_store(inner, aligned_load(inner, source.operand, cell, width), staging.shared, target, width)

        def clear(inner: Emitter) -> None:
            if width == 1:
                inner.store(inner.scalar_constant(0.0, self.element), staging.shared, target)
            else:
                nothing = inner.splat(scalar_attribute(0.0, self.element), vector_of((width,), self.element))
                aligned_store(inner, nothing, staging.shared, target, width)

        emitter.branch(present, load, clear)
        return None

    # Fragments

    def _matrix(self, emitter: Emitter, buffer: SSAValue, at: Sequence[Index], *, transpose: bool = False) -> SSAValue:
        return emitter.value(LdMatrixOp(buffer, [emitter.index(one) for one in at], 4, transpose=transpose))

    def _part(self, emitter: Emitter, value: SSAValue, start: int, count: int) -> SSAValue:
        return emitter.value(vector.ExtractStridedSliceOp(value, [start], [count]))

    def _multiply(self, emitter: Emitter, left: SSAValue, right: SSAValue, total: SSAValue) -> SSAValue:
        """16 queries by 8 columns, over two lines of depth, by as many instructions as it takes."""
        if self.schedule.depth == 2 * self.line:
            return emitter.value(MmaSyncOp(left, right, total, self.shape))
        for half in range(2):
            parts = self._part(emitter, left, 2 * half, 2), self._part(emitter, right, half, 1)
            total = emitter.value(MmaSyncOp(*parts, total, self.shape))
        return total

    def _queries(self, emitter: Emitter, tile: int, deep: int) -> SSAValue:
        """The fragment of 16 queries, and two lines of features."""
        row = emitter.add(emitter.add(self.warp_row, tile * TILE), emitter.remainder(self.lane, 16))
        column = emitter.add(emitter.multiply(emitter.divide(self.lane, 16), self.line), deep)
        return self._matrix(emitter, self.query.shared, [row, column])

    def _scores(self, emitter: Emitter, slot: Index) -> list[list[SSAValue]]:
        """Products of queries and keys, by 16 queries and 8 keys."""
        nothing = emitter.splat(scalar_attribute(0.0, f32), self.sums_type)
        scores = [[nothing] * self.column_tiles for _ in range(self.tiles)]
        in_tile, tile = emitter.remainder(self.lane, 8), emitter.divide(self.lane, 8)
        key = emitter.add(in_tile, emitter.multiply(emitter.divide(tile, 2), 8))
        feature = emitter.multiply(emitter.remainder(tile, 2), self.line)
        for step, deep in enumerate(range(0, self.features, 2 * self.line)):
            queries = [
                self._queries(emitter, number, deep) if self.kept is None else self.kept[step][number]
                for number in range(self.tiles)
            ]
            for pair in range(0, self.column_tiles, 2):
                at = [slot, emitter.add(key, pair * 8), emitter.add(feature, deep)]
                loaded = self._matrix(emitter, self.key.shared, at)
                for half in range(2):
                    keys = self._part(emitter, loaded, 2 * half, 2)
                    for number in range(self.tiles):
                        own = scores[number]
                        own[pair + half] = self._multiply(emitter, queries[number], keys, own[pair + half])
        return scores

    def _weights(self, emitter: Emitter, weights: Sequence[Sequence[SSAValue]], step: int) -> SSAValue:
        """Weights of 16 queries as a factor: the sums' layout is the factor's; with f32, which has lines of four keys,
        when keys 2i and 2i + 1 take the places i and i + 4."""
        if self.line == 4:
            (low, above, high, beyond) = weights[step]
            return emitter.value(vector.FromElementsOp([low, high, above, beyond], vector_of((4, 1), f32)))
        elements = [*weights[2 * step], *weights[2 * step + 1]]
        wide = emitter.value(vector.FromElementsOp(elements, vector_of((4, 2), f32)))
        return emitter.value(arith.TruncFOp(wide, vector_of((4, 2), self.element)))

    def _values(self, emitter: Emitter, slot: Index, step: int, pair: int) -> list[SSAValue]:
        """The fragments of 16 features of values, by two lines of keys."""
        if self.line == 4:
            key = emitter.add(emitter.multiply(self.member, 2), step * 8)
            found: list[SSAValue] = []
            for half in range(2):
                column = emitter.add(emitter.add(self.group, self.first_output), (pair + half) * 8)
                elements = [
                    emitter.load(self.value.shared, [slot, emitter.add(key, number), column]) for number in range(2)
                ]
                found.append(emitter.value(vector.FromElementsOp(elements, vector_of((2, 1), f32))))
            return found
        in_tile, tile = emitter.remainder(self.lane, 8), emitter.divide(self.lane, 8)
        key = emitter.add(in_tile, emitter.multiply(emitter.remainder(tile, 2), 8))
        column = emitter.add(emitter.multiply(emitter.divide(tile, 2), 8), self.first_output)
        at = [slot, emitter.add(key, step * TILE), emitter.add(column, pair * 8)]
        loaded = self._matrix(emitter, self.value.shared, at, transpose=True)
        return [self._part(emitter, loaded, 2 * half, 2) for half in range(2)]

    # One block of keys

    def _whole_block(self, emitter: Emitter, start: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return self._block(emitter, start, carried, asks=False)

    def _asked_block(self, emitter: Emitter, start: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return self._block(emitter, start, carried, asks=True)

    def _block(
        self, emitter: Emitter, start: SSAValue, carried: Sequence[SSAValue], *, asks: bool
    ) -> Sequence[SSAValue]:
        keys, rows = self.schedule.keys, 2 * self.tiles
        slot = emitter.remainder(emitter.divide(start, keys), SLOTS)
        if self.schedule.asynchronous:
            *carried, last = carried
            self._wait(emitter, last)
        emitter.append(gpu.BarrierOp())
        token = self._bring_keys(emitter, emitter.add(start, keys), emitter.subtract(1, slot))
        maxima, sums, results = carried[:rows], carried[rows : 2 * rows], list(carried[2 * rows :])
        scores = [[self._elements(emitter, value) for value in row] for row in self._scores(emitter, slot)]
        factor, scores = self._masked(emitter, start, scores, asks=asks)
        new_maxima: list[SSAValue] = []
        new_sums: list[SSAValue] = []
        zero, lowest = emitter.scalar_constant(0.0, f32), emitter.scalar_constant(-inf, f32)
        for tile in range(self.tiles):
            scales: list[SSAValue] = []
            for half in range(2):
                number = 2 * tile + half
                own = [(column, cell) for column in range(self.column_tiles) for cell in (2 * half, 2 * half + 1)]
                largest = scores[tile][0][2 * half]
                for column, cell in own[1:]:
                    largest = emitter.value(arith.MaxnumfOp(largest, scores[tile][column][cell]))
                largest = emitter.value(SubgroupReduceOp("maxnumf", largest, 4))
                largest = emitter.value(arith.MaxnumfOp(maxima[number], largest))
                is_lowest = emitter.value(arith.CmpfOp(largest, lowest, "oeq"))
                # Where nothing takes part so far, weights are 0 and not the exponential of infinity minus infinity.
                base = emitter.value(arith.SelectOp(is_lowest, zero, largest))
                power = self._power_above(emitter, base, factor)
                scale = power(maxima[number])
                total = emitter.value(arith.MulfOp(sums[number], scale))
                for column, cell in own:
                    weight = power(scores[tile][column][cell])
                    scores[tile][column][cell] = weight
                    total = emitter.value(arith.AddfOp(total, weight))
                scales.append(scale)
                new_maxima.append(largest)
                new_sums.append(total)
            doubled = [scales[0], scales[0], scales[1], scales[1]]
            scaling = emitter.value(vector.FromElementsOp(doubled, self.sums_type))
            for column in range(self.results):
                place = tile * self.results + column
                results[place] = emitter.value(arith.MulfOp(results[place], scaling))
        self._mix(emitter, slot, scores, results)
        return [*new_maxima, *new_sums, *results, *([] if token is None else [token])]

    def _power_above(self, emitter: Emitter, base: SSAValue, factor: float) -> Callable[[SSAValue], SSAValue]:
        """exp2(factor * (score - base)), by one multiply-add for scores that no mask has made as low as numbers go."""
        constant = emitter.scalar_constant(factor, f32)
        if self.attention.masked is None:
            shift = emitter.value(arith.MulfOp(base, emitter.scalar_constant(-factor, f32)))

            def fused(score: SSAValue) -> SSAValue:
                return emitter.value(math.Exp2Op(emitter.value(math.FmaOp(score, constant, shift)), APPROXIMATE))

            return fused

        def apart(score: SSAValue) -> SSAValue:
            difference = emitter.value(arith.SubfOp(score, base))
            return emitter.value(math.Exp2Op(emitter.value(arith.MulfOp(difference, constant)), APPROXIMATE))

        return apart

    def _elements(self, emitter: Emitter, value: SSAValue) -> list[SSAValue]:
        return [emitter.value(vector.ExtractOp(value, [row, column], f32)) for row in range(2) for column in range(2)]

    def _masked(
        self, emitter: Emitter, start: SSAValue, scores: list[list[list[SSAValue]]], *, asks: bool
    ) -> tuple[float, list[list[list[SSAValue]]]]:
        """Scores after masks, -inf where a query does not see a key; and the factor that makes exponents of two."""
        scale, attention = self.sources[0].scale, self.attention
        # A positive factor does not change which score is the largest.
        is_late = attention.masked is None and scale > 0
        factor = scale * log2(e) if is_late else log2(e)
        by_itself = scale == 1 or is_late
        if by_itself and attention.masked is None and not asks:
            return factor, scores
        lowest, keys = emitter.scalar_constant(-inf, f32), self.sizes[COLUMN]
        last = emitter.subtract(keys, 1)
        ends = attention.limit != "end" and not (isinstance(keys, int) and keys % self.schedule.keys == 0)
        offset = self._offset()
        found: list[list[list[SSAValue]]] = []
        for tile in range(self.tiles):
            found.append([])
            for column in range(self.column_tiles):
                cells: list[SSAValue] = []
                for cell, score in enumerate(scores[tile][column]):
                    number = 2 * tile + cell // 2
                    own = emitter.add(emitter.multiply(self.member, 2), column * 8 + cell % 2)
                    key = emitter.add(start, own)
                    if not by_itself:
                        score = emitter.value(arith.MulfOp(score, emitter.scalar_constant(scale, f32)))
                    if attention.masked is not None:
                        place = emitter.minimum(key, last) if asks else key
                        at = {**self.outer, ROW: self.safe_rows[number], COLUMN: place}
                        score = self.bodies.result(emitter, attention.masked, at, {attention.scores: score})
                    conditions: list[SSAValue] = []
                    if asks and ends:
                        conditions.append(emitter.compare("ult", key, keys))
                    if asks and attention.limit is not None:
                        conditions.append(emitter.compare("sle", key, emitter.add(self.rows[number], offset)))
                    for condition in conditions:
                        score = emitter.value(arith.SelectOp(condition, score, lowest))
                    cells.append(score)
                found[tile].append(cells)
        return factor, found

    def _mix(self, emitter: Emitter, slot: Index, weights: list[list[list[SSAValue]]], results: list[SSAValue]) -> None:
        """Add the weighted values."""
        for step in range(self.schedule.keys // (2 * self.line)):
            factors = [self._weights(emitter, weights[tile], step) for tile in range(self.tiles)]
            for pair in range(0, self.results, 2):
                for half, values in enumerate(self._values(emitter, slot, step, pair)):
                    for tile in range(self.tiles):
                        place = tile * self.results + pair + half
                        results[place] = self._multiply(emitter, factors[tile], values, results[place])

    # Results

    def _store(self, sums: Sequence[SSAValue], results: Sequence[SSAValue], outputs: int) -> None:
        """Divide, and write what is inside of the result."""
        inner, one = self.emitter, self.emitter.scalar_constant(1.0, f32)
        totals = [inner.value(SubgroupReduceOp("add", total, 4)) for total in sums]
        inverse = [inner.value(arith.DivfOp(one, total)) for total in totals]
        size = self.sizes[ROW]
        fits = isinstance(size, int) and size % self.schedule.queries == 0
        for number, row in enumerate(self.rows):

            def write(emitter: Emitter, number: int = number, row: Index = row) -> None:
                for column in range(min(self.results, -(-outputs // 8))):
                    value = results[number // 2 * self.results + column]
                    pair = [
                        emitter.value(vector.ExtractOp(value, [number % 2, position], f32)) for position in range(2)
                    ]
                    scaled = [emitter.value(arith.MulfOp(each, inverse[number])) for each in pair]
                    self._write(emitter, row, column, scaled, one, outputs)

            if fits:
                write(inner)
            else:
                inner.branch(inner.compare("ult", row, size), write)

    def _write(
        self, emitter: Emitter, row: Index, column: int, values: Sequence[SSAValue], one: SSAValue, outputs: int
    ) -> None:
        """Two neighbors of a result, at once where they lie aligned."""
        op = self.attention.result
        buffer = op.outputs[0]
        first = emitter.add(emitter.add(emitter.multiply(self.member, 2), self.first_output), column * 8)
        # Of the warp that has the last part, too.
        is_inside = self.outputs - self.outputs // self.schedule.parts + (column + 1) * 8 <= outputs
        known: list[Known] = [{self.attention.mixture: value, self.attention.sums: one} for value in values]

        def cell(inner: Emitter, at: Mapping[str, Index]) -> list[Index]:
            positions = self.bodies.positions(op, at)
            return [emit_affine(inner, each, positions) for each in maps_of(op)[-1].results]

        def both(inner: Emitter) -> None:
            places = [{**self.outer, ROW: row, OUTPUT: inner.add(first, position)} for position in range(2)]
            elements = [self.bodies.result(inner, op, at, one) for at, one in zip(places, known, strict=True)]
            element = memref_type(buffer).get_element_type()
            pair = inner.value(vector.FromElementsOp(elements, vector_of((2,), element)))
            aligned_store(inner, pair, buffer, cell(inner, places[0]), 2)

        def single(inner: Emitter, position: int) -> None:
            at = {**self.outer, ROW: row, OUTPUT: inner.add(first, position)}
            inner.store(self.bodies.result(inner, op, at, known[position]), buffer, cell(inner, at))

        if self.widths[3] % 2 == 0:
            if is_inside:
                both(emitter)
            else:
                emitter.branch(emitter.compare("ult", first, outputs), both)
            return
        for position in range(2):
            if is_inside:
                single(emitter, position)
            else:
                inside = emitter.compare("ult", emitter.add(first, position), outputs)
                emitter.branch(inside, lambda inner, position=position: single(inner, position))


def _ignore(token: SSAValue | None) -> None:
    """Copies of which some threads make none are in their thread's group all the same."""
