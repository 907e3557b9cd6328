"""Replacing the tensors of one function by buffers, op by op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    DenseIntOrFPElementsAttr,
    DenseResourceAttr,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    UnrealizedConversionCastOp,
)
from xdsl.dialects.utils import get_dynamic_index_list
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import Rewriter

from lamina.diagnostics import error_at
from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.types import AnyMemRef, AnyTensor, is_tensor
from lamina.dialects.tensor import linalg, tensor
from lamina.passes.loop.emitter import INDEX, Constants, Emitter, Index, known_index, memref_type, row_major_strides
from lamina.passes.loop.sizes import CASTS, SizeExpressions, buffer_size, named_sizes


class GlobalConstants:
    """What the functions of a module share: its constant buffers, named by content, and facts about its kernels."""

    def __init__(self, module: ModuleOp):
        self._module = module
        self.in_place: Mapping[str, frozenset[tuple[int, int]]] = {}
        """What calls of each kernel may have in one buffer: `destinations.in_place_pairs`, of before any changed."""
        self._names = {op.sym_name.data for op in module.ops if isinstance(op, memref.GlobalOp)}

    def name(self, value: DenseIntOrFPElementsAttr | DenseResourceAttr, type_: AnyMemRef, source: Operation) -> str:
        """The name of the global with this value, which is added where there is none."""
        if isinstance(value, DenseResourceAttr):
            name = value.resource_handle.data
        else:
            name = "d" + sha256(f"{type_}".encode() + value.data.data).hexdigest()[:20]
        if name not in self._names:
            op = memref.GlobalOp(name, type_, value)
            op.location = source.location
            first = self._module.body.block.first_op
            if first is None:
                self._module.body.block.add_op(op)
            else:
                self._module.body.block.insert_op_before(op, first)
            self._names.add(name)
        return name


def buffer_type(type_: AnyTensor) -> AnyMemRef:
    """The contiguous buffer that holds a tensor."""
    return MemRefType(type_.get_element_type(), type_.shape)


def tensor_type(value: SSAValue) -> AnyTensor:
    """The type of a tensor value."""
    if not is_tensor(value.type):
        raise ValueError(f"expected a tensor, found {value.type}")
    return value.type


def replace_terminator(block: Block, terminator: Operation) -> None:
    """Put `terminator` where the block's last op was, with its location."""
    last = block.last_op
    if last is not None:
        terminator.location = last.location
        block.erase_op(last)
    block.add_op(terminator)


class Bufferizer:
    """Replaces the tensors of one function in place.

    `assigned` maps tensors without contents (`tensor.empty`, results of `scf.if`) to buffers that are to hold them;
    `known_sizes` gives the sizes of buffers whose own sizes are only known when the function runs.
    """

    def __init__(self, function: func.FuncOp, globals_: GlobalConstants):
        self.function = function
        self.globals = globals_
        self.constants = Constants(function.body.block)
        self.assigned: dict[SSAValue, SSAValue] = {}
        self.known_sizes: dict[SSAValue, list[Index]] = {}
        self.parts: dict[Operation, SSAValue] = {}
        """The buffers that insertions write to, where they are made already."""
        self._allocated: dict[Block, list[SSAValue]] = {}
        for argument in list(function.body.block.args):
            if is_tensor(argument.type):
                Rewriter.replace_value_with_new_type(argument, buffer_type(argument.type))
        self._named = named_sizes(function)

    def expressions(self) -> SizeExpressions:
        """What is known of sizes in this function."""
        return SizeExpressions(self._named)

    def block(self, block: Block) -> None:
        """Bufferize the ops of a block, its terminator excepted."""
        for op in list(block.ops)[:-1]:
            # Extracting from `tensor.from_elements` is done with that.
            if op.parent is not None:
                self.op(op)

    def op(self, op: Operation) -> None:
        """Bufferize one op. Raises LaminaError for an op on tensors that has no form on buffers."""
        case = CASES.get(type(op))
        if case is not None:
            case(self, op)
            return
        values = (*op.operands, *op.results)
        if op.regions or any(is_tensor(value.type) for value in values):
            raise error_at(op, "has no form on buffers")

    def emitter(self, op: Operation) -> Emitter:
        """An emitter before `op`."""
        return Emitter.ahead_of(op, self.constants)

    def replace(self, op: Operation, values: Sequence[SSAValue]) -> None:
        """Use `values` for the results of an op, which is erased."""
        for result, value in zip(op.results, values, strict=True):
            result.replace_all_uses_with(value)
        op.detach()
        op.erase()

    def size(self, emitter: Emitter, buffer: SSAValue, axis: int) -> Index:
        """The size of a buffer's axis."""
        return buffer_size(emitter, buffer, axis, self.known_sizes)

    def sizes(self, emitter: Emitter, buffer: SSAValue) -> list[Index]:
        """The sizes of a buffer."""
        return [self.size(emitter, buffer, axis) for axis in range(memref_type(buffer).get_num_dims())]

    # Memory

    def allocate(self, emitter: Emitter, type_: AnyMemRef, dynamic_sizes: Sequence[Index]) -> SSAValue:
        """A new buffer, released at the end of the block that it is made in."""
        sizes = [emitter.index(size) for size in dynamic_sizes]
        buffer = emitter.value(memref.AllocOp(sizes, (), type_, IntegerAttr(ALIGNMENT, 64)))
        self._allocated.setdefault(emitter.block, []).append(buffer)
        return buffer

    def allocate_like(self, emitter: Emitter, buffer: SSAValue) -> SSAValue:
        """A new contiguous buffer of the type and sizes of another."""
        source = memref_type(buffer)
        sizes = self.sizes(emitter, buffer)
        dynamic = [size for size, static in zip(sizes, source.get_shape(), strict=True) if static == DYNAMIC_INDEX]
        return self.allocate(emitter, MemRefType(source.get_element_type(), source.shape), dynamic)

    def release(self, block: Block) -> None:
        """Finish a block: release the buffers made in it before its terminator, drop shapes that nothing reads."""
        for op in list(block.ops):
            if isinstance(op, tensor.FromElementsOp) and not op.result.uses:
                block.erase_op(op)
        terminator = block.last_op
        if terminator is None:
            return
        emitter = self.emitter(terminator)
        for buffer in self._allocated.pop(block, []):
            emitter.append(memref.DeallocOp.get(buffer))

    def view(self, emitter: Emitter, buffer: SSAValue, type_: AnyMemRef, sizes: Sequence[Index]) -> SSAValue:
        """The same memory under other sizes."""
        if memref_type(buffer) == type_:
            return buffer
        strides = row_major_strides(emitter, sizes)
        # A size that is known here (0 of an empty tensor) and not to the type is an operand all the same.
        given = [
            emitter.index(size) if static == DYNAMIC_INDEX else size
            for size, static in zip(sizes, type_.get_shape(), strict=True)
        ]
        return emitter.value(memref.ReinterpretCastOp.from_dynamic(buffer, [0], given, strides, type_))

    # Ops

    def empty(self, op: Operation) -> None:
        """A new buffer, or the one that is assigned."""
        emitter, value = self.emitter(op), op.results[0]
        type_ = buffer_type(tensor_type(value))
        target = self.assigned.get(value)
        if target is None:
            self.replace(op, [self.allocate(emitter, type_, op.operands)])
            return
        dynamic = iter(op.operands)
        sizes: list[Index] = [next(dynamic) if size == DYNAMIC_INDEX else size for size in type_.get_shape()]
        buffer = self.view(emitter, target, type_, sizes)
        self.known_sizes.setdefault(buffer, [known_index(size) for size in sizes])
        self.replace(op, [buffer])

    def structured(self, op: Operation) -> None:
        """The same op on buffers, without results."""
        if not isinstance(op, linalg.GenericOp | linalg.FillOp):
            return
        for inner in list(op.body.walk()):
            if isinstance(inner, tensor.ExtractOp):
                self.extract(inner)
            elif isinstance(inner, tensor.DimOp):
                self.dim(inner)
        copy = type(op).create(
            operands=op.operands,
            properties=op.properties,
            attributes=op.attributes,
            regions=[op.detach_region(op.body)],
        )
        self.emitter(op).append(copy)
        self.replace(op, op.outputs)

    def call(self, op: Operation) -> None:
        """The same call without results: the last operands are written."""
        if not isinstance(op, func.CallOp):
            return
        copy = func.CallOp.create(operands=op.operands, properties=op.properties, attributes=op.attributes)
        self.emitter(op).append(copy)
        self.replace(op, op.operands[len(op.operands) - len(op.results) :])

    def dim(self, op: Operation) -> None:
        """The size of the buffer."""
        if not isinstance(op, tensor.DimOp):
            return
        emitter, axis = self.emitter(op), known_index(op.index)
        if isinstance(axis, int):
            self.replace(op, [emitter.index(self.size(emitter, op.source, axis))])
        else:
            self.replace(op, [emitter.value(memref.DimOp(op.source, op.index))])

    def extract(self, op: Operation) -> None:
        """A load; of `tensor.from_elements` the element itself."""
        if not isinstance(op, tensor.ExtractOp):
            return
        source, indices = op.tensor.owner, [known_index(index) for index in op.indices]
        if isinstance(source, tensor.FromElementsOp) and len(indices) == 1 and isinstance(indices[0], int):
            self.replace(op, [source.elements[indices[0]]])
            return
        self._materialize(op.tensor)
        self.replace(op, [self.emitter(op).load(op.tensor, indices)])

    def from_elements(self, op: Operation) -> None:
        """A buffer with the elements; none where only sizes are read from it."""
        if not isinstance(op, tensor.FromElementsOp):
            return
        for use in list(op.result.uses):
            if isinstance(use.operation, tensor.ExtractOp):
                self.extract(use.operation)
        if any(not _is_shape(use.operation, use.index) for use in op.result.uses):
            self._materialize(op.result)

    def _materialize(self, value: SSAValue) -> None:
        op = value.owner
        if not isinstance(op, tensor.FromElementsOp):
            return
        emitter, type_ = self.emitter(op), tensor_type(value)
        buffer = self.allocate(emitter, buffer_type(type_), ())
        for position, element in enumerate(op.elements):
            emitter.store(element, buffer, unlinearized(position, type_.get_shape()))
        value.replace_uses_with_if(buffer, lambda use: not _is_shape(use.operation, use.index))

    def constant(self, op: Operation) -> None:
        """The address of a global."""
        if not isinstance(op, arith.ConstantOp) or not is_tensor(op.result.type):
            return
        value = op.value
        if not isinstance(value, DenseIntOrFPElementsAttr | DenseResourceAttr):
            raise error_at(op, f"a tensor constant cannot be {value}")
        type_ = buffer_type(op.result.type)
        name = self.globals.name(value, type_, op)
        self.replace(op, [self.emitter(op).value(memref.GetGlobalOp(name, type_))])

    def cast(self, op: Operation) -> None:
        """The same buffer with other sizes known."""
        emitter, type_ = self.emitter(op), buffer_type(tensor_type(op.results[0]))
        source = op.operands[0]
        self.replace(op, [source if source.type == type_ else emitter.value(memref.CastOp(source, type_))])

    def reshape(self, op: Operation) -> None:
        """A view with the new sizes."""
        emitter, type_ = self.emitter(op), buffer_type(tensor_type(op.results[0]))
        source = op.operands[0]
        sizes = [
            self._reshaped_size(emitter, op, axis) if size == DYNAMIC_INDEX else size
            for axis, size in enumerate(type_.get_shape())
        ]
        self.replace(op, [self.view(emitter, source, type_, sizes)])

    def _reshaped_size(self, emitter: Emitter, op: Operation, axis: int) -> Index:
        if isinstance(op, tensor.ExpandShapeOp):
            static = op.static_output_shape.get_values()
            return op.dynamic_output_shape[static[:axis].count(DYNAMIC_INDEX)]
        if isinstance(op, tensor.CollapseShapeOp):
            group = op.reassociation.data[axis]
            return emitter.product([self.size(emitter, op.src, item.value.data) for item in group])
        if not isinstance(op, tensor.ReshapeOp):
            raise error_at(op, "has no form on buffers")
        shape = op.shape.owner
        if isinstance(shape, tensor.FromElementsOp):
            return as_index(emitter, shape.elements[axis])
        return as_index(emitter, emitter.load(op.shape, [axis]))

    def conditional(self, op: Operation) -> None:
        """See `bufferize_if`."""
        from lamina.passes.loop.bufferize_regions import bufferize_if

        if isinstance(op, scf.IfOp):
            bufferize_if(self, op)

    def loop(self, op: Operation) -> None:
        """See `bufferize_while`."""
        from lamina.passes.loop.bufferize_regions import bufferize_while

        if isinstance(op, scf.WhileOp):
            bufferize_while(self, op)

    def counted_loop(self, op: Operation) -> None:
        """See `bufferize_for`."""
        from lamina.passes.loop.bufferize_regions import bufferize_for

        if isinstance(op, scf.ForOp):
            bufferize_for(self, op)

    def extract_slice(self, op: Operation) -> None:
        """A view of the part."""
        if isinstance(op, tensor.ExtractSliceOp):
            emitter, type_ = self.emitter(op), buffer_type(tensor_type(op.result))
            self.replace(op, [self.part(emitter, op.source, op, type_)])

    def insert_slice(self, op: Operation) -> None:
        """A copy into the part, unless the source was computed there."""
        if not isinstance(op, tensor.InsertSliceOp):
            return
        if memref_type(op.source).get_num_dims() == memref_type(op.dest).get_num_dims():
            self.insert_window(op)
            return
        emitter, part = self.emitter(op), self.parts.get(op)
        if part is None:
            part = self.part(emitter, op.dest, op, memref_type(op.source))
        if underlying(op.source) is not part:
            emitter.append(memref.CopyOp(op.source, part))
        self.replace(op, [op.dest])

    def insert_window(self, op: tensor.InsertSliceOp) -> None:
        """Element by element into a view with the destination's strides."""
        emitter = self.emitter(op)
        offsets = get_dynamic_index_list(op.static_offsets.get_values(), op.offsets, DYNAMIC_INDEX)
        sizes = get_dynamic_index_list(op.static_sizes.get_values(), op.sizes, DYNAMIC_INDEX)
        window = emitter.subview(op.dest, offsets, sizes)
        rank = len(sizes)
        body = Block(arg_types=[memref_type(window).get_element_type()] * 2)
        body.add_op(linalg.YieldOp(body.args[0]))
        maps = [AffineMapAttr(AffineMap.identity(rank))] * 2
        kinds = [linalg.IteratorTypeAttr.parallel()] * rank
        emitter.append(linalg.GenericOp([op.source], [window], Region(body), maps, kinds, []))
        self.replace(op, [op.dest])

    def part(
        self, emitter: Emitter, buffer: SSAValue, op: tensor.ExtractSliceOp | tensor.InsertSliceOp, type_: AnyMemRef
    ) -> SSAValue:
        """One element along the first axis of a buffer, as a buffer: calls take bare pointers to contiguous elements.

        The cast to a type without an offset is the target's to carry out: the offset goes into the pointer.
        """
        offsets = get_dynamic_index_list(op.static_offsets.get_values(), op.offsets, DYNAMIC_INDEX)
        sizes = get_dynamic_index_list(op.static_sizes.get_values(), op.sizes, DYNAMIC_INDEX)
        view = emitter.subview(buffer, offsets, sizes, dropped=(0,))
        part = emitter.value(UnrealizedConversionCastOp.get((view,), (type_,)))
        self.known_sizes[part] = [known_index(size) for size in sizes[1:]]
        return part


ALIGNMENT = 64
"""Bytes to which buffers are aligned: a cache line, and the largest vector register."""

CASES: Mapping[type[Operation], Callable[[Bufferizer, Operation], None]] = {
    tensor.EmptyOp: Bufferizer.empty,
    linalg.GenericOp: Bufferizer.structured,
    linalg.FillOp: Bufferizer.structured,
    func.CallOp: Bufferizer.call,
    tensor.DimOp: Bufferizer.dim,
    tensor.ExtractOp: Bufferizer.extract,
    tensor.FromElementsOp: Bufferizer.from_elements,
    arith.ConstantOp: Bufferizer.constant,
    tensor.CastOp: Bufferizer.cast,
    tensor.ReshapeOp: Bufferizer.reshape,
    tensor.ExpandShapeOp: Bufferizer.reshape,
    tensor.CollapseShapeOp: Bufferizer.reshape,
    scf.IfOp: Bufferizer.conditional,
    scf.WhileOp: Bufferizer.loop,
    scf.ForOp: Bufferizer.counted_loop,
    tensor.ExtractSliceOp: Bufferizer.extract_slice,
    tensor.InsertSliceOp: Bufferizer.insert_slice,
}


def as_index(emitter: Emitter, value: SSAValue) -> Index:
    """An integer as `index`."""
    if value.type == INDEX:
        return known_index(value)
    owner = value.owner
    if isinstance(owner, CASTS) and owner.input.type == INDEX:
        return known_index(owner.input)
    return emitter.computed(arith.IndexCastOp, (value,), INDEX)


def underlying(buffer: SSAValue) -> SSAValue:
    """The buffer that casts and views are of."""
    while isinstance(buffer.owner, memref.CastOp | memref.ReinterpretCastOp):
        buffer = buffer.owner.operands[0]
    return buffer


def unlinearized(position: int, shape: Sequence[int]) -> list[Index]:
    """The row-major indices of a position."""
    indices: list[Index] = []
    for size in reversed(shape):
        position, index = divmod(position, size)
        indices.append(index)
    return indices[::-1]


def _is_shape(op: Operation, index: int) -> bool:
    """Whether an operand only gives the sizes of a reshape."""
    return isinstance(op, tensor.ReshapeOp) and index == 1
