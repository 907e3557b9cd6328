"""`stream-stores`: loops whose results go past the caches store them line by line, without a scratch buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, StringAttr, UnitAttr
from xdsl.ir import Operation, SSAValue

from lamina.dialects.loop import memref, scf
from lamina.dialects.loop.types import is_memref
from lamina.passes.base import LaminaPass
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.cleanup import PURE, erase_dead_ops
from lamina.passes.loop.emitter import Constants, Emitter, known_index, memref_type, strides_of
from lamina.passes.loop.fuse_loops import VIEWS
from lamina.passes.loop.lines import LINE_BYTES, until_line
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.streaming import LEAST_BLOCK_BYTES, LINES, STREAMED, is_large, streaming_threshold

SHORT = "lamina.short"
"""On `scf.for`: a few steps at most."""
PIECE_BYTES = 512
"""What is stored at once: few enough lines that stores and loads overlap, enough for whole vectors of every element."""


@dataclass(frozen=True)
class StreamStoresPass(LaminaPass):
    """A loop that fills what is then copied past the caches stores whole lines there itself.

        scf.for %i = %c0 to %c4096 step %c1 { … memref.store %v, %scratch[%i] }
        memref.copy %scratch, %y {lamina.streamed}
    →
        scf.for %i = %c0 to %first step %c1 { … memref.store %v, %y[%i] }       // up to the first line of y
        scf.for %b = %first to %last step %c128 {
          scf.for %j = %c0 to %c128 step %c1 { … memref.store %v, %piece[%j] }   // at %b + %j
          memref.copy %piece, %y[%b] {lamina.streamed = "lines"}
        }
        scf.for %i = %last to %c4096 step %c1 { … memref.store %v, %y[%i] }

    Reads and writes of memory then overlap. Done where the last loops before the copy write all of the scratch buffer,
    one axis of static size, each element once, and read nothing of it but what is at their own position. Where they are
    on both sides of a branch, either side has a copy.

    A loop that writes rows of a large argument itself, because they are too long for a scratch buffer (`_rows_of`),
    becomes the same three loops: a group normalization of 64 MiB in groups of 2 MiB takes 8.1 ms, was 16.1.
    """

    name = "stream-stores"
    requires: ClassVar[frozenset[str]] = frozenset({"loops"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        threshold = streaming_threshold(op)
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                _stream_in(function)
                _stream_rows(function, threshold)


def _stream_in(function: func.FuncOp) -> None:
    behind = [op for op in function.walk() if isinstance(op, memref.CopyOp) and STREAMED in op.attributes]
    copies = [each for copy in behind for each in _on_each_side(copy)]
    constants = Constants(function.body.block)
    for copy in copies:
        loops = _writers(copy)
        if not loops:
            continue
        for loop in loops:
            _stream_loop(loop, copy.operands[1], constants)
        copy.detach()
        copy.erase()
    if copies:
        erase_dead_ops(function.body.block)


def _stream_rows(function: func.FuncOp, threshold: int | None) -> None:
    """Loops that write rows of large arguments, which nothing else of the function reads or writes."""
    if threshold is None:
        return
    rows = [
        (loop, store)
        for buffer in function.body.block.args
        if is_memref(buffer.type) and is_large(buffer, threshold)
        for store in [_only_access(buffer)]
        for loop in [store.parent_op() if store is not None else None]
        if store is not None and isinstance(loop, scf.ForOp) and _writes_row(loop, store)
    ]
    constants = Constants(function.body.block)
    for loop, store in rows:
        emitter = Emitter.ahead_of(loop, constants)
        type_ = memref_type(store.memref)
        *leading, _ = store.indices
        axes = range(len(leading))
        row = emitter.subview(store.memref, [*leading, 0], [*[1 for _ in axes], type_.get_shape()[-1]], list(axes))
        _stream_loop(loop, row, constants)


def _only_access(buffer: SSAValue) -> memref.StoreOp | None:
    """The store that is all that uses a buffer and its views."""
    found: list[Operation] = []
    views = [buffer]
    while views:
        for use in views.pop().uses:
            if isinstance(use.operation, VIEWS):
                views += use.operation.results
            else:
                found.append(use.operation)
    return found[0] if len(found) == 1 and isinstance(found[0], memref.StoreOp) else None


def _writes_row(loop: scf.ForOp, store: memref.StoreOp) -> bool:
    """Whether a loop in a parallel one writes the last axis of a buffer at its positions, and enough of it."""
    bounds = _range(loop, store.memref)
    type_ = memref_type(store.memref)
    if bounds is None or strides_of(type_)[-1] != 1 or DYNAMIC_INDEX in type_.get_shape():
        return False
    width = element_bytes(type_.get_element_type())
    block = loop.body.block
    *leading, _ = store.indices
    fixed = all(
        (index.owner.parent_block() if isinstance(index.owner, Operation) else index.owner) is not block
        for index in leading
    )
    inside = loop.parent_op()
    while inside is not None and not isinstance(inside, scf.ForallOp):
        inside = inside.parent_op()
    return fixed and inside is not None and width <= LINE_BYTES and (bounds[1] - bounds[0]) * width >= LEAST_BLOCK_BYTES


def _on_each_side(copy: memref.CopyOp) -> list[memref.CopyOp]:
    """The copies that end the sides of a branch (which operand of a concatenation has the row), in the place of one
    behind it; else the copy itself."""
    branch = copy.prev_op
    while branch is not None and (isinstance(branch, PURE) or branch.name.startswith("arith.")):
        branch = branch.prev_op
    if not isinstance(branch, scf.IfOp) or branch.results or not all(region.blocks for region in branch.regions):
        return [copy]
    _ahead(copy.operands[1], branch)
    found: list[memref.CopyOp] = []
    for region in branch.regions:
        end = region.block.last_op
        if end is None:
            return [copy]
        each = copy.clone()
        each.location = copy.location
        region.block.insert_op_before(each, end)
        found += _on_each_side(each)
    copy.detach()
    copy.erase()
    return found


def _writers(copy: memref.CopyOp) -> list[scf.ForOp]:
    """The loops that write what is copied; none where that is not all that they do."""
    scratch, target = copy.operands
    type_ = memref_type(scratch)
    if not isinstance(scratch.owner, memref.AllocaOp) or type_.get_num_dims() != 1 or type_.get_shape()[0] < 0:
        return []
    if element_bytes(type_.get_element_type()) > LINE_BYTES or memref_type(target).get_num_dims() != 1:
        return []
    missing = type_.get_shape()[0]
    ranges: list[tuple[int, int]] = []
    loops: list[scf.ForOp] = []
    op = copy.prev_op
    while op is not None and missing > 0:
        if isinstance(op, scf.ForOp):
            bounds = _range(op, scratch)
            if bounds is None or any(bounds[0] < high and low < bounds[1] for low, high in ranges):
                return []
            ranges.append(bounds)
            loops.append(op)
            missing -= bounds[1] - bounds[0]
        elif not (isinstance(op, PURE) or op.name.startswith("arith.")):
            return []
        op = op.prev_op
    return loops[::-1] if missing == 0 else []


def _range(loop: scf.ForOp, scratch: SSAValue) -> tuple[int, int] | None:
    """The positions at which a loop writes a buffer; None where it does anything else besides."""
    lower, upper, step = (known_index(value) for value in (loop.lb, loop.ub, loop.step))
    if not isinstance(lower, int) or not isinstance(upper, int) or step != 1 or loop.iter_args:
        return None
    block = loop.body.block
    position = block.args[0]
    stores = [op for op in block.ops if isinstance(op, memref.StoreOp)]
    if len(stores) != 1 or stores[0].memref is not scratch or list(stores[0].indices)[-1:] != [position]:
        return None
    for op in block.ops:
        if isinstance(op, memref.LoadOp):
            if op.memref is scratch and list(op.indices) != list(stores[0].indices):
                return None
        elif op.regions or not (
            op.name.startswith(("arith.", "math.")) or isinstance(op, memref.StoreOp | scf.YieldOp)
        ):
            return None
    return lower, upper


def _stream_loop(loop: scf.ForOp, target: SSAValue, constants: Constants) -> None:
    """Three loops in the place of one: up to the first whole line, whole pieces, the rest."""
    emitter = Emitter.ahead_of(loop, constants)
    target = _ahead(target, loop)
    lower, upper = known_index(loop.lb), known_index(loop.ub)
    element = memref_type(target).get_element_type()
    width = element_bytes(element)
    piece = PIECE_BYTES // width
    block = emitter.value(memref.AllocaOp.get(element, ALIGNMENT, [piece]))
    first = emitter.minimum(emitter.add(lower, until_line(emitter, target, lower)), upper)
    last = emitter.add(first, emitter.round_down(emitter.subtract(upper, first), piece))

    def single(inner: Emitter, position: SSAValue) -> None:
        _repeat(inner, loop, position, target, position)

    def whole(outer: Emitter, start: SSAValue) -> None:
        def one(inner: Emitter, offset: SSAValue) -> None:
            _repeat(inner, loop, inner.index(inner.add(start, offset)), block, offset)

        outer.loop(0, piece, 1, one)
        lines = memref.CopyOp(block, outer.subview(target, [start], [piece]))
        lines.attributes[STREAMED] = StringAttr(LINES)
        outer.append(lines)

    emitter.loop(lower, first, 1, single)
    _mark_short(loop.prev_op)
    emitter.loop(first, last, piece, whole)
    emitter.loop(last, upper, 1, single)
    _mark_short(loop.prev_op)
    loop.detach()
    loop.erase()


def _mark_short(op: Operation | None) -> None:
    if isinstance(op, scf.ForOp):
        op.attributes[SHORT] = UnitAttr()


def _ahead(target: SSAValue, loop: Operation) -> SSAValue:
    """The target's view, moved up to where the loop stands."""
    block = loop.parent_block()
    owner = target.owner
    if block is None or not isinstance(owner, Operation) or owner.parent_block() is not block:
        return target
    if block.get_operation_index(owner) > block.get_operation_index(loop):
        for operand in owner.operands:
            _ahead(operand, loop)
        owner.detach()
        block.insert_op_before(owner, loop)
    return target


def _repeat(emitter: Emitter, loop: scf.ForOp, position: SSAValue, target: SSAValue, at: SSAValue) -> None:
    """The body of a loop at a position, its result stored elsewhere."""
    block = loop.body.block
    mapping: dict[SSAValue, SSAValue] = {block.args[0]: position}
    for op in block.ops:
        emitter.location = op.location
        if isinstance(op, memref.StoreOp):
            emitter.store(mapping.get(op.value, op.value), target, [at])
        elif not isinstance(op, scf.YieldOp):
            emitter.append(op.clone(mapping))
