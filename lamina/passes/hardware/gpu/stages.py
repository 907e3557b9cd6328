"""One structured op carried out by many threads: positions are dealt out, reductions meet in shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import AffineMapAttr, MemRefType, NoneAttr
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from lamina.dialects.hardware.gpu import WORKGROUP, BarrierOp
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.bodies import Combiner, combiner_of
from lamina.passes.loop.emitter import Emitter, Index, delinearized, memref_type
from lamina.passes.loop.linalg_to_loops import lower_at, move_body
from lamina.passes.loop.structured import StructuredOp, body_block, emit_affine, extent, iterators_of, maps_of


class Team:
    """The threads that carry out a stage: this one is number `worker` of `workers`.

    `shared` gives workgroup buffers (one element per thread) by element type.
    """

    def __init__(self, worker: SSAValue, workers: int, shared: Callable[[Attribute, Sequence[int]], SSAValue]):
        self.worker = worker
        self.workers = workers
        self.shared = shared
        self._scratch: dict[Attribute, SSAValue] = {}

    def scratch(self, element: Attribute) -> SSAValue:
        """One element of shared memory for every thread."""
        if element not in self._scratch:
            self._scratch[element] = self.shared(element, [self.workers])
        return self._scratch[element]


def workgroup_type(element: Attribute, shape: Sequence[int]) -> MemRefType[Attribute]:
    """A buffer that the threads of a block share."""
    return MemRefType(element, shape, NoneAttr(), WORKGROUP)


def clear(emitter: Emitter, buffer: SSAValue, team: Team) -> None:
    """Store zeros all over a workgroup buffer; the threads of the block meet at the end."""
    sizes = emitter.sizes(buffer)
    zero = emitter.scalar_constant(0, memref_type(buffer).get_element_type())

    def store(inner: Emitter, flat: SSAValue) -> None:
        inner.store(zero, buffer, delinearized(inner, flat, sizes))

    emitter.loop(team.worker, emitter.product(sizes), team.workers, store)
    emitter.append(BarrierOp())


def parallel_extents(emitter: Emitter, op: StructuredOp) -> list[Index]:
    """The sizes of the parallel dims."""
    return [extent(emitter, op, dim) for dim, parallel in enumerate(iterators_of(op)) if parallel]


def lower_one_position(emitter: Emitter, op: StructuredOp, flat: SSAValue) -> None:
    """Emit what one thread does that has number `flat` of the parallel positions, its reductions in sequence."""
    ordered = parallel_first(emitter, op)
    count = sum(iterators_of(ordered))
    extents = [extent(emitter, ordered, dim) for dim in range(len(iterators_of(ordered)))]
    lower_at(emitter, ordered, extents, delinearized(emitter, flat, extents[:count]))
    _erase(ordered)


def lower_cooperatively(emitter: Emitter, op: StructuredOp, team: Team) -> None:
    """Emit a stage for all threads of a block, who meet at its end.

    Parallel positions are dealt out in turn. A reduction with no parallel dims left is cut into one part per thread:

        linalg.generic {["reduction"]} ins(%row) outs(%sum) {%acc + %x}
    →
        %part = scf.for %r = %thread to %n step 256 iter_args(%acc = -0.0) {%acc + %x}
        memref.store %part, %shared[%thread]; gpu.barrier
        scf.if %thread < 128 { %shared[%thread] += %shared[%thread + 128] }; gpu.barrier …
        scf.if %thread == 0 { %sum += %shared[0] }; gpu.barrier
    """
    ordered = parallel_first(emitter, op)
    count = sum(iterators_of(ordered))
    extents = [extent(emitter, ordered, dim) for dim in range(len(iterators_of(ordered)))]
    combiner = combiner_of(ordered) if all(size == 1 for size in extents[:count]) else None
    if combiner is not None and count < len(extents):
        _reduce(emitter, ordered, extents, count, team, combiner)
    else:
        total = emitter.product(extents[:count])

        def run(inner: Emitter, flat: SSAValue) -> None:
            lower_at(inner, ordered, extents, delinearized(inner, flat, extents[:count]))

        emitter.loop(team.worker, total, team.workers, run)
    emitter.append(BarrierOp())
    _erase(ordered)


def _erase(op: Operation) -> None:
    op.detach()
    op.erase()


def parallel_first(emitter: Emitter, op: StructuredOp) -> StructuredOp:
    """The op with its parallel dims before the reductions, in place of the given one."""
    emitter.location = op.location
    if isinstance(op, linalg.FillOp):
        copy: StructuredOp = linalg.FillOp(op.operands[:1], op.operands[1:], ())
    else:
        iterators = iterators_of(op)
        order = sorted(range(len(iterators)), key=lambda dim: not iterators[dim])
        numbers = {dim: number for number, dim in enumerate(order)}
        renamed = [AffineExpr.dimension(numbers[dim]) for dim in range(len(order))]
        maps = [
            AffineMap(len(order), 0, tuple(result.replace_dims_and_symbols(renamed, []) for result in map_.results))
            for map_ in maps_of(op)
        ]
        block = op.body.block
        for inner in list(block.walk()):
            if isinstance(inner, linalg.IndexOp):
                at = Emitter.ahead_of(inner, emitter.constants)
                inner.result.replace_all_uses_with(at.value(linalg.IndexOp(numbers[inner.dim.value.data])))
                _erase(inner)
        copy = linalg.GenericOp(
            op.operands[: len(op.inputs)],
            op.operands[len(op.inputs) :],
            Region(op.body.detach_block(block)),
            [AffineMapAttr(map_) for map_ in maps],
            [op.iterator_types.data[dim] for dim in order],
        )
    emitter.append(copy)
    _erase(op)
    return copy


def _reduce(
    emitter: Emitter,
    op: StructuredOp,
    extents: Sequence[Index],
    leading: int,
    team: Team,
    combined: Combiner,
) -> None:
    block, maps, inputs = body_block(op), maps_of(op), len(op.inputs)
    accumulator, output = block.args[-1], op.outputs[0]
    scratch = team.scratch(accumulator.type)
    zeros: list[Index] = [0] * len(extents)
    cell = [emit_affine(emitter, expression, zeros) for expression in maps[-1].results]

    def step(inner: Emitter, flat: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        positions: list[Index] = [*zeros[:leading], *delinearized(inner, flat, extents[leading:])]
        arguments: list[SSAValue | None] = []
        for operand, map_, argument in zip(op.operands[:inputs], maps, block.args, strict=False):
            if not argument.uses:
                arguments.append(None)
            elif isinstance(operand.type, MemRefType):
                at = [emit_affine(inner, expression, positions) for expression in map_.results]
                arguments.append(inner.load(operand, at))
            else:
                arguments.append(operand)
        return move_body(inner, block, [*arguments, carried[0]], positions)

    start = emitter.scalar_constant(combined.neutral, accumulator.type)
    total = emitter.product(extents[leading:])
    (part,) = emitter.for_loop(team.worker, total, team.workers, [start], step)
    emitter.store(part, scratch, [team.worker])
    emitter.append(BarrierOp())
    half = team.workers // 2
    while half:

        def fold(inner: Emitter, distance: int = half) -> None:
            own = inner.load(scratch, [team.worker])
            other = inner.load(scratch, [inner.add(team.worker, distance)])
            inner.store(combined(inner, own, other), scratch, [team.worker])

        emitter.branch(emitter.compare("ult", team.worker, half), fold)
        emitter.append(BarrierOp())
        half //= 2

    def finish(inner: Emitter) -> None:
        inner.store(combined(inner, inner.load(output, cell), inner.load(scratch, [0])), output, cell)

    emitter.branch(emitter.compare("eq", team.worker, 0), finish)
