"""What is done with the sums of a product before they are stored: the stages behind it, in the same kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith, memref, vector
from lamina.dialects.loop.types import is_memref, is_vector
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.product_engines import Cells
from lamina.passes.hardware.gpu.product_loads import FlatAxis, aligned_load, aligned_store
from lamina.passes.loop.cleanup import touches_memory
from lamina.passes.loop.emitter import Emitter, Index, memref_type, vector_of
from lamina.passes.loop.structured import emit_affine, iterators_of, linear, maps_of


@dataclass
class Surroundings:
    """The ops around a product that its kernel takes with it.

    `fill`: what its sums begin with; None: what lies in the result. `stages`: elementwise ops that follow, each with
    the product's dims by its own.
    """

    product: linalg.GenericOp
    fill: linalg.FillOp | None = None
    stages: list[tuple[linalg.GenericOp, Sequence[int]]] = field(
        default_factory=list[tuple[linalg.GenericOp, Sequence[int]]]
    )

    @property
    def ops(self) -> list[Operation]:
        """All of them, in order."""
        fill = [] if self.fill is None else [self.fill]
        return [*fill, self.product, *(stage for stage, _ in self.stages)]

    @property
    def start(self) -> float | None:
        """What the sums begin with, where it is known."""
        owner = None if self.fill is None else self.fill.operands[0].owner
        value = owner.value if isinstance(owner, arith.ConstantOp) else None
        return value.value.data if isinstance(value, FloatAttr) else None


def surroundings(op: linalg.GenericOp) -> Surroundings:
    """The fill of the result, and the elementwise stages that alone read it.

    linalg.fill ins(%zero) outs(%sums); linalg.generic {…} ins(%a, %b) outs(%sums) {product}
    linalg.generic {…} ins(%sums, %bias) outs(%y) {relu(sum + bias)}
    """
    found = Surroundings(op, _fill_of(op))
    if found.start is None:
        found.fill = None
    result, map_, dims = op.outputs[0], maps_of(op)[-1], list(range(maps_of(op)[-1].num_dims))
    while True:
        stage = _reader_of(found.ops[-1], result)
        at = None if stage is None else _dims_of(stage, result, map_, dims)
        if stage is None or at is None or not _may_take(found.ops, stage, result):
            return found
        found.stages.append((stage, at))
        result, map_, dims = stage.outputs[0], maps_of(stage)[len(stage.inputs)], list(at)


def _fill_of(op: linalg.GenericOp) -> linalg.FillOp | None:
    result = op.outputs[0]
    before = op.prev_op
    while before is not None:
        if isinstance(before, linalg.FillOp) and before.outputs[0] is result:
            return before
        if result in before.operands or (touches_memory(before) and not isinstance(before, linalg.FillOp)):
            return None
        before = before.prev_op
    return None


def _reader_of(op: Operation, result: SSAValue) -> linalg.GenericOp | None:
    """The next op that touches memory, where it is a structured op that reads the result."""
    after = op.next_op
    while after is not None and not touches_memory(after):
        after = after.next_op
    return after if isinstance(after, linalg.GenericOp) and result in after.inputs else None


def _dims_of(stage: linalg.GenericOp, result: SSAValue, map_: AffineMap, dims: Sequence[int]) -> Sequence[int] | None:
    """The product's dim for every dim of a stage, None where it reads the result otherwise than element by element."""
    if not all(iterators_of(stage)) or list(stage.operands).count(result) != 1 + (result in stage.outputs):
        return None
    reads = maps_of(stage)[list(stage.inputs).index(result)]
    found: dict[int, int] = {}
    for own, given in zip(reads.results, map_.results, strict=True):
        if not isinstance(own, AffineDimExpr) or not isinstance(given, AffineDimExpr) or own.position in found:
            return None
        found[own.position] = dims[given.position]
    return [found[dim] for dim in range(len(found))] if sorted(found) == list(range(reads.num_dims)) else None


def _may_take(ops: Sequence[Operation], stage: linalg.GenericOp, result: SSAValue) -> bool:
    """Whether nobody else reads the result, and the stage computes every element by itself."""
    block = stage.body.block
    if any(argument.uses for argument in block.args[len(stage.inputs) :]):
        return False
    if any(inner.regions or not inner.name.startswith(("arith.", "math.", "linalg.yield")) for inner in block.ops):
        return False
    outputs = maps_of(stage)[len(stage.inputs) :]
    if any(not isinstance(one, AffineDimExpr) for map_ in outputs for one in map_.results):
        return False
    if any(len({str(one) for one in map_.results}) < map_.num_dims for map_ in outputs):
        return False
    if result in stage.outputs:
        position = len(stage.inputs) + list(stage.outputs).index(result)
        return maps_of(stage)[position] == maps_of(stage)[list(stage.inputs).index(result)]
    if not isinstance(result.owner, memref.AllocOp):
        return False
    users = {use.operation for use in result.uses if not isinstance(use.operation, memref.DeallocOp)}
    return users <= {*ops, stage}


@dataclass
class Writer:
    """Writes the sums of one thread: `start_row` and `start_column` are where its block begins."""

    taken: Surroundings
    rows: FlatAxis
    columns: FlatAxis
    batch: Mapping[int, Index]
    start_row: Index
    start_column: Index
    block: tuple[int, int]
    unaligned: Set[SSAValue]
    """Buffers that may start anywhere."""

    def __post_init__(self) -> None:
        self._places: dict[tuple[int, Index], tuple[Mapping[int, Index], SSAValue | None]] = {}

    def write(self, emitter: Emitter, cells: Cells, sums: SSAValue) -> None:
        """Carry out the stages on a vector of sums, and store what the last gives where the cells exist."""
        rows = [self._place(emitter, 0, row) for row in cells.rows]
        product = self.taken.product
        dims = list(range(maps_of(product)[-1].num_dims))
        value, target, map_ = sums, product.outputs[0], maps_of(product)[-1]
        if self.taken.fill is None:
            old = self._read(emitter, cells, rows, target, map_, dims)
            value = emitter.value(arith.AddfOp(old, value))
        results = [(value, target, map_, dims)]
        for stage, at in self.taken.stages:
            value, target, *_ = results[0]
            results = self._stage(emitter, cells, rows, stage, list(at), target, value)
        for value, target, map_, dims in results:
            self._store(emitter, cells, rows, value, target, map_, dims)

    def _place(self, emitter: Emitter, axis: int, own: Index) -> tuple[Mapping[int, Index], SSAValue | None]:
        """Positions of a row (axis 0) or column (1) that exist, and whether it exists (None: always)."""
        key = axis, own
        if key not in self._places:
            flat_axis, start = (self.rows, self.start_row) if axis == 0 else (self.columns, self.start_column)
            flat, total = emitter.add(start, own), flat_axis.total(emitter)
            inside = None
            if not isinstance(total, int) or total % self.block[axis]:
                inside = emitter.compare("ult", flat, total)
                flat = emitter.value(arith.SelectOp(inside, emitter.index(flat), emitter.index(0)))
            self._places[key] = flat_axis.positions(emitter, flat), inside
        return self._places[key]

    def _stage(
        self,
        emitter: Emitter,
        cells: Cells,
        rows: Sequence[tuple[Mapping[int, Index], SSAValue | None]],
        stage: linalg.GenericOp,
        dims: list[int],
        result: SSAValue,
        value: SSAValue,
    ) -> list[tuple[SSAValue, SSAValue, AffineMap, list[int]]]:
        maps, block = maps_of(stage), stage.body.block
        known: dict[SSAValue, SSAValue] = {}
        for operand, map_, argument in zip(stage.inputs, maps, block.args, strict=False):
            if operand is result:
                known[argument] = value
            elif argument.uses and is_memref(operand.type):
                known[argument] = self._read(emitter, cells, rows, operand, map_, dims)
            elif argument.uses:
                known[argument] = _spread(emitter, operand, cells)
        *ops, terminator = block.ops
        for op in ops:
            operands = [known.get(one) or _spread(emitter, one, cells) for one in op.operands]
            types = [vector_of(cells.shape, one.type) for one in op.results]
            copy = type(op).create(
                operands=operands, result_types=types, properties=dict(op.properties), attributes=dict(op.attributes)
            )
            if isinstance(op, arith.ConstantOp):
                copy = _spread(emitter, emitter.constants.get(op.value, op.result.type), cells).owner
                known[op.result] = cast("Operation", copy).results[0]
                continue
            emitter.append(copy)
            known |= dict(zip(op.results, copy.results, strict=True))
        outputs = zip(terminator.operands, stage.outputs, maps[len(stage.inputs) :], strict=True)
        return [(known.get(one) or _spread(emitter, one, cells), target, map_, dims) for one, target, map_ in outputs]

    def _cells(
        self, emitter: Emitter, cells: Cells, map_: AffineMap, dims: Sequence[int], buffer: SSAValue
    ) -> tuple[bool, bool]:
        """Whether an operand varies along columns, and whether neighbors along them are neighbors in it, aligned."""
        used = {dims[dim] for result in map_.results for dim in result.used_dims()}
        varies = bool(used & set(self.columns.dims))
        last = self.columns.dims[-1]
        size = self.columns.extents[-1]
        shape = memref_type(buffer).get_shape()
        found = linear(map_.results[-1]) if map_.results else None
        if not varies or found is None or found.plain is None or dims[found.plain] != last:
            return varies, False
        if any(dims[dim] == last for result in map_.results[:-1] for dim in result.used_dims()):
            return varies, False
        divides = isinstance(size, int) and size % cells.columns == 0 and shape[-1] % cells.columns == 0
        return varies, divides and shape[-1] > 0 and cells.columns > 1 and buffer not in self.unaligned

    def _at(
        self,
        emitter: Emitter,
        map_: AffineMap,
        dims: Sequence[int],
        row: Mapping[int, Index],
        column: Mapping[int, Index],
    ) -> list[Index]:
        at = {**self.batch, **row, **column}
        ordered = [at.get(dim, 0) for dim in dims]
        return [emit_affine(emitter, expression, ordered) for expression in map_.results]

    def _read(
        self,
        emitter: Emitter,
        cells: Cells,
        rows: Sequence[tuple[Mapping[int, Index], SSAValue | None]],
        buffer: SSAValue,
        map_: AffineMap,
        dims: Sequence[int],
    ) -> SSAValue:
        """An operand at all cells of a vector; where a cell does not exist, at another."""
        element = memref_type(buffer).get_element_type()
        varies, adjoins = self._cells(emitter, cells, map_, dims, buffer)
        loaded: dict[tuple[SSAValue, ...], SSAValue] = {}

        def load(at: Sequence[Index], count: int) -> SSAValue:
            key = tuple(emitter.index(index) for index in at)
            if key not in loaded:
                loaded[key] = emitter.load(buffer, at) if count == 1 else aligned_load(emitter, buffer, at, count)
            return loaded[key]

        elements: list[SSAValue] = []
        for row, _ in rows:
            if adjoins:
                column, _ = self._place(emitter, 1, cells.column)
                line = load(self._at(emitter, map_, dims, row, column), cells.columns)
                elements += [
                    emitter.value(vector.ExtractOp(line, [number], element)) for number in range(cells.columns)
                ]
                continue
            for number in range(cells.columns):
                own: Mapping[int, Index] = {}
                if varies:
                    own, _ = self._place(emitter, 1, emitter.add(cells.column, number))
                elements.append(load(self._at(emitter, map_, dims, row, own), 1))
        return emitter.value(vector.FromElementsOp(elements, vector_of(cells.shape, element)))

    def _store(
        self,
        emitter: Emitter,
        cells: Cells,
        rows: Sequence[tuple[Mapping[int, Index], SSAValue | None]],
        value: SSAValue,
        buffer: SSAValue,
        map_: AffineMap,
        dims: Sequence[int],
    ) -> None:
        _, adjoins = self._cells(emitter, cells, map_, dims, buffer)
        element = memref_type(buffer).get_element_type()
        count = cells.columns if adjoins else 1
        for number, (row, row_inside) in enumerate(rows):
            for column in range(0, cells.columns, count):
                at, inside = self._place(emitter, 1, emitter.add(cells.column, column))
                place = self._at(emitter, map_, dims, row, at)
                part = vector.ExtractOp(
                    value, [number] if adjoins else [number, column], _part(element, count, adjoins)
                )
                _store_part(emitter, emitter.value(part), buffer, place, count, [row_inside, inside])


def _part(element: Attribute, count: int, adjoins: bool) -> Attribute:
    return vector_of((count,), element) if adjoins else element


def _store_part(
    emitter: Emitter,
    part: SSAValue,
    buffer: SSAValue,
    place: Sequence[Index],
    count: int,
    conditions: Sequence[SSAValue | None],
) -> None:
    def store(inner: Emitter) -> None:
        if is_vector(part.type):
            aligned_store(inner, part, buffer, place, count)
        else:
            inner.store(part, buffer, place)

    condition: SSAValue | None = None
    for one in conditions:
        if one is not None:
            condition = one if condition is None else emitter.value(arith.AndIOp(condition, one))
    if condition is None:
        store(emitter)
    else:
        emitter.branch(condition, store)


def _spread(emitter: Emitter, value: SSAValue, cells: Cells) -> SSAValue:
    """A scalar as a vector."""
    return emitter.value(vector.BroadcastOp(value, vector_of(cells.shape, value.type)))
