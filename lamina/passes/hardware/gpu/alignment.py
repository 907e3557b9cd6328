"""Which buffers of a kernel start at a multiple of 16 bytes, and loads and stores of several elements at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerAttr, ModuleOp, NoneAttr, StridedLayoutAttr, i64
from xdsl.ir import BlockArgument, Operation, SSAValue

from lamina.dialects.loop import memref, vector
from lamina.dialects.loop.types import AnyMemRef, is_integer, is_memref
from lamina.passes.loop.emitter import Emitter, Index, known_index, memref_type, vector_of
from lamina.passes.loop.plan_arena import element_bytes

BYTES = 16
SAME_START = frozenset(
    {"memref.cast", "memref.collapse_shape", "memref.expand_shape", "builtin.unrealized_conversion_cast"}
)


def passed_buffers(module: ModuleOp) -> Iterator[list[tuple[SSAValue, SSAValue]]]:
    """For every call of a function with a body: each buffer that it passes, and the argument that receives it."""
    functions = {one.sym_name.data: one for one in module.ops if isinstance(one, func.FuncOp) and one.body.blocks}
    for call in module.walk():
        callee = functions.get(call.callee.string_value()) if isinstance(call, func.CallOp) else None
        if callee is not None:
            pairs = zip(call.operands, callee.body.block.args, strict=True)
            yield [(operand, argument) for operand, argument in pairs if is_memref(operand.type)]


def unaligned_arguments(module: ModuleOp) -> set[SSAValue]:
    """The arguments of functions that some call gives a part of a buffer which may start anywhere.

    Whole buffers are aligned: drivers allocate them so, and so does the plan of the arena.
    """
    found: set[SSAValue] = set()
    for passed in passed_buffers(module):
        found |= {argument for buffer, argument in passed if not starts_aligned(buffer, found)}
    return found


def starts_aligned(buffer: SSAValue, unaligned: set[SSAValue], size: int = BYTES) -> bool:
    """Whether a buffer starts at a multiple of `size` bytes, at most 16, given the arguments that may not."""
    if isinstance(buffer, BlockArgument):
        return buffer not in unaligned
    owner = buffer.owner
    if isinstance(owner, memref.SubviewOp):
        return _steps_aligned(owner, size) and starts_aligned(owner.source, unaligned, size)
    if isinstance(owner, memref.ReinterpretCastOp):
        offsets = owner.static_offsets.get_values()
        return all(offset == 0 for offset in offsets) and starts_aligned(owner.operands[0], unaligned, size)
    if isinstance(owner, Operation) and owner.name in SAME_START:
        return starts_aligned(owner.operands[0], unaligned, size)
    return not isinstance(owner, memref.LoadOp)


def _steps_aligned(view: memref.SubviewOp, size: int) -> bool:
    """Whether every axis that a part does not start at 0 of steps by multiples of `size` bytes."""
    source = memref_type(view.source)
    shape = source.get_shape()
    if not is_dense(source):
        return False
    dynamic = iter(view.offsets)
    for axis, offset in enumerate(view.static_offsets.get_values()):
        known: Index = known_index(next(dynamic)) if offset == DYNAMIC_INDEX else offset
        if known == 0:
            continue
        inner = shape[axis + 1 :]
        if DYNAMIC_INDEX in inner:
            return False
        step = prod(inner) * element_bytes(source.get_element_type())
        if (step * known if isinstance(known, int) else step) % size:
            return False
    return True


def is_dense(type_: AnyMemRef) -> bool:
    """Whether the elements of a buffer, or of a part of one, lie next to each other in order, as far as types tell."""
    if isinstance(type_.layout, NoneAttr):
        return True
    if not isinstance(type_.layout, StridedLayoutAttr):
        return False
    expected = 1
    for size, stride in reversed(list(zip(type_.get_shape(), type_.get_strides() or (), strict=True))):
        if size == 1:
            continue
        if stride != expected or size == DYNAMIC_INDEX:
            return stride == expected and size == type_.get_shape()[0]
        expected *= size
    return True


def load_many(emitter: Emitter, buffer: SSAValue, indices: Sequence[Index], count: int) -> list[SSAValue]:
    """`count` neighbors, at a multiple of their size in bytes."""
    element = memref_type(buffer).get_element_type()
    loaded = emitter.value(
        vector.LoadOp.create(
            operands=[buffer, *(emitter.index(index) for index in indices)],
            result_types=[vector_of((count,), element)],
            attributes={"alignment": IntegerAttr(element_bytes(element) * count, i64)},
        )
    )
    return [emitter.value(vector.ExtractOp(loaded, [number], element)) for number in range(count)]


def store_many(emitter: Emitter, values: Sequence[SSAValue], buffer: SSAValue, indices: Sequence[Index]) -> None:
    """The converse of `load_many`."""
    whole = emitter.value(vector.FromElementsOp(list(values), vector_of((len(values),), values[0].type)))
    size = element_bytes(values[0].type) * len(values)
    emitter.append(
        vector.StoreOp.create(
            operands=[whole, buffer, *(emitter.index(index) for index in indices)],
            attributes={"alignment": IntegerAttr(size, i64)},
        )
    )


def has_vectors(buffer: SSAValue) -> bool:
    """Whether several elements of a buffer can be loaded at once: booleans cannot."""
    element = memref_type(buffer).get_element_type()
    return not (is_integer(element) and element.width.data == 1)
