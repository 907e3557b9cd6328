"""Control flow on tensors as control flow on buffers: `scf.if` writes its results, `scf.while` carries buffers."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Block, Operation, OpResult, SSAValue, Use

from lamina.diagnostics import error_at
from lamina.dialects.loop import memref, scf
from lamina.dialects.loop.types import is_memref, is_tensor
from lamina.dialects.tensor import tensor
from lamina.passes.loop.bufferizer import Bufferizer, as_index, buffer_type, replace_terminator, tensor_type, underlying
from lamina.passes.loop.destinations import VIEWS, chain_start, destination_of
from lamina.passes.loop.emitter import Emitter, Index, known_index, memref_type
from lamina.passes.loop.sizes import NotComputable, SizeCloner


def bufferize_if(bufferizer: Bufferizer, op: scf.IfOp) -> None:
    """Both branches write their tensors into buffers that are made before the op.

        %r = scf.if %c { … scf.yield %a } else { … scf.yield %b }
    →
        %r = memref.alloc()
        scf.if %c { … copy %a to %r } else { … copy %b to %r }

    A value that a branch computes into a `tensor.empty` of its own is computed in the result's buffer at once.
    Raises LaminaError where the size of a result depends on the branch that is taken.
    """
    emitter = bufferizer.emitter(op)
    buffers = [_result_buffer(bufferizer, emitter, op, index) for index in range(len(op.results))]
    for region in op.regions:
        if region.blocks:
            _bufferize_branch(bufferizer, region.block, buffers)
    scalars = [result for result, buffer in zip(op.results, buffers, strict=True) if buffer is None]
    copy = scf.IfOp(
        op.cond,
        [result.type for result in scalars],
        *(op.detach_region(region) for region in tuple(op.regions)),
        attr_dict=dict(op.attributes),
    )
    emitter.append(copy)
    results = iter(copy.results)
    bufferizer.replace(op, [next(results) if buffer is None else buffer for buffer in buffers])


def _bufferize_branch(bufferizer: Bufferizer, block: Block, buffers: Sequence[SSAValue | None]) -> None:
    terminator = block.last_op
    if terminator is None:
        return
    taken: set[SSAValue] = set()
    for value, buffer in zip(terminator.operands, buffers, strict=True):
        start = chain_start(value)
        fresh = isinstance(start.owner, tensor.EmptyOp) and start.owner.parent_block() is block
        if buffer is not None and fresh and start not in taken and start not in bufferizer.assigned:
            bufferizer.assigned[start] = buffer
            taken.add(start)
    bufferizer.block(block)
    emitter = bufferizer.emitter(terminator)
    scalars: list[SSAValue] = []
    for value, buffer in zip(terminator.operands, buffers, strict=True):
        if buffer is None:
            scalars.append(value)
        elif value is not buffer:
            emitter.append(memref.CopyOp(value, buffer))
    replace_terminator(block, scf.YieldOp(*scalars))
    bufferizer.release(block)


def _result_buffer(bufferizer: Bufferizer, emitter: Emitter, op: scf.IfOp, index: int) -> SSAValue | None:
    result = op.results[index]
    if not is_tensor(result.type):
        return None
    type_ = buffer_type(result.type)
    branches = [region.block.last_op for region in op.regions]
    sizes: list[Index] = []
    for axis, static in enumerate(type_.get_shape()):
        if static != DYNAMIC_INDEX:
            sizes.append(static)
            continue
        found = [
            _size_before(bufferizer, emitter, op, branch.operands[index], axis)
            for branch in branches
            if branch is not None
        ]
        expressions = bufferizer.expressions()
        if any(expressions.of(size) != expressions.of(found[0]) for size in found):
            raise error_at(op, f"the size of axis {axis} of result {index} depends on the branch that is taken")
        sizes.append(found[0])
    assigned = bufferizer.assigned.get(result)
    if assigned is not None:
        buffer = bufferizer.view(emitter, assigned, type_, sizes)
        bufferizer.known_sizes.setdefault(buffer, sizes)
        return buffer
    return bufferizer.allocate(
        emitter, type_, [size for size, static in zip(sizes, type_.get_shape(), strict=True) if static == DYNAMIC_INDEX]
    )


def _is_inside(value: SSAValue, op: Operation) -> bool:
    owner = value.owner
    inside = owner.parent_op() if isinstance(owner, Block) else owner
    while inside is not None:
        if inside is op:
            return True
        inside = inside.parent_op()
    return False


def _size_before(bufferizer: Bufferizer, emitter: Emitter, op: Operation, value: SSAValue, axis: int) -> Index:
    """The size of a tensor or buffer made inside `op`, computed before `op`. Raises LaminaError where it cannot be."""

    def leaf(size: SSAValue) -> Index | None:
        if not _is_inside(size, op):
            return size
        owner = size.owner
        if isinstance(owner, tensor.DimOp):
            inner = known_index(owner.index)
            if isinstance(inner, int):
                return _size_before(bufferizer, emitter, op, owner.source, inner)
        return None

    try:
        size = _tensor_size(bufferizer, emitter, op, value, axis)
        return SizeCloner(emitter, leaf).value(size)
    except NotComputable as error:
        raise error_at(error.op or op, "gives a size that depends on data inside control flow") from None


def _tensor_size(bufferizer: Bufferizer, emitter: Emitter, op: Operation, value: SSAValue, axis: int) -> Index:
    """The size of an axis of a tensor or buffer as a value that may be inside `op`."""
    if is_memref(value.type):
        return bufferizer.size(emitter, value, axis)
    shape = tensor_type(value).get_shape()
    if shape[axis] != DYNAMIC_INDEX:
        return shape[axis]
    if not _is_inside(value, op):
        return bufferizer.size(emitter, value, axis)
    owner = value.owner
    position = shape[:axis].count(DYNAMIC_INDEX)
    if isinstance(owner, tensor.EmptyOp):
        return owner.operands[position]
    if isinstance(owner, tensor.ExpandShapeOp):
        return owner.dynamic_output_shape[position]
    if isinstance(owner, tensor.CollapseShapeOp):
        group = owner.reassociation.data[axis]
        return emitter.product([_size_before(bufferizer, emitter, op, owner.src, item.value.data) for item in group])
    if isinstance(owner, tensor.ReshapeOp) and isinstance(owner.shape.owner, tensor.FromElementsOp):
        return as_index(emitter, owner.shape.owner.elements[axis])
    if isinstance(owner, scf.IfOp) and isinstance(value, OpResult) and owner.true_region.block.last_op is not None:
        return _tensor_size(bufferizer, emitter, op, owner.true_region.block.last_op.operands[value.index], axis)
    source = destination_of(value)
    if source is None or isinstance(owner, tensor.ReshapeOp):
        raise NotComputable(owner if isinstance(owner, Operation) else op)
    return _tensor_size(bufferizer, emitter, op, source, axis)


def bufferize_while(bufferizer: Bufferizer, op: scf.WhileOp) -> None:
    """Loop-carried tensors live in buffers that every iteration overwrites.

        %r = scf.while (%a = %init) { … scf.condition(%c) %a } do { ^bb(%b): … scf.yield %next }
    →
        %r = memref.alloc()
        memref.copy %init, %r
        scf.while () { … scf.condition(%c) } do { … memref.copy %next, %r }

    A next value is computed in the carried buffer at once where nothing reads the last one any more, and its sizes are
    known not to change.

    Raises LaminaError where the size of a carried tensor changes from one iteration to the next.
    """
    emitter = bufferizer.emitter(op)
    carried = [_carried_buffer(bufferizer, emitter, value) for value in op.arguments]
    before, after = op.before_region.block, op.after_region.block
    _replace_arguments(before, carried)
    forwarded = _bufferize_condition(bufferizer, emitter, op, before, carried)
    _replace_arguments(after, forwarded)
    static = [buffer if buffer is not None and memref_type(buffer).has_static_shape() else None for buffer in carried]
    _assign_places(bufferizer, after, static)
    _bufferize_iteration(bufferizer, after, carried)
    copy = scf.WhileOp(
        [value for value, buffer in zip(op.arguments, carried, strict=True) if buffer is None],
        [result.type for result, buffer in zip(op.results, forwarded, strict=True) if buffer is None],
        *(op.detach_region(region) for region in tuple(op.regions)),
    )
    copy.attributes.update(op.attributes)
    emitter.append(copy)
    results = iter(copy.results)
    bufferizer.replace(op, [next(results) if buffer is None else buffer for buffer in forwarded])


def _carried_buffer(bufferizer: Bufferizer, emitter: Emitter, initial: SSAValue) -> SSAValue | None:
    if not is_memref(initial.type):
        return None
    buffer = bufferizer.allocate_like(emitter, initial)
    emitter.append(memref.CopyOp(initial, buffer))
    return buffer


def _replace_arguments(block: Block, buffers: Sequence[SSAValue | None]) -> None:
    """Use buffers for the block's tensor arguments, which are removed."""
    for argument, buffer in zip(list(block.args), buffers, strict=True):
        if buffer is not None:
            argument.replace_all_uses_with(buffer)
            block.erase_arg(argument)


def _bufferize_condition(
    bufferizer: Bufferizer, emitter: Emitter, op: scf.WhileOp, block: Block, carried: Sequence[SSAValue | None]
) -> list[SSAValue | None]:
    """The condition region; what it forwards: a buffer, or None for a scalar, for each result of the loop."""
    terminator = block.last_op
    if not isinstance(terminator, scf.ConditionOp):
        raise error_at(op, "the condition region does not end in scf.condition")
    computed = [
        _forwarded_buffer(bufferizer, emitter, op, value) if _is_inside(value, op) and is_tensor(value.type) else None
        for value in terminator.args
    ]
    bufferizer.block(block)
    inner = bufferizer.emitter(terminator)
    forwarded: list[SSAValue | None] = []
    scalars: list[SSAValue] = []
    for value, buffer in zip(terminator.args, computed, strict=True):
        if buffer is not None:
            inner.append(memref.CopyOp(value, buffer))
            forwarded.append(buffer)
        elif is_memref(value.type):
            forwarded.append(value)
        else:
            scalars.append(value)
            forwarded.append(None)
    replace_terminator(block, scf.ConditionOp(terminator.condition, *scalars))
    bufferizer.release(block)
    return forwarded


def _forwarded_buffer(bufferizer: Bufferizer, emitter: Emitter, op: scf.WhileOp, value: SSAValue) -> SSAValue:
    type_ = buffer_type(tensor_type(value))
    dynamic = [
        _size_before(bufferizer, emitter, op, value, axis)
        for axis, size in enumerate(type_.get_shape())
        if size == DYNAMIC_INDEX
    ]
    return bufferizer.allocate(emitter, type_, dynamic)


def _bufferize_iteration(
    bufferizer: Bufferizer, block: Block, carried: Sequence[SSAValue | None], *, sizes_are_checked: bool = False
) -> None:
    bufferizer.block(block)
    terminator = block.last_op
    if terminator is None:
        return
    emitter = bufferizer.emitter(terminator)
    buffers = {buffer for buffer in carried if buffer is not None}
    moves: list[tuple[SSAValue, SSAValue]] = []
    scalars: list[SSAValue] = []
    for value, buffer in zip(terminator.operands, carried, strict=True):
        if buffer is None:
            scalars.append(value)
        elif value is not buffer:
            if not sizes_are_checked:
                _check_invariant(bufferizer, emitter, terminator, value, buffer)
            moves.append((value, buffer))
    # A value that is another carried buffer must be read before any of them is overwritten.
    for position, (value, buffer) in enumerate(moves):
        if len(moves) > 1 and underlying(value) in buffers:
            saved = bufferizer.allocate_like(emitter, value)
            emitter.append(memref.CopyOp(value, saved))
            moves[position] = (saved, buffer)
    for value, buffer in moves:
        emitter.append(memref.CopyOp(value, buffer))
    replace_terminator(block, scf.YieldOp(*scalars))
    bufferizer.release(block)


def _check_invariant(
    bufferizer: Bufferizer, emitter: Emitter, op: Operation, value: SSAValue, buffer: SSAValue
) -> None:
    expressions = bufferizer.expressions()
    for axis in range(memref_type(buffer).get_num_dims()):
        before, after = (expressions.of(bufferizer.size(emitter, side, axis)) for side in (buffer, value))
        if before != after:
            raise error_at(op, f"the size of axis {axis} of a loop-carried tensor changes between iterations")


def bufferize_for(bufferizer: Bufferizer, op: scf.ForOp) -> None:
    """Tensors that a counted loop carries are written in place: their initial buffers are the loop's own.

        %r:2 = scf.for … iter_args(%c = %init, %s = %empty) { … insert %y into %s[%i] … scf.yield %next, %s1 }
    →
        scf.for … { %part = subview %empty[%i] … compute %y in %part … memref.copy %next, %init }

    A value that is computed into a `tensor.empty` of the body and inserted is computed in its place at once; so is the
    next carried value, where nothing reads the last one any more.
    """
    emitter = bufferizer.emitter(op)
    buffers = list(op.iter_args)
    block = op.body.block
    _replace_arguments(block, [None, *buffers])
    _assign_places(bufferizer, block, buffers)
    # That carried sizes stay as they are has been asserted ahead of the loop.
    _bufferize_iteration(bufferizer, block, buffers, sizes_are_checked=True)
    copy = scf.ForOp(op.lb, op.ub, op.step, [], op.detach_region(op.body))
    copy.attributes.update(op.attributes)
    emitter.append(copy)
    bufferizer.replace(op, buffers)


def _assign_places(bufferizer: Bufferizer, block: Block, buffers: Sequence[SSAValue | None]) -> None:
    """Decide which tensors of an iteration are computed where they end up."""
    terminator = block.last_op
    if terminator is None:
        return
    targets: list[tuple[SSAValue, SSAValue]] = []
    for value, buffer in zip(terminator.operands, buffers, strict=True):
        if buffer is None:
            continue
        if isinstance(value.owner, tensor.InsertSliceOp):
            if not is_tensor(value.owner.source.type):
                continue  # made outside of the loop
            part = _part_at_start(bufferizer, block, value.owner)
            bufferizer.parts[value.owner] = part
            targets.append((value.owner.source, part))
        elif _is_last_to_read(bufferizer, value, buffer, block):
            targets.append((value, buffer))
    for value, target in targets:
        start = chain_start(value)
        fresh = isinstance(start.owner, tensor.EmptyOp) and start.owner.parent_block() is block
        if fresh and start not in bufferizer.assigned and buffer_type(tensor_type(start)) == target.type:
            bufferizer.assigned[start] = target


def _part_at_start(bufferizer: Bufferizer, block: Block, op: tensor.InsertSliceOp) -> SSAValue:
    """The part that an insertion writes, made as soon as its position is known."""
    position = op.offsets[0].owner
    before = block.first_op
    if isinstance(position, Operation) and position.parent_block() is block:
        before = position.next_op
    return bufferizer.part(bufferizer.emitter(before or op), op.dest, op, buffer_type(tensor_type(op.source)))


def _is_last_to_read(bufferizer: Bufferizer, value: SSAValue, carried: SSAValue, block: Block) -> bool:
    """Whether all that an iteration reads of a carried buffer is read before its next contents are written, or in step.

    In step: by the same call, of a kernel that may have the buffer as this operand and as its destination.
    """
    start = chain_start(value)
    while (destination := destination_of(value)) is not None and destination is not start:
        value = destination
    writer = value.owner  # the first of those that write the buffer
    if not isinstance(writer, Operation) or writer.parent_block() is not block:
        return False
    for reader in _readers(carried):
        inner = block.find_ancestor_op_in_block(reader)
        if inner is writer and isinstance(value, OpResult):
            if not _updates_in_place(bufferizer, writer, carried, value.index):
                return False
        elif inner is not None and not inner.is_before_in_block(writer):
            return False
    return True


def _updates_in_place(bufferizer: Bufferizer, op: Operation, carried: SSAValue, result: int) -> bool:
    """Whether a call may write a result into a buffer that it is given, and only given as a whole."""
    if not isinstance(op, func.CallOp):
        return False
    pairs = bufferizer.globals.in_place.get(op.callee.string_value(), frozenset())
    first = len(op.operands) - len(op.results)
    views = any(reader is op for use in carried.uses if isinstance(use.operation, VIEWS) for reader in _readers_of(use))
    whole = [index for index, operand in enumerate(op.operands[:first]) if operand is carried]
    return not views and all((index, first + result) in pairs for index in whole)


def _readers_of(use: Use) -> list[Operation]:
    return _readers(use.operation.results[0])


def _readers(value: SSAValue) -> list[Operation]:
    """The ops that use a value, or a view of it."""
    readers: list[Operation] = []
    for use in value.uses:
        views = isinstance(use.operation, VIEWS)
        readers += _readers(use.operation.results[0]) if views else [use.operation]
    return readers
