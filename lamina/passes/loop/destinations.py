"""Destination passing: which buffer a tensor lives in, and proof that no overwritten value is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, IndexType
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.ir.affine import AffineMap

from lamina.diagnostics import error_at
from lamina.dialects.loop import arith, scf
from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import linalg, tensor
from lamina.passes.loop.structured import iterators_of, maps_of

IN_PLACE = "lamina.in_place"
"""On a kernel: the name of the one that is called instead where a destination is also the operand that it updates."""

VIEWS = (tensor.CastOp, tensor.ReshapeOp, tensor.CollapseShapeOp, tensor.ExpandShapeOp, tensor.ExtractSliceOp)
"""Ops whose result lies in the buffer of their first operand."""


def destinations(op: Operation) -> Sequence[SSAValue]:
    """The operands that an op writes, one per tensor result; empty for ops that write none."""
    if isinstance(op, linalg.GenericOp | linalg.FillOp):
        return op.outputs
    if isinstance(op, func.CallOp | scf.ForOp) and op.results:
        return op.operands[-len(op.results) :]
    return ()


def destination_of(value: SSAValue) -> SSAValue | None:
    """The operand whose buffer the op that defines `value` writes, or views; None for other values."""
    owner = value.owner
    if isinstance(owner, Block):
        return None
    if isinstance(owner, VIEWS):
        return owner.operands[0]
    if isinstance(owner, tensor.InsertSliceOp):
        return owner.dest
    written = destinations(owner)
    if not written or not isinstance(value, OpResult):
        return None
    return written[value.index]


def root_of(value: SSAValue) -> SSAValue:
    """The first value of the chain that shares the buffer of `value`."""
    while (source := destination_of(value)) is not None:
        value = source
    return value


def chain_start(value: SSAValue) -> SSAValue:
    """The first value of the chain in the same buffer under the same type; views end the chain."""
    while not isinstance(value.owner, VIEWS) and (source := destination_of(value)) is not None:
        value = source
    return value


def own_loop_inits(block: Block) -> None:
    """Copy initial values of counted loops that anything else reads: the loop writes them in place."""
    for op in list(block.walk()):
        if isinstance(op, scf.ForOp):
            for index, init in enumerate(op.iter_args):
                if is_tensor(init.type) and not _is_own(init):
                    op.operands[3 + index] = _copied(init, op)


def _is_own(value: SSAValue) -> bool:
    """Whether a value lies in a buffer made for it, and nothing but its one user reads it."""
    while sum(not isinstance(use.operation, tensor.DimOp) for use in value.uses) == 1:
        if isinstance(value.owner, tensor.EmptyOp):
            return True
        source = destination_of(value)
        if source is None:
            return False
        value = source
    return False


def _copied(value: SSAValue, before: Operation) -> SSAValue:
    """A copy of a tensor, made before an op."""
    type_ = value.type
    block = before.parent_block()
    if block is None or not is_tensor(type_):
        return value
    rank = type_.get_num_dims()
    made: list[Operation] = []
    sizes: list[SSAValue] = []
    for axis, size in enumerate(type_.get_shape()):
        if size == DYNAMIC_INDEX:
            position = arith.ConstantOp.from_int_and_width(axis, IndexType())
            made += [position, tensor.DimOp(value, position)]
            sizes.append(made[-1].results[0])
    made.append(tensor.EmptyOp(sizes, type_))
    body = Block(arg_types=[type_.get_element_type()] * 2)
    body.add_op(linalg.YieldOp(body.args[0]))
    maps = [AffineMapAttr(AffineMap.identity(rank))] * 2
    kinds = [linalg.IteratorTypeAttr.parallel()] * rank
    made.append(linalg.GenericOp([value], [made[-1].results[0]], Region(body), maps, kinds, [type_]))
    for op in made:
        op.location = before.location
        block.insert_op_before(op, before)
    return made[-1].results[0]


def split_shared_empties(block: Block) -> None:
    """Give every op that writes to a `tensor.empty` one of its own: an empty tensor has no contents to share."""
    for op in list(block.walk()):
        if not isinstance(op, tensor.EmptyOp):
            continue
        writes = [use for use in op.results[0].uses if use.index >= _first_destination(use.operation)]
        for use in writes[1:]:
            copy = op.clone()
            copy.location = op.location
            parent = op.parent_block()
            if parent is not None:
                parent.insert_op_after(copy, op)
            use.operation.operands[use.index] = copy.results[0]


def _first_destination(op: Operation) -> int:
    written = destinations(op)
    return len(op.operands) - len(written) if written else len(op.operands)


class DestinationCheck:
    """Walks a function in order and knows which value every buffer holds."""

    def __init__(self, undefined: Sequence[SSAValue]):
        self._holds: dict[SSAValue, SSAValue] = {}
        self._undefined = set(undefined)

    def block(self, block: Block) -> None:
        """Check the ops of a block; raises LaminaError naming the op that would need a copy."""
        for op in block.ops:
            self._op(op)

    def _op(self, op: Operation) -> None:
        if isinstance(op, tensor.InsertSliceOp):
            self._check_read(op, op.source)
            self._check_read(op, op.dest)
            self._holds[root_of(op.dest)] = op.result
            return
        written = destinations(op)
        first = len(op.operands) - len(written)
        for operand in op.operands[:first]:
            self._check_read(op, operand)
        captured = [
            operand
            for region in op.regions
            for inner in region.walk()
            if not isinstance(op, scf.IfOp | scf.WhileOp)
            for operand in inner.operands
        ]
        for operand in captured:
            self._check_read(op, operand)
        for operand in written:
            if not self._is_undefined(operand):
                self._check_read(op, operand)
            self._check_in_place(op, operand, [*op.operands[:first], *captured])
        for operand, result in zip(written, op.results, strict=False):
            self._holds[root_of(operand)] = result
        if isinstance(op, scf.IfOp | scf.WhileOp | scf.ForOp):
            for region in op.regions:
                for block in region.blocks:
                    self.block(block)

    def _is_undefined(self, value: SSAValue) -> bool:
        return value in self._undefined or isinstance(value.owner, tensor.EmptyOp)

    def _check_read(self, op: Operation, value: SSAValue) -> None:
        if not is_tensor(value.type):
            return
        root = root_of(value)
        held = self._holds.get(root)
        if held is not None and held is not _unviewed(value):
            raise error_at(op, "reads a tensor whose buffer was written to since, which would need a copy")

    def _check_in_place(self, op: Operation, destination: SSAValue, read: Sequence[SSAValue]) -> None:
        root = root_of(destination)
        same = [value for value in read if is_tensor(value.type) and root_of(value) is root]
        if not same:
            return
        if not isinstance(op, linalg.GenericOp) or not _reads_where_it_writes(op, root):
            raise error_at(op, "reads and writes one buffer at different positions, which would need a copy")


def _unviewed(value: SSAValue) -> SSAValue:
    owner = value.owner
    while isinstance(owner, VIEWS):
        value = owner.operands[0]
        owner = value.owner
    return value


def _reads_where_it_writes(op: linalg.GenericOp, root: SSAValue) -> bool:
    maps = maps_of(op)
    sharing = [
        (operand, map_)
        for operand, map_ in zip(op.operands, maps, strict=True)
        if is_tensor(operand.type) and root_of(operand) is root
    ]
    captured = any(
        is_tensor(operand.type) and root_of(operand) is root for inner in op.body.walk() for operand in inner.operands
    )
    one_map = all(map_ == sharing[0][1] for _, map_ in sharing)
    unviewed = all(not isinstance(operand.owner, VIEWS) for operand, _ in sharing)
    return all(iterators_of(op)) and one_map and unviewed and not captured


def may_write_in_place(kernel: func.FuncOp, operand: int, destination: int) -> bool:
    """Whether a kernel may be called with one buffer as an input and as a destination.

    It may when the input is read by one op only, which writes the destination in the same iterations, and nothing else
    writes the destination.
    """
    block = kernel.body.block
    source, target = block.args[operand], block.args[destination]
    readers = [use for use in source.uses if not isinstance(use.operation, tensor.DimOp)]
    writers = [use for use in target.uses if not isinstance(use.operation, tensor.DimOp)]
    if not readers:
        return True
    writer = writers[0].operation
    if len(writers) != 1 or not isinstance(writer, linalg.GenericOp) or not all(iterators_of(writer)):
        return False
    maps = maps_of(writer)
    same_op = all(use.operation is writer for use in readers)
    return same_op and all(maps[use.index] == maps[writers[0].index] for use in readers)


def in_place_pairs(functions: Iterable[func.FuncOp]) -> Mapping[str, frozenset[tuple[int, int]]]:
    """By kernel: its operands and destinations that may be one buffer (`may_write_in_place`)."""
    pairs: dict[str, frozenset[tuple[int, int]]] = {}
    for function in functions:
        inputs, results = function.function_type.inputs.data, function.function_type.outputs.data
        first = len(inputs) - len(results)
        if "lamina.kernel" in function.attributes:
            pairs[function.sym_name.data] = frozenset(
                (operand, target)
                for target in range(first, len(inputs))
                for operand in range(first)
                if inputs[operand] == inputs[target] and may_write_in_place(function, operand, target)
            )
    return pairs
