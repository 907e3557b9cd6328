"""`remat`: which functions a backward pass computes again instead of keeping what is inside them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import SymbolTable

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.dims import symbols_of
from lamina.dialects.graph.types import dtype_of
from lamina.passes.autodiff.functions import DERIVATIVE, JVP, VJP
from lamina.passes.autodiff.rematerialization import REMAT, check_policy
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import dims_attribute
from lamina.passes.graph.inline_calls import KERNEL
from lamina.passes.graph.shape_analysis import DIMS, ShapeAnalysis

SYMBOLIC_SIZE = 64
"""What a symbolic size counts for where bytes are compared."""


@dataclass(frozen=True)
class RematPass(LaminaPass):
    """Mark functions: a backward pass through a call of one keeps what `policy` says, and computes the rest again.

    ```mlir
    func.func private @f(%x: …) -> … {   →   func.func private @f(%x: …) -> … attributes {lamina.remat = "nothing"} {
    ```

    Runs before `differentiate`. `policy` is `nothing` (the arguments only, the default), `dots` (also the results of
    contractions and attention) or `everything` (no effect). `function` names the functions; by default all private ones
    that are neither derivatives nor kernels nor have rules of their own. With `segments`, the ops of the functions
    (by default the public ones) first move into so many private functions, cut where little passes from one to the
    next, and these are marked.
    """

    name = "remat"
    counters: ClassVar[dict[str, str]] = {"marked": "functions marked"}

    policy: str = "nothing"
    function: tuple[str, ...] | None = None
    segments: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        policy = check_policy(self.policy)
        if self.segments is not None and self.segments < 1:
            raise LaminaError(f"remat: segments: expected at least 1, found {self.segments}")
        marked = self._chosen(op)
        if self.segments is not None:
            marked = [part for function in marked for part in split(op, function, self.segments)]
        for function in marked:
            function.attributes[REMAT] = StringAttr(policy)
            self.count("marked")

    def _chosen(self, module: ModuleOp) -> list[func.FuncOp]:
        if self.function is None:
            visible = self.segments is not None
            return [op for op in module.ops if isinstance(op, func.FuncOp) and _is_candidate(op, visible)]
        found: list[func.FuncOp] = []
        for name in self.function:
            function = SymbolTable.lookup_symbol(module, name)
            if not isinstance(function, func.FuncOp) or not function.body.blocks:
                raise LaminaError(f"remat: the module has no function @{name} with a body")
            found.append(function)
        return found


def _is_candidate(function: func.FuncOp, visible: bool) -> bool:
    is_private = function.sym_visibility == StringAttr("private")
    without = {DERIVATIVE, KERNEL, VJP, JVP}
    return bool(function.body.blocks) and is_private != visible and not without & function.attributes.keys()


def split(module: ModuleOp, function: func.FuncOp, segments: int) -> list[func.FuncOp]:
    """Move the ops of a function into so many private functions, or fewer where there are fewer ops."""
    analysis = ShapeAnalysis(function)
    ops = [op for op in function.body.block.ops if not isinstance(op, ConstantOp | func.ReturnOp)]
    places = [0, *_cuts(ops, segments), len(ops)]
    runs = [ops[first:last] for first, last in itertools.pairwise(places) if first < last]
    taken = {op.sym_name.data for op in module.ops if isinstance(op, func.FuncOp)}
    made: list[func.FuncOp] = []
    place: Operation = function
    for number, run in enumerate(runs):
        name = f"{function.sym_name.data}.segment{number}"
        if name in taken:
            raise LaminaError(
                f"remat: the module has a function @{name} already", where=location_text(function.location)
            )
        part = _outline(run, name, analysis)
        Rewriter.insert_op(part, InsertPoint.after(place))
        place = part
        made.append(part)
    return made


def _cuts(ops: Sequence[Operation], segments: int) -> list[int]:
    """Places to cut: near equal shares of the bytes computed, where the fewest bytes pass."""
    position = {op: index for index, op in enumerate(ops)}
    computed = [sum(_bytes(result) for result in op.results) for op in ops]
    passing = [0] * (len(ops) + 1)
    for index, op in enumerate(ops):
        for result in op.results:
            last = max((position.get(_top_level(use.operation, op), len(ops)) for use in result.uses), default=index)
            for place in range(index + 1, min(last, len(ops)) + 1):
                passing[place] += _bytes(result)
    done, total = [0], sum(computed)
    for amount in computed:
        done.append(done[-1] + amount)
    cuts: list[int] = []
    for number in range(1, segments):
        low, high = ((2 * number + side) * total / (2 * segments) for side in (-1, 1))
        least = cuts[-1] + 1 if cuts else 1
        choices = [place for place in range(least, len(ops)) if low <= done[place] <= high]
        if choices:
            # Of equally good places the last: what the next segment would start with belongs to this one.
            cuts.append(min(choices, key=lambda place: (passing[place], -place)))
    return cuts


def _top_level(op: Operation, like: Operation) -> Operation:
    """The op itself, or the one around it, in the block of another."""
    block = like.parent
    found = None if block is None else block.find_ancestor_op_in_block(op)
    return op if found is None else found


def _bytes(value: SSAValue) -> int:
    type_ = value.type
    if not isinstance(type_, TensorType):
        return 0
    tensor = cast("TensorType[Any]", type_)
    count = 1
    for size in tensor.get_shape():
        count *= SYMBOLIC_SIZE if size == DYNAMIC_INDEX else size
    return count * dtype_of(tensor.get_element_type()).itemsize


def _outline(run: Sequence[Operation], name: str, analysis: ShapeAnalysis) -> func.FuncOp:
    """Move ops into a function, which is called where the last of them stood."""
    inside = {inner for op in run for inner in op.walk()}
    own = {result for op in inside for result in op.results}
    own |= {argument for op in inside for region in op.regions for block in region.blocks for argument in block.args}
    read = list(dict.fromkeys(operand for op in run for inner in op.walk() for operand in inner.operands))
    outer = [value for value in read if value not in own]
    constants = [value for value in outer if isinstance(value.owner, ConstantOp)]
    inputs = [value for value in outer if value not in constants]
    outputs = [result for op in run for result in op.results if any(use.operation not in inside for use in result.uses)]
    block = Block(arg_types=[value.type for value in inputs])
    last = run[-1]
    call = func.CallOp(name, inputs, [value.type for value in outputs])
    call.location = last.location
    Rewriter.insert_op(call, InsertPoint.after(last))
    for value, result in zip(outputs, call.results, strict=True):
        result.name_hint = value.name_hint
        analysis.adopt(result, value)
        value.replace_uses_with_if(result, lambda use: use.operation not in inside)
    replacements: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
    for value in constants:
        assert isinstance(value.owner, ConstantOp)
        copy = value.owner.clone()
        copy.location = value.owner.location
        block.add_op(copy)
        replacements[value] = copy.result
    for op in run:
        op.detach()
        block.add_op(op)
    for value, replacement in replacements.items():
        replacement.name_hint = value.name_hint
        value.replace_uses_with_if(replacement, lambda use: use.operation in inside)
    returned = func.ReturnOp(*outputs)
    returned.location = last.location
    block.add_op(returned)
    types = [value.type for value in inputs], [value.type for value in outputs]
    attributes = ArrayAttr([_described(analysis, value) for value in inputs])
    function = func.FuncOp(name, types, Region(block), visibility="private", arg_attrs=attributes)
    function.location = last.location
    return function


def _described(analysis: ShapeAnalysis, value: SSAValue) -> DictionaryAttr:
    """The sizes of an argument in names that mean the same everywhere: not those that this run computes."""
    shape = analysis.shape(value)
    attributes: dict[str, Attribute] = {}
    if any(symbols_of(size) for size in shape):
        attributes[DIMS] = dims_attribute(shape)
    return DictionaryAttr(attributes)
