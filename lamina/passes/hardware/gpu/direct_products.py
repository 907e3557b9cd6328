"""Convolutions with a group per feature or narrow groups: a thread has a few features at a few positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.diagnostics import error_at
from lamina.dialects.hardware.gpu import BlockIdOp, ThreadIdOp
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.loop import arith, vector
from lamina.dialects.loop.types import AnyVector, is_memref, is_tensor, is_vector
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.alignment import is_dense, starts_aligned
from lamina.passes.hardware.gpu.kernel import KernelMaker
from lamina.passes.hardware.gpu.product_defaults import is_product
from lamina.passes.hardware.gpu.product_engines import Cells, widened
from lamina.passes.hardware.gpu.product_epilogue import Writer, surroundings
from lamina.passes.hardware.gpu.product_loads import MOST_BYTES, FlatAxis, aligned_load
from lamina.passes.hardware.gpu.product_padding import without_padding
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import Emitter, Index, memref_type, scalar_attribute, vector_of
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import (
    SCHEDULE,
    Divided,
    Grouped,
    Linear,
    emit_affine,
    extent,
    iterators_of,
    maps_of,
    position_of,
)
from lamina.passes.tensor.schedules.stage_view import StageView, plain_dims, write_schedule

DIRECT = "gpu-direct"
"""The kind of a product whose factors no thread shares by shared memory: what a thread loads, it multiplies."""

THREADS = 128
MOST_POSITIONS, MOST_TAPS = 4, 8
"""Neighboring positions that a thread has, and taps along them that it takes in one step, at most."""

WIDE_GROUP, WIDE_FRAGMENT_GROUP = 32, 16
"""Outputs of a group from which on blocks of shared memory (and matrix units) multiply it."""

LONGEST_SUM = 1 << 10
"""Products that one thread adds up, at most: longer sums need more threads than they have results."""

THREADS_PER_PROCESSOR = 256
"""Threads that a processor should have before threads get more than one position."""


@dataclass(frozen=True)
class DirectProduct:
    """A product whose last result axis both factors have: iteration dims by what they are.

    `source` and `weights`: which input is read at the result's positions, and which has nothing but sums and features.
    `column`: the features; `row`: the innermost positions; `tap`: the dim that is summed along them, if there is one;
    `depth`: the neighbors within a group, where there are some; `group`: outputs of a group (0: one for every feature);
    `stride`: from what one group reads to what the next does, along the last axis (0: every feature reads itself).
    """

    source: int
    weights: int
    column: int
    row: int | None
    tap: int | None
    depth: int | None
    group: int
    stride: int
    outer: tuple[int, ...]
    sums: tuple[int, ...]

    @staticmethod
    def of(maps: Sequence[AffineMap], parallel: Sequence[bool]) -> DirectProduct | None:
        """Read the maps of a product; None for any other."""
        result = plain_dims(maps[2])
        places = [dim for dim in result if dim is not None]
        if not places or len(places) != len(result) or len(places) != sum(parallel):
            return None
        column = places[-1]
        for source, weights in ((0, 1), (1, 0)):
            found = DirectProduct._read(maps[source], maps[weights], places, parallel)
            if found is not None:
                row, tap, depth, group, stride = found
                outer = tuple(dim for dim in places[:-1] if dim != row)
                sums = tuple(dim for dim, one in enumerate(parallel) if not one and dim not in (tap, depth))
                return DirectProduct(source, weights, column, row, tap, depth, group, stride, outer, sums)
        return None

    @staticmethod
    def _read(
        source: AffineMap, weights: AffineMap, places: Sequence[int], parallel: Sequence[bool]
    ) -> tuple[int | None, int | None, int | None, int, int] | None:
        column = places[-1]
        positions = [position_of(expression) for expression in source.results]
        if not positions or None in positions or not weights.results:
            return None
        used = {dim for expression in weights.results for dim in expression.used_dims()}
        if weights.results[-1] != AffineDimExpr(column) or any(parallel[dim] for dim in used - {column}):
            return None
        if any(column in expression.used_dims() for expression in (*source.results[:-1], *weights.results[:-1])):
            return None
        group, stride, inner = _group_of(positions[-1], column)
        if group is None:
            return None
        depth = next((dim for dim, factor in inner.terms if factor == 1 and not parallel[dim]), None)
        if inner.constant or any(dim != depth for dim, _ in inner.terms):
            return None
        if depth is not None and any(depth in expression.used_dims() for expression in source.results[:-1]):
            return None
        row = places[-2] if len(places) > 1 else None
        along = [one for one in positions[:-1] if isinstance(one, Linear) and row in dict(one.terms)]
        if any(not isinstance(one, Linear) for one in positions[:-1]) or len(along) > 1 or not along:
            return (None, None, depth, group, stride) if not along else None
        taps = [dim for dim, _ in along[0].terms if not parallel[dim]]
        shared = len(taps) == 1 and not any(
            taps[0] in dict(one.terms) for one in positions if isinstance(one, Linear) and one is not along[0]
        )
        if any(parallel[dim] and dim != row for dim, _ in along[0].terms) or any(f < 0 for _, f in along[0].terms):
            return None
        return row, taps[0] if shared else None, depth, group, stride


def _group_of(position: object, column: int) -> tuple[int | None, int, Linear]:
    """Outputs of a group (0: each its own feature; None: no groups), the stride of groups, and the position within."""
    match position:
        case Linear(terms=((dim, 1),), constant=0) if dim == column:
            return 0, 0, Linear((), 0)
        case Linear() if column in dict(position.terms):
            stride = position.coefficient(column)
            return 1, stride, Linear(tuple(term for term in position.terms if term[0] != column), position.constant)
        case Divided(dim=dim, remainder=False) if dim == column:
            return position.divisor, 1, Linear((), 0)
        case Grouped(dim=dim) if dim == column:
            return position.divisor, position.factor, position.rest
        case _:
            return None, 0, Linear((), 0)


@dataclass(frozen=True)
class DirectSchedule:
    """How it is cut: a thread has `positions` neighbors along the row times `features` along the column, and loads
    `depth` neighbors of a group at a time."""

    positions: int = 1
    features: int = 1
    depth: int = 1

    def attribute(self) -> Mapping[str, Attribute]:
        """What `lamina.schedule` holds."""
        sizes = {"positions": self.positions, "features": self.features, "depth": self.depth}
        tile = DictionaryAttr({name: IntegerAttr(size, i64) for name, size in sizes.items()})
        return {"kind": StringAttr(DIRECT), "tile": tile}

    @staticmethod
    def of(op: Operation) -> DirectSchedule:
        """The schedule as it is written on an op; raises LaminaError for what is missing."""
        schedule = op.attributes.get(SCHEDULE)
        tile = schedule.data.get("tile") if isinstance(schedule, DictionaryAttr) else None
        found: list[int] = []
        for name in ("positions", "features", "depth"):
            value = tile.data.get(name) if isinstance(tile, DictionaryAttr) else None
            if not isinstance(value, IntegerAttr) or value.value.data < 1:
                raise error_at(op, f"{SCHEDULE}: expected a number above 0 as 'tile.{name}'")
            found.append(value.value.data)
        return DirectSchedule(*found)


# ---- schedules


def assign_direct(stages: Sequence[StageView], target: GpuDescription) -> None:
    """Schedules of products with a group per feature, or with narrow groups; others are blocks of products."""
    for stage in stages:
        if len(stage.op.inputs) == 2 and len(stage.op.outputs) == 1 and is_product(stage.op):
            product = DirectProduct.of(stage.maps, stage.parallel)
            if product is not None and _suits(stage, product, target):
                write_schedule(stage.op, _default(stage, product, target).attribute())


def _suits(stage: StageView, product: DirectProduct, target: GpuDescription) -> bool:
    sizes = [stage.size(dim) for dim, parallel in enumerate(stage.parallel) if not parallel]
    type_ = stage.op.inputs[product.source].type
    element = str(type_.get_element_type()) if is_tensor(type_) else ""
    has_fragments = element in target.fragment_types.split()
    is_wide = product.group >= (WIDE_FRAGMENT_GROUP if has_fragments else WIDE_GROUP)
    has_positions = product.row is not None or bool(product.outer)
    return has_positions and prod(sizes) <= LONGEST_SUM and not is_wide


def _default(stage: StageView, product: DirectProduct, target: GpuDescription) -> DirectSchedule:
    type_ = stage.op.inputs[product.source].type
    if not is_tensor(type_):
        return DirectSchedule()
    most = MOST_BYTES // element_bytes(type_.get_element_type())
    size = stage.sizes[product.column] or 1
    features = gcd(most, size) if product.group == 0 else gcd(most, size, product.group)
    depth = 1
    if product.depth is not None and type_.get_shape()[-1] > 0:
        depth = gcd(most, stage.sizes[product.depth] or 1, type_.get_shape()[-1], product.stride)
    chunks = prod(stage.size(dim) for dim in product.outer) * (stage.size(product.column) // features)
    positions = 1
    if product.row is not None:
        along = stage.size(product.row)
        enough = target.processors * THREADS_PER_PROCESSOR
        while positions < min(MOST_POSITIONS, along) and chunks * -(-along // (2 * positions)) >= enough:
            positions *= 2
    return DirectSchedule(positions, features, depth)


# ---- kernels


def outline_direct(maker: KernelMaker, op: linalg.GenericOp) -> None:
    """Make the kernel of such a product, its fill and what follows it element by element.

        linalg.generic {product} ins(%x, %w : memref<1x14x14x64xf32>, memref<3x3x4x128xf32>)
    →
        one thread per 4 features of a group at up to 4 neighboring positions:
        scf.for %kh … { scf.for %c … step 4 {
          vectors of %x, one for each column that a position and a tap need, zeros on the padding;
          for each tap a vector of weights: %sum += %x * %w } }

    Raises LaminaError where its schedule does not suit it.
    """
    product = DirectProduct.of(maps_of(op), iterators_of(op))
    if product is None:
        raise error_at(op, f"its schedule is {DIRECT}, its maps are not those of groups")
    # Weights stay padded: they are read without a check of their positions.
    before = without_padding(op, [product.source]).get(product.source, ())
    schedule = DirectSchedule.of(op)
    taken = surroundings(op)
    aligned = [is_dense(memref_type(one)) and starts_aligned(one, maker.unaligned) for one in op.inputs]
    unaligned = [
        one
        for stage in taken.ops
        for one in stage.operands
        if is_memref(one.type) and not (is_dense(one.type) and starts_aligned(one, maker.unaligned))
    ]
    host = maker.host(op)
    grid = host.ceil_divide(host.product(_counts(host, op, product, schedule)), THREADS)
    kernel = maker.begin(*taken.ops)
    emitter = kernel.emitter
    apart = {kernel.arguments[one] for one in unaligned if one in kernel.arguments}
    first = emitter.multiply(emitter.value(BlockIdOp()), THREADS)
    flat = emitter.index(emitter.add(first, emitter.value(ThreadIdOp())))
    total = emitter.product(_counts(emitter, op, product, schedule))

    def run(inner: Emitter) -> None:
        lowering = _Lowering(inner, op, product, schedule, flat, before, aligned)
        sums = lowering.sums(taken.start or 0.0)
        rows = FlatAxis([product.row], [lowering.size(product.row)]) if product.row is not None else FlatAxis([], [])
        columns = FlatAxis([product.column], [lowering.size(product.column)])
        block = schedule.positions, schedule.features
        writer = Writer(taken, rows, columns, lowering.at, lowering.row, lowering.column, block, apart)
        for number, value in enumerate(sums):
            cells = Cells([number], 0, schedule.features)
            line = inner.value(vector.ShapeCastOp(value, vector_of(cells.shape, lowering.total)))
            writer.write(inner, cells, line)

    if isinstance(total, int) and total % THREADS == 0:
        run(emitter)
    else:
        emitter.branch(emitter.compare("ult", flat, total), run)
    for one in reversed(taken.ops):
        one.detach()
        one.erase()
    maker.finish(kernel, grid, THREADS)


def _counts(emitter: Emitter, op: linalg.GenericOp, product: DirectProduct, schedule: DirectSchedule) -> list[Index]:
    """Threads along the outer positions, the row and the features."""
    sizes = [extent(emitter, op, dim) for dim in product.outer]
    if product.row is not None:
        sizes.append(emitter.ceil_divide(extent(emitter, op, product.row), schedule.positions))
    return [*sizes, emitter.divide(extent(emitter, op, product.column), schedule.features)]


class _Lowering:
    """Emits what one thread computes."""

    def __init__(
        self,
        emitter: Emitter,
        op: linalg.GenericOp,
        product: DirectProduct,
        schedule: DirectSchedule,
        flat: SSAValue,
        before: Sequence[int],
        aligned: Sequence[bool],
    ):
        self.emitter, self.op, self.product, self.schedule = emitter, op, product, schedule
        self.before, self.aligned = before, aligned
        self.maps = maps_of(op)
        self.source, self.weights = op.inputs[product.source], op.inputs[product.weights]
        self.total = memref_type(op.outputs[0]).get_element_type()
        *outer, chunk = delinearized(emitter, flat, _counts(emitter, op, product, schedule))
        self.column: Index = emitter.multiply(chunk, schedule.features)
        self.row: Index = emitter.multiply(outer.pop(), schedule.positions) if product.row is not None else 0
        self.at: dict[int, Index] = dict(zip(product.outer, outer, strict=True))
        self._check()

    def size(self, dim: int) -> Index:
        """The size of an iteration dim."""
        return extent(self.emitter, self.op, dim)

    def _check(self) -> None:
        product, schedule = self.product, self.schedule
        features, depth = self.size(product.column), 1 if product.depth is None else self.size(product.depth)
        group = product.group or features
        for what, whole, part in (("features", features, schedule.features), ("depth", depth, schedule.depth)):
            if _is_no_multiple(whole, part):
                raise error_at(self.op, f"its schedule has {part} {what} at a time, of {whole}")
        if _is_no_multiple(group, schedule.features) or (product.row is None and schedule.positions > 1):
            raise error_at(self.op, f"its schedule has {schedule.features} features at a time, a group has {group}")

    def sums(self, start: float) -> Sequence[SSAValue]:
        """The sums of the thread's positions, a vector of features each."""
        type_ = vector_of((self.schedule.features,), self.total)
        sums = [self.emitter.splat(scalar_attribute(start, self.total), type_)] * self.schedule.positions
        return self._loops(self.emitter, list(self.product.sums), dict(self.at), sums)

    def _loops(
        self, emitter: Emitter, dims: list[int], at: dict[int, Index], sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """Loops over the summed dims but the taps along the row, the neighbors of a group the innermost."""
        if dims:

            def step(inner: Emitter, index: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                return self._loops(inner, dims[1:], {**at, dims[0]: index}, carried)

            return emitter.for_loop(0, self.size(dims[0]), 1, sums, step)
        depth = self.product.depth
        if depth is None or self.size(depth) == self.schedule.depth:
            return self._taps(emitter, at if depth is None else {**at, depth: 0}, sums)

        def chunk(inner: Emitter, index: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self._taps(inner, {**at, depth: index}, carried)

        return emitter.for_loop(0, self.size(depth), self.schedule.depth, sums, chunk)

    def _taps(self, emitter: Emitter, at: dict[int, Index], sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """All taps along the row: together where they are known and few, so that positions share what is loaded."""
        tap = self.product.tap
        if tap is None:
            return self._multiply(emitter, at, [None], sums)
        count = self.size(tap)
        if isinstance(count, int) and count <= MOST_TAPS:
            return self._multiply(emitter, at, range(count), sums)

        def step(inner: Emitter, index: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self._multiply(inner, {**at, tap: index}, [None], carried)

        return emitter.for_loop(0, count, 1, sums, step)

    def _multiply(
        self, emitter: Emitter, at: dict[int, Index], taps: Sequence[int | None], sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        results = list(sums)
        loaded: dict[int, Sequence[SSAValue]] = {}
        for tap in taps:
            here = at if tap is None or self.product.tap is None else {**at, self.product.tap: tap}
            weights = [self._weights(emitter, here, number) for number in range(self.schedule.depth)]
            for number, total in enumerate(results):
                column = self._steps(number, tap)
                if column not in loaded:
                    loaded[column] = self._source(emitter, here, number)
                for factor, weight in zip(loaded[column], weights, strict=True):
                    product = _combined(emitter, arith.MulfOp, factor, weight, self._flags(arith.MulfOp))
                    total = _combined(emitter, arith.AddfOp, total, product, self._flags(arith.AddfOp))
                results[number] = total
        return results

    def _flags(self, kind: type[Operation]) -> Attribute | None:
        """What may be done to the product or the sum, as the body says."""
        return next(one.properties.get("fastmath") for one in self.op.body.block.ops if isinstance(one, kind))

    def _steps(self, number: int, tap: int | None) -> int:
        """How far a position's tap is from the first position's first."""
        if self.product.row is None:
            return 0
        for expression in self.maps[self.product.source].results[:-1]:
            if self.product.row in expression.used_dims():
                terms = dict(position.terms) if isinstance(position := position_of(expression), Linear) else {}
                shift = 0 if tap is None or self.product.tap is None else terms[self.product.tap] * tap
                return terms[self.product.row] * number + shift
        return number

    def _weights(self, emitter: Emitter, at: Mapping[int, Index], number: int) -> SSAValue:
        """A vector of weights of neighboring features, for neighbor `number` of a group's chunk."""
        here = {**at, self.product.column: self.column}
        if self.product.depth is not None:
            here[self.product.depth] = emitter.add(at[self.product.depth], number)
        cell = self._cell(emitter, self.product.weights, here)
        line = self._load(emitter, self.weights, cell, self.schedule.features, self.aligned[self.product.weights])
        return widened(emitter, line, self.total)

    def _source(self, emitter: Emitter, at: Mapping[int, Index], number: int) -> Sequence[SSAValue]:
        """What a position's tap reads, by neighbor of the group's chunk: vectors of the features, zeros on padding."""
        here = {**at, self.product.column: self.column}
        if self.product.row is not None:
            here[self.product.row] = emitter.add(self.row, number)
        cell, inside = self._inside(emitter, self._cell(emitter, self.product.source, here))
        count = self.schedule.features if self.product.group == 0 else self.schedule.depth
        aligned = self.aligned[self.product.source] and self.product.stride % count == 0
        line = self._load(emitter, self.source, cell, count, aligned)
        if inside is not None:
            zero = emitter.splat(scalar_attribute(0.0, memref_type(self.source).get_element_type()), _vector_type(line))
            line = emitter.value(arith.SelectOp(inside, line, zero))
        line = widened(emitter, line, self.total)
        if self.product.group == 0:
            return [line]
        type_ = vector_of((self.schedule.features,), self.total)
        elements = [emitter.value(vector.ExtractOp(line, [number], self.total)) for number in range(count)]
        return [emitter.value(vector.BroadcastOp(element, type_)) for element in elements]

    def _cell(self, emitter: Emitter, number: int, at: Mapping[int, Index]) -> list[Index]:
        map_ = self.maps[number]
        ordered = [at.get(dim, 0) for dim in range(map_.num_dims)]
        return [emit_affine(emitter, expression, ordered) for expression in map_.results]

    def _inside(self, emitter: Emitter, cell: Sequence[Index]) -> tuple[list[Index], SSAValue | None]:
        """Where a position of the padded source is in memory, and whether it is; positions behind a row are not."""
        product, found, inside = self.product, list[Index](), list[SSAValue]()
        size = 1 if product.row is None else self.size(product.row)
        ends = not isinstance(size, int) or size % self.schedule.positions
        for axis, (position, expression) in enumerate(zip(cell, self.maps[product.source].results, strict=True)):
            low = self.before[axis] if self.before else 0
            is_padded = bool(self.before) and not isinstance(expression, AffineDimExpr) and axis < len(cell) - 1
            if not is_padded and not (ends and product.row in expression.used_dims()):
                found.append(position)
                continue
            own = emitter.subtract(position, low) if is_padded else position
            within = emitter.compare("ult", own, emitter.size(self.source, axis))
            inside.append(within)
            found.append(emitter.value(arith.SelectOp(within, emitter.index(own), emitter.index(0))))
        condition: SSAValue | None = None
        for one in inside:
            condition = one if condition is None else emitter.value(arith.AndIOp(condition, one))
        return found, condition

    def _load(self, emitter: Emitter, buffer: SSAValue, cell: Sequence[Index], count: int, aligned: bool) -> SSAValue:
        """Neighbors as a vector, one by one where they may start anywhere."""
        shape = memref_type(buffer).get_shape()
        if aligned and shape[-1] > 0 and shape[-1] % count == 0:
            return aligned_load(emitter, buffer, cell, count)
        elements = [emitter.load(buffer, [*cell[:-1], emitter.add(cell[-1], number)]) for number in range(count)]
        return emitter.value(vector.FromElementsOp(elements, vector_of((count,), elements[0].type)))


def _is_no_multiple(whole: Index, part: int) -> bool:
    """Whether a size is not known to be a multiple of a part."""
    return part > 1 and (not isinstance(whole, int) or whole % part > 0)


def _vector_type(line: SSAValue) -> AnyVector:
    """The type of a vector."""
    if not is_vector(line.type):
        raise TypeError(f"expected a vector, found {line.type}")
    return line.type


def _combined(
    emitter: Emitter, kind: Callable[..., Operation], left: SSAValue, right: SSAValue, flags: Attribute | None
) -> SSAValue:
    """A product or sum of two vectors, with the flags of the scalar op."""
    op = kind(left, right)
    if flags is not None:
        op.properties["fastmath"] = flags
    return emitter.value(op)
