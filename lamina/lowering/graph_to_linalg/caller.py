"""Functions that call kernels: calls get destinations, reshapes become views, control flow becomes `scf`.

Integer arithmetic on shapes is not carried over where the shape analysis knows the elements: a tensor that is still
needed is built from sizes. What is left of it, and any other op, becomes a `linalg.generic` in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from xdsl.dialects import cf, func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue
from xdsl.traits import is_side_effect_free

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.dims import Dim, Shape, symbols_of
from lamina.dialects.graph.extern import ExternOp
from lamina.dialects.graph.scan import ScanOp
from lamina.dialects.graph.types import is_unsigned
from lamina.dialects.loop import arith, scf
from lamina.dialects.tensor import tensor
from lamina.lowering.graph_to_linalg.body import Rules
from lamina.lowering.graph_to_linalg.data_movement import ELEMENT_OPERANDS, size_symbols
from lamina.lowering.graph_to_linalg.emitter import (
    INDEX,
    FunctionScope,
    Tensor,
    element_type_of,
    signless,
    signless_type,
)
from lamina.lowering.graph_to_linalg.externs import Externs
from lamina.lowering.graph_to_linalg.kernel import KernelSignature, lower_stages, replace_body
from lamina.passes.graph.shape_analysis import Equality, ShapeAnalysis, argument_attributes, result_attributes

ELEMENT_TYPE = "lamina.element_type"

VIEWS = frozenset(("graph.reshape", "graph.dynamic_reshape"))


class CallerLowering:
    """Lowers one function that is no kernel."""

    def __init__(
        self,
        caller: func.FuncOp,
        analysis: ShapeAnalysis,
        signatures: Mapping[str, KernelSignature],
        rules: Rules,
        externs: Externs,
    ):
        self.caller = caller
        self.analysis = analysis
        self.signatures = signatures
        self.rules = rules
        self.externs = externs
        self.needed: set[SSAValue] = set()
        self.checked: set[frozenset[Dim]] = set()
        self.checks: dict[Operation, list[Equality]] = {}
        for pair in analysis.constraints:
            self.checks.setdefault(pair.op, []).append(pair)

    def lower(self) -> None:
        """Replace the function's body, in place."""
        caller = self.caller
        source = caller.body.block
        self._mark_needed()
        function = FunctionScope(self.analysis, self.rules, location=caller.location)
        block = Block(arg_types=[signless_type(argument.type) for argument in source.args])
        for old, new in zip(source.args, block.args, strict=True):
            function.values[old] = new
            new.name_hint = old.name_hint
        self._lower_block(function, source)
        block.add_ops(function.finished_ops())
        inputs = [
            with_element_type(argument_attributes(caller, index), argument.type)
            for index, argument in enumerate(source.args)
        ]
        outputs = caller.function_type.outputs.data
        results = [with_element_type(result_attributes(caller, index), type_) for index, type_ in enumerate(outputs)]
        replace_body(caller, block, [signless_type(type_) for type_ in outputs], inputs)
        caller.res_attrs = ArrayAttr(results) if any(attributes.data for attributes in results) else None

    # ---- what is needed as a tensor

    def _mark_needed(self) -> None:
        """Walk back from calls, terminators and sizes to all values that have to exist as tensors."""
        for op in self.caller.body.walk():
            for pair in self.checks.get(op, ()):
                self._need_sizes((pair.left, pair.right))
            if isinstance(op, func.CallOp):
                signature = self.signatures[op.callee.string_value()]
                for index in signature.tensors:
                    self._need(op.operands[index])
                symbols = self.analysis.call_symbols(op)
                self._need_sizes([symbols[name] for name in signature.symbols])
                for result in op.results:
                    self._need_sizes(self.analysis.shape(result), of=result)
            elif op.name in CONTROL_FLOW:
                for operand in op.operands:
                    self._need(operand)
                if isinstance(op, ScanOp):
                    for result in op.stacked_results:
                        self._need_sizes(self.analysis.shape(result), of=result)
            elif isinstance(op, ExternOp) and not is_side_effect_free(op):
                self._need_extern(op)

    def _need(self, value: SSAValue) -> None:
        pending = [value]
        while pending:
            value = pending.pop()
            op = value.owner
            if value in self.needed or not isinstance(op, Operation):
                continue
            self.needed.add(value)
            if self._known_elements(value) is not None:
                self._need_sizes(self._known_elements(value) or ())
            elif op.name in VIEWS:
                pending.append(op.operands[0])
                self._need_sizes(self.analysis.shape(value))
            elif isinstance(op, ExternOp):
                self._need_extern(op)
            elif isinstance(op, GraphOp) and op.name not in CONTROL_FLOW:
                unused = ELEMENT_OPERANDS.get(op.name, ())
                pending += [operand for index, operand in enumerate(op.operands) if index not in unused]
                for name in size_symbols(self.analysis, op):
                    origin = self.analysis.origin(name)
                    if origin is not None and origin.value is not value:
                        pending.append(origin.value)

    def _need_extern(self, op: ExternOp) -> None:
        """A library call needs all its operands, and memory for all its results."""
        for operand in op.operands:
            self._need(operand)
        for result in op.results:
            self.needed.add(result)
            shape = self.analysis.shape(result)
            if any(self.analysis.derived_from(size, result) for size in shape):
                raise LaminaError(
                    f"{op.name}: the sizes of its results do not follow from those of its operands",
                    where=location_text(op.location),
                )
            self._need_sizes(shape)

    def _need_sizes(self, sizes: Sequence[Dim], of: SSAValue | None = None) -> None:
        for name in {name for size in sizes for name in symbols_of(size)}:
            origin = self.analysis.origin(name)
            if origin is not None and origin.value is not of:
                self._need(origin.value)

    def _known_elements(self, value: SSAValue) -> Sequence[Dim] | None:
        """The elements of a tensor where they are sizes that something else gives."""
        if not isinstance(value, OpResult) or isinstance(value.op, func.CallOp) or value.op.name in CONTROL_FLOW:
            return None
        elements = self.analysis.elements(value)
        if elements is None or value.op.name == "graph.constant":
            return None
        return None if any(self.analysis.derived_from(element, value) for element in elements) else elements

    # ---- ops

    def _lower_block(self, function: FunctionScope, block: Block) -> None:
        for op in block.ops:
            function.location = op.location
            self._check(function, op, after=False)
            rule = CONTROL_FLOW.get(op.name)
            if rule is not None:
                rule(self, function, op)
            elif isinstance(op, func.CallOp):
                self._call(function, op)
            elif isinstance(op, ExternOp):
                self._extern(function, op)
            else:
                for result in op.results:
                    if result in self.needed:
                        function.values[result] = self._value(function, op, result)
            function.location = op.location
            self._check(function, op, after=True)

    def _call(self, function: FunctionScope, op: func.CallOp) -> None:
        signature = self.signatures[op.callee.string_value()]
        symbols = self.analysis.call_symbols(op)
        operands = [function.values[op.operands[index]] for index in signature.tensors]
        operands += [function.size(symbols[name]) for name in signature.symbols]
        operands += [function.empty_like(result) for result in op.results]
        call = func.CallOp(op.callee, operands, [signless_type(result.type) for result in op.results])
        function.append(call)
        for old, new in zip(op.results, call.results, strict=True):
            function.values[old] = new
            new.name_hint = old.name_hint

    def _extern(self, function: FunctionScope, op: ExternOp) -> None:
        """A library call; every operand and destination is cast to the type that the function takes."""
        if op.results and op.results[0] not in self.needed:
            return
        declared = self.externs.declare(op)
        values = [function.values[operand] for operand in op.operands]
        values += [function.empty_like(result) for result in op.results]
        operands = [
            cast_to(function, value, type_) for value, type_ in zip(values, declared.function_type.inputs, strict=True)
        ]
        call = func.CallOp(declared.sym_name.data, operands, declared.function_type.outputs.data)
        function.append(call)
        for old, new in zip(op.results, call.results, strict=True):
            function.values[old] = cast_to(function, new, signless_type(old.type))

    def _value(self, function: FunctionScope, op: Operation, result: SSAValue) -> SSAValue:
        elements = self._known_elements(result)
        if elements is not None:
            return self._from_sizes(function, elements, result)
        if op.name == "graph.constant":
            constant = function.tensor_constant(cast(DenseIntOrFPElementsAttr, op.properties["value"]))
            return self._as_declared(function, constant, result)
        if op.name in VIEWS:
            return reshape(function, function.values[op.operands[0]], self.analysis.shape(result), result.type)
        (lowered,) = lower_stages(function, [op], [result], [function.empty_like(result)])
        return lowered

    @staticmethod
    def _as_declared(function: FunctionScope, value: SSAValue, declared: SSAValue) -> SSAValue:
        type_ = signless_type(declared.type)
        return value if value.type == type_ else function.emit(tensor.CastOp, (value,), type_)

    @staticmethod
    def _from_sizes(function: FunctionScope, elements: Sequence[Dim], result: SSAValue) -> SSAValue:
        """A small integer tensor whose elements are sizes."""
        element_type = signless(element_type_of(result))
        scalars = [
            function.constant(element, element_type)
            if isinstance(element, int)
            else function.emit(arith.IndexCastOp, (function.size(element),), element_type)
            for element in elements
        ]
        rank = cast(Tensor, result.type).get_num_dims()
        type_ = TensorType(element_type, [len(elements)] if rank else [])
        built = function.emit(tensor.FromElementsOp, scalars, type_)
        return CallerLowering._as_declared(function, built, result)

    # ---- control flow

    def _if(self, function: FunctionScope, op: Operation) -> None:
        predicate = self._scalar(function, op.operands[0])
        types = [signless_type(result.type) for result in op.results]
        regions = [self._region(function, region, ()) for region in op.regions]
        self._bind(op, function, function.append(scf.IfOp(predicate, types, regions[0], regions[1])))

    def _while(self, function: FunctionScope, op: Operation) -> None:
        types = [signless_type(argument.type) for argument in op.regions[0].block.args]
        inits = [
            cast_to(function, function.values[operand], type_)
            for operand, type_ in zip(op.operands, types, strict=True)
        ]
        regions = [self._region(function, region, types) for region in op.regions]
        loop = scf.WhileOp(inits, types, regions[0], regions[1])
        self._bind(op, function, function.append(loop))

    def _scan(self, function: FunctionScope, op: Operation) -> None:
        """A counted loop: slices are views, what a step gives is inserted into the stacks that the loop carries."""
        scan = cast(ScanOp, op)
        carried_types = [signless_type(argument.type) for argument in scan.carried]
        inits = [
            cast_to(function, function.values[init], type_)
            for init, type_ in zip(scan.inits, carried_types, strict=True)
        ]
        stacks = [function.empty_like(result) for result in scan.stacked_results]
        length = self._scan_length(function, scan)
        zero, one = function.constant(0, INDEX), function.constant(1, INDEX)
        rows = [[function.size(size) for size in function.shape(value)[1:]] for value in scan.scanned]
        stacked = [[function.size(size) for size in function.shape(value)[1:]] for value in scan.stacked_results]
        block = Block(arg_types=[INDEX, *carried_types, *(stack.type for stack in stacks)])
        inner = function.nested()
        position: SSAValue = block.args[0]
        if scan.reverse is not None:
            last = inner.index_op(arith.SubiOp, length, one)
            position = inner.index_op(arith.SubiOp, last, position)
        if scan.position.uses:
            element = inner.emit(arith.IndexCastOp, (position,), i64)
            inner.values[scan.position] = inner.emit(tensor.FromElementsOp, (element,), TensorType(i64, []))
        for old, new in zip(scan.carried, block.args[1:], strict=False):
            inner.values[old] = new
            new.name_hint = old.name_hint
        for argument, value, sizes in zip(scan.slices, scan.scanned, rows, strict=True):
            if argument.uses:
                inner.values[argument] = slice_at(inner, function.values[value], position, sizes, argument)
        self._lower_block(inner, scan.body_region.block)
        results = [
            cast_to(inner, inner.values[value], type_)
            for value, type_ in zip(scan.next_values, carried_types, strict=True)
        ]
        steps = zip(scan.step_outputs, block.args[1 + len(inits) :], stacked, strict=True)
        for value, stack, sizes in steps:
            results.append(insert_at(inner, inner.values[value], stack, position, sizes))
        inner.append(scf.YieldOp(*results))
        block.add_ops(inner.ops)
        self._bind(op, function, function.append(scf.ForOp(zero, length, one, [*inits, *stacks], block)))

    def _scan_length(self, function: FunctionScope, scan: ScanOp) -> SSAValue:
        if scan.scanned:
            sizes = [function.shape(value)[0] for value in scan.scanned]
            return function.size(next((size for size in sizes if isinstance(size, int)), sizes[0]))
        assert scan.length is not None
        count = function.emit(arith.IndexCastOp, (self._scalar(function, scan.length),), INDEX)
        return function.index_op(arith.MaxSIOp, count, function.constant(0, INDEX))

    def _region(self, function: FunctionScope, region: Region, types: Sequence[Attribute]) -> Region:
        block = Block(arg_types=types)
        inner = function.nested()
        for old, new in zip(region.block.args, block.args, strict=True):
            inner.values[old] = new
            new.name_hint = old.name_hint
        self._lower_block(inner, region.block)
        block.add_ops(inner.ops)
        return Region(block)

    def _bind(self, op: Operation, function: FunctionScope, lowered: Operation) -> None:
        for old, new in zip(op.results, lowered.results, strict=True):
            function.values[old] = cast_to(function, new, signless_type(old.type))

    def _yield(self, function: FunctionScope, op: Operation) -> None:
        region = op.parent_region()
        parent = op.parent_op()
        assert region is not None and parent is not None
        if isinstance(parent, ScanOp):
            return  # the loop ends its own body
        if parent.name == "graph.while" and region is parent.regions[0]:
            condition = self._scalar(function, op.operands[0])
            arguments = [function.values[argument] for argument in region.block.args]
            function.append(scf.ConditionOp(condition, *arguments))
            return
        declared = parent.results if parent.name == "graph.if" else region.block.args
        function.append(scf.YieldOp(*self._operands(function, op, [value.type for value in declared])))

    def _return(self, function: FunctionScope, op: Operation) -> None:
        function.append(func.ReturnOp(*self._operands(function, op, self.caller.function_type.outputs.data)))

    @staticmethod
    def _operands(function: FunctionScope, op: Operation, types: Sequence[Attribute]) -> list[SSAValue]:
        return [
            cast_to(function, function.values[operand], signless_type(type_))
            for operand, type_ in zip(op.operands, types, strict=True)
        ]

    @staticmethod
    def _scalar(function: FunctionScope, value: SSAValue) -> SSAValue:
        source = function.values[value]
        return function.emit(tensor.ExtractOp, (source,), element_type_of(source))

    # ---- checks

    def _check(self, function: FunctionScope, op: Operation, *, after: bool) -> None:
        """Assert the equalities that an op relies on: before it, or after it where they need its result."""
        for pair in self.checks.get(op, ()):
            own = any(
                self.analysis.derived_from(dim, result) for dim in (pair.left, pair.right) for result in op.results
            )
            key = frozenset((pair.left, pair.right))
            if own is not after or key in self.checked:
                continue
            if function.parent is not None and function.parent.parent is None:
                self.checked.add(key)
            where = location_text(op.location) or op.name
            message = f"{where}: expected equal sizes, found {pair.left} and {pair.right} that differ"
            equal = function.compare("eq", function.size(pair.left), function.size(pair.right))
            function.append(cf.AssertOp(equal, message))


CONTROL_FLOW: Mapping[str, Callable[[CallerLowering, FunctionScope, Operation], None]] = {
    "graph.if": CallerLowering._if,  # pyright: ignore[reportPrivateUsage]
    "graph.while": CallerLowering._while,  # pyright: ignore[reportPrivateUsage]
    "graph.scan": CallerLowering._scan,  # pyright: ignore[reportPrivateUsage]
    "graph.yield": CallerLowering._yield,  # pyright: ignore[reportPrivateUsage]
    "func.return": CallerLowering._return,  # pyright: ignore[reportPrivateUsage]
}


def with_element_type(attributes: Mapping[str, Attribute], type_: Attribute) -> DictionaryAttr:
    """Argument or result attributes; an unsigned element type is noted, since types are signless from here on."""
    known = dict(attributes)
    if isinstance(type_, TensorType):
        element_type = cast(Tensor, type_).get_element_type()
        if is_unsigned(element_type):
            known[ELEMENT_TYPE] = StringAttr(str(element_type))
    return DictionaryAttr(known)


def cast_to(function: FunctionScope, value: SSAValue, type_: Attribute) -> SSAValue:
    """The value under a type that knows more or fewer of its sizes."""
    return value if value.type == type_ else function.emit(tensor.CastOp, (value,), type_)


def slice_at(
    function: FunctionScope, source: SSAValue, position: SSAValue, sizes: Sequence[SSAValue], declared: SSAValue
) -> SSAValue:
    """The element of `source` at a position of its first axis, under the type of a graph-level value."""
    shape = cast(Tensor, source.type).get_shape()[1:]
    type_ = TensorType(element_type_of(source), shape)
    mixed = [size if static == DYNAMIC_INDEX else static for size, static in zip(sizes, shape, strict=True)]
    zeros, ones = [0] * len(shape), [1] * (len(shape) + 1)
    taken = function.append(tensor.ExtractSliceOp(source, [position, *zeros], [1, *mixed], ones, type_)).results[0]
    return cast_to(function, taken, signless_type(declared.type))


def insert_at(
    function: FunctionScope, value: SSAValue, target: SSAValue, position: SSAValue, sizes: Sequence[SSAValue]
) -> SSAValue:
    """`target` with `value` at a position of its first axis."""
    shape = cast(Tensor, target.type).get_shape()[1:]
    value = cast_to(function, value, TensorType(element_type_of(value), shape))
    dynamic = [size for size, static in zip(sizes, shape, strict=True) if static == DYNAMIC_INDEX]
    op = tensor.InsertSliceOp.get(
        value,
        target,
        [1, *shape],
        static_offsets=[DYNAMIC_INDEX, *[0] * len(shape)],
        offsets=[position],
        sizes=dynamic,
    )
    return function.append(op).results[0]


def reshape(function: FunctionScope, source: SSAValue, shape: Shape, declared: Attribute) -> SSAValue:
    """The same elements under another shape: collapsed to one axis, then expanded. Both are views."""
    element_type = element_type_of(source)
    target = cast(Tensor, signless_type(declared))
    if source.type == target and DYNAMIC_INDEX not in target.get_shape():
        return source
    flat = source
    rank, target_rank = cast(Tensor, source.type).get_num_dims(), target.get_num_dims()
    if rank == 0:
        # xDSL's verifier refuses to expand a scalar; one element is as cheap to copy as to view.
        element = function.emit(tensor.ExtractOp, (source,), element_type)
        flat = function.emit(tensor.FromElementsOp, (element,), TensorType(element_type, [1]))
    elif rank > 1:
        flat_type = TensorType(element_type, [_static_count(cast(Tensor, source.type))])
        flat = function.emit(tensor.CollapseShapeOp, (source,), flat_type, {"reassociation": _all_axes(rank)})
    flat = cast_to(function, flat, TensorType(element_type, [_static_count(target)]))
    if target_rank == 1:
        return flat
    if target_rank == 0:
        return function.emit(tensor.CollapseShapeOp, (flat,), target, {"reassociation": ArrayAttr([])})
    sizes = [
        function.size(size) for size, given in zip(shape, target.get_shape(), strict=True) if given == DYNAMIC_INDEX
    ]
    properties = {
        "reassociation": _all_axes(target_rank),
        "static_output_shape": DenseArrayBase.from_list(i64, target.get_shape()),
    }
    return function.emit(tensor.ExpandShapeOp, (flat, *sizes), target, properties)


def _all_axes(rank: int) -> ArrayAttr[Attribute]:
    return ArrayAttr([ArrayAttr([IntegerAttr(axis, i64) for axis in range(rank)])])


def _static_count(type_: Tensor) -> int:
    shape = type_.get_shape()
    if DYNAMIC_INDEX in shape:
        return DYNAMIC_INDEX
    count = 1
    for size in shape:
        count *= size
    return count
