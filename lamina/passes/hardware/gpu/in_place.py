"""Which buffers a kernel function is given twice, to read and to write, and loads of them that only some threads do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue

from lamina.dialects.loop import memref, scf
from lamina.passes.hardware.gpu.alignment import SAME_START, passed_buffers
from lamina.passes.loop.emitter import Emitter, scalar_attribute


def updated_in_place(module: ModuleOp) -> set[SSAValue]:
    """The arguments of functions that some call gives the buffer, or a part of it, that another argument has too.

    func.call @step(%cell, %gates, %cell)
    """
    found: set[SSAValue] = set()
    for passed in passed_buffers(module):
        first: dict[SSAValue, SSAValue] = {}
        for buffer, argument in passed:
            other = first.setdefault(root_of(buffer), argument)
            if other is not argument:
                found |= {other, argument}
    return found


def root_of(buffer: SSAValue) -> SSAValue:
    """The buffer that a view is of."""
    while not isinstance(buffer, BlockArgument):
        owner = buffer.owner
        is_view = isinstance(owner, memref.SubviewOp | memref.ReinterpretCastOp)
        if not isinstance(owner, Operation) or not (is_view or owner.name in SAME_START):
            return buffer
        buffer = owner.operands[0]
    return buffer


def loaded_where(
    emitter: Emitter, condition: SSAValue, types: Sequence[Attribute], load: Callable[[Emitter], Sequence[SSAValue]]
) -> list[SSAValue]:
    """What `load` gives where a condition holds, zeros elsewhere: `scf.if` with results."""

    def zeros(inner: Emitter) -> Sequence[SSAValue]:
        found: list[SSAValue] = []
        for type_ in types:
            value = scalar_attribute(0, type_)
            found.append(inner.constants.get(value, type_))
        return found

    def side(give: Callable[[Emitter], Sequence[SSAValue]]) -> Region:
        block = Block()
        inner = emitter.nested(block)
        values = give(inner)
        inner.append(scf.YieldOp(*values))
        return Region(block)

    op = scf.IfOp(condition, types, side(load), side(zeros))
    emitter.append(op)
    return list(op.results)
