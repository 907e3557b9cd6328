"""Entry functions on buffers: an arena and output arguments, donated inputs, and the function that plans a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    MemRefType,
    UnitAttr,
    i8,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue, Use

from lamina.diagnostics import error_at
from lamina.dialects.loop import memref, scf
from lamina.dialects.loop.types import is_memref, is_tensor
from lamina.dialects.tensor import tensor
from lamina.passes.loop.bufferizer import Bufferizer, GlobalConstants, buffer_type, replace_terminator, underlying
from lamina.passes.loop.destinations import (
    VIEWS,
    DestinationCheck,
    destination_of,
    may_write_in_place,
    own_loop_inits,
    root_of,
    split_shared_empties,
)
from lamina.passes.loop.emitter import INDEX, Constants, Emitter, Index, known_index, memref_type
from lamina.passes.loop.sizes import NotComputable, SizeCloner

ALIAS = "lamina.alias"
OUTPUT = "lamina.output"
C_INTERFACE = "llvm.emit_c_interface"
ARENA_TYPE = MemRefType(i8, [DYNAMIC_INDEX])


PLAN_SUFFIX = ".plan"


def is_entry_point(function: func.FuncOp) -> bool:
    """Whether a function is called from outside the module."""
    private = function.sym_visibility is not None and function.sym_visibility.data == "private"
    return not private and "lamina.kernel" not in function.attributes


class EntryPoint:
    """One entry function on its way from tensors to buffers."""

    def __init__(self, function: func.FuncOp, functions: Mapping[str, func.FuncOp], globals_: GlobalConstants):
        self.function = function
        self.functions = functions
        self.globals = globals_
        self.block = function.body.block
        self.input_count = len(self.block.args)
        self._result_attributes = _attributes(function.res_attrs, len(function.function_type.outputs))
        self.aliases = [_alias(attributes) for attributes in self._result_attributes]
        self._assigned: dict[SSAValue, int] = {}
        """Tensors that are made directly in the buffer of a result."""

    # On tensors

    def assign_outputs(self) -> None:
        """Decide which tensors are made in the buffers of results. Must run before any function changes.

        Raises LaminaError for an input that is given to two results, or does not exist.
        """
        donated = [alias for alias in self.aliases if alias is not None]
        if len(set(donated)) != len(donated) or any(not 0 <= alias < self.input_count for alias in donated):
            raise error_at(self.function, f"{ALIAS}: each result needs an input of its own, found {donated}")
        own_loop_inits(self.block)
        split_shared_empties(self.block)
        DestinationCheck(()).block(self.block)
        terminator = self.block.last_op
        if terminator is None:
            return
        for index, value in enumerate(terminator.operands):
            if not is_tensor(value.type):
                raise error_at(terminator, f"result {index} is no tensor")
            start = root_of(value)
            if start in self._assigned or not self._is_made_here(start):
                continue
            alias = self.aliases[index]
            if alias is None or self._may_overwrite(self.block.args[alias], value, start):
                self._assigned[start] = index

    def _is_made_here(self, value: SSAValue) -> bool:
        owner = value.owner
        return isinstance(owner, tensor.EmptyOp | scf.IfOp) and owner.parent_block() is self.block

    def _may_overwrite(self, argument: SSAValue, value: SSAValue, start: SSAValue) -> bool:
        """Whether `value` may be computed in the buffer of `argument`: whatever reads that has run, or runs in step."""
        if value.type != start.type or value.type != argument.type or not isinstance(start.owner, tensor.EmptyOp):
            return False
        call = value.owner
        if not isinstance(call, func.CallOp) or destination_of(value) is not start:
            return False
        for use in _uses_through_views(argument):
            user = self._top_level(use.operation)
            if user is call:
                in_place = use.operation is call and use.operation.operands[use.index] is argument
                callee = self.functions.get(call.callee.string_value())
                target = list(call.operands).index(start)
                if not in_place or callee is None or not may_write_in_place(callee, use.index, target):
                    return False
            elif not user.is_before_in_block(call):
                return False
        return True

    def _top_level(self, op: Operation) -> Operation:
        found = self.block.find_ancestor_op_in_block(op)
        return op if found is None else found

    # To buffers

    def bufferize(self) -> func.FuncOp:
        """Bufferize the function; returns the function that plans its calls."""
        function, block = self.function, self.block
        bufferizer = Bufferizer(function, self.globals)
        targets = self._add_arguments()
        for start, index in self._assigned.items():
            bufferizer.assigned[start] = targets[index]
        bufferizer.block(block)
        outputs = self._write_results(bufferizer, targets)
        replace_terminator(block, func.ReturnOp())
        bufferizer.release(block)
        self._finish_signature()
        return self._plan(outputs)

    def _add_arguments(self) -> list[SSAValue]:
        """Add the arena and the outputs; the buffer that each result goes to."""
        block = self.block
        block.insert_arg(ARENA_TYPE, 0).name_hint = "arena"
        targets: list[SSAValue] = []
        for type_, alias in zip(self.function.function_type.outputs, self.aliases, strict=True):
            if alias is not None:
                targets.append(block.args[alias + 1])
            elif is_tensor(type_):
                targets.append(block.insert_arg(buffer_type(type_), len(block.args)))
        return targets

    def _write_results(self, bufferizer: Bufferizer, targets: list[SSAValue]) -> list[list[Index]]:
        """Copy results that are elsewhere; the dynamic sizes of every output argument."""
        terminator = self.block.last_op
        if terminator is None:
            return []
        emitter = bufferizer.emitter(terminator)
        outputs: list[list[Index]] = []
        copies: list[tuple[SSAValue, SSAValue]] = []
        donations: list[tuple[SSAValue, SSAValue]] = []
        for value, target, alias in zip(terminator.operands, targets, self.aliases, strict=True):
            if alias is None:
                sizes = bufferizer.sizes(emitter, value)
                shape = memref_type(target).get_shape()
                outputs.append([size for size, static in zip(sizes, shape, strict=True) if static == DYNAMIC_INDEX])
            if underlying(value) is not target:
                (copies if alias is None else donations).append((value, target))
        # Every value is read before an input that it may lie in is overwritten.
        overwritten = {target for _, target in donations}
        for value, target in donations:
            if underlying(value) in overwritten:
                saved = bufferizer.allocate_like(emitter, value)
                copies.append((value, saved))
                value = saved
            copies.append((value, target))
        copies.sort(key=lambda copy: copy[1] in overwritten)
        for value, target in copies:
            emitter.append(memref.CopyOp(value, target))
        return outputs

    def _finish_signature(self) -> None:
        function, block = self.function, self.block
        inputs = _attributes(function.arg_attrs, self.input_count)
        outputs = [
            {name: value for name, value in attributes.items() if name != ALIAS} | {OUTPUT: UnitAttr()}
            for attributes, alias in zip(self._result_attributes, self.aliases, strict=True)
            if alias is None
        ]
        function.function_type = FunctionType.from_lists(block.arg_types, [])
        function.properties.pop("res_attrs", None)
        function.properties["arg_attrs"] = ArrayAttr([DictionaryAttr(item) for item in ({}, *inputs, *outputs)])
        function.attributes[C_INTERFACE] = UnitAttr()

    def _plan(self, outputs: list[list[Index]]) -> func.FuncOp:
        """`NAME.plan`: from the dynamic sizes of the inputs to the arena's bytes and the outputs' dynamic sizes."""
        dynamic = dynamic_sizes(self.block.args[1 : self.input_count + 1])
        block = Block(arg_types=[INDEX] * len(dynamic))
        emitter = Emitter(block, Constants(block), self.function.location)
        cloner = SizeCloner(emitter, plan_leaf(dict(zip(dynamic, block.args, strict=True))))
        results = [emitter.index(0)]
        for index, sizes in enumerate(outputs):
            try:
                results += [emitter.index(cloner.value(size)) for size in sizes]
            except NotComputable as error:
                message = f"the size of output {index} of '{self.function.sym_name.data}' depends on data"
                raise error_at(error.op or self.function, message) from None
        emitter.append(func.ReturnOp(*results))
        plan = func.FuncOp(
            f"{self.function.sym_name.data}{PLAN_SUFFIX}",
            ([INDEX] * len(dynamic), [INDEX] * len(results)),
            Region(block),
        )
        plan.attributes[C_INTERFACE] = UnitAttr()
        plan.location = self.function.location
        return plan


def dynamic_sizes(inputs: Sequence[SSAValue]) -> list[tuple[SSAValue, int]]:
    """The dynamic axes of buffers, in the order in which a plan takes them."""
    return [
        (argument, axis)
        for argument in inputs
        if is_memref(argument.type)
        for axis, size in enumerate(argument.type.get_shape())
        if size == DYNAMIC_INDEX
    ]


def plan_leaf(sizes: Mapping[tuple[SSAValue, int], SSAValue]) -> Callable[[SSAValue], Index | None]:
    """What a plan knows: the dynamic sizes of the inputs."""

    def leaf(value: SSAValue) -> Index | None:
        owner = value.owner
        if not isinstance(owner, memref.DimOp):
            return None
        axis = known_index(owner.index)
        return sizes.get((owner.source, axis)) if isinstance(axis, int) else None

    return leaf


def _attributes(attributes: ArrayAttr[DictionaryAttr] | None, count: int) -> list[dict[str, Attribute]]:
    if attributes is None:
        return [{} for _ in range(count)]
    return [dict(item.data) for item in attributes]


def _alias(attributes: Mapping[str, Attribute]) -> int | None:
    value = attributes.get(ALIAS)
    return value.value.data if isinstance(value, IntegerAttr) else None


def _uses_through_views(value: SSAValue) -> list[Use]:
    uses: list[Use] = []
    for use in value.uses:
        uses.append(use)
        if isinstance(use.operation, VIEWS) and use.index == 0:
            uses += _uses_through_views(use.operation.results[0])
    return uses
