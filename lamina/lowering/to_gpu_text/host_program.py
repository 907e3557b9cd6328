"""The host program: `main` on buffers as a list of steps that a launcher in any language can carry out.

A step is a dictionary with `kind`:

- `size`: variable, value: a size that has a name from here on;
- `launch`: kernel, grid (blocks along x), threads, arguments: a size, a place, or a tensor map: {tensor (a place),
  dtype (tf32: f32 that copies round to tf32), sizes, box (both in the order of memory, the last axis the fastest),
  swizzle and promotion in bytes (0: none)};
- `copy`: source and target (places), bytes;
- `allocate`: buffer, bytes; `release`: buffer;
- `load`: variable, source, dtype; `store`: value, target, dtype: one integer;
- `for`: variable, lower, upper, step, body; `if`: condition, then, otherwise;
- `while`: before (steps), condition, body: as long as the condition holds after the steps before it;
- `assign`: variables, values: all values are computed before any variable changes;
- `assert`: condition, message.

A place is `[buffer, byte offset]`; buffers are `arena`, `input.NAME`, `output.NAME`, `constant.KEY` and what `allocate`
makes. Sizes are numbers or expressions (`lamina.dialects.hardware.gpu_sizes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseArrayBase,
    FloatTF32Type,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.types import dtype_of
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_sizes import Size, binary, choice
from lamina.dialects.hardware.nvgpu_tma import TmaCreateOp, map_type
from lamina.dialects.hardware.nvgpu_types import PROMOTION_BYTES, SWIZZLE_BYTES, TensorMapType
from lamina.dialects.hardware.nvgpu_warpgroup import GenerateDescriptorOp, descriptor_type
from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.types import is_array, is_memref
from lamina.interface import main_function
from lamina.passes.loop.entry_points import OUTPUT, PLAN_SUFFIX
from lamina.passes.loop.plan_arena import element_bytes

Step: TypeAlias = dict[str, Any]

BINARY: Mapping[str, str] = {
    "arith.addi": "+",
    "arith.subi": "-",
    "arith.muli": "*",
    "arith.divsi": "//",
    "arith.divui": "//",
    "arith.floordivsi": "//",
    "arith.remsi": "%",
    "arith.remui": "%",
    "arith.minsi": "min",
    "arith.minui": "min",
    "arith.maxsi": "max",
    "arith.maxui": "max",
    "arith.andi": "&",
    "arith.ori": "|",
}
"""Sizes are not negative, so that all divisions of them are the same."""

HOST_DTYPES: Mapping[str, str] = {"index": "int64", "i64": "int64", "i32": "int32", "i1": "bool"}
"""Dtypes of the numbers that the host reads and writes, by element type."""

LONGEST_EXPRESSION = 40

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "<", "<=", ">", ">=")
"""By the number of a predicate of `arith.cmpi`."""


@dataclass(frozen=True)
class Place:
    """A buffer's first byte, and its sizes."""

    buffer: str
    offset: Size
    sizes: tuple[Size, ...]

    def to_json(self) -> list[Size]:
        return [self.buffer, self.offset]


@dataclass(frozen=True)
class TensorMap:
    """What a tensor map says: the buffer, and how parts of it are copied."""

    place: Place
    type: TensorMapType

    def to_json(self, *, rounds: bool) -> Step:
        """The argument of a launch; `rounds`: the kernel multiplies f32 as tf32, to which the copies round."""
        part = self.type.box
        return {
            "tensor": self.place.to_json(),
            "dtype": "tf32" if rounds else dtype_of(part.get_element_type()).name,
            "sizes": list(self.place.sizes),
            "box": list(part.get_shape()),
            "swizzle": SWIZZLE_BYTES[self.type.swizzle.data],
            "promotion": PROMOTION_BYTES[self.type.promotion.data],
        }


Known: TypeAlias = int | str | Place | TensorMap


@dataclass(frozen=True)
class HostProgram:
    """The steps of a call; those before it, which give the bytes of the arena and the outputs' shapes."""

    steps: Sequence[Step]
    planning: Sequence[Step]
    arena: Size
    output_shapes: Sequence[Sequence[Size]]
    constants: Mapping[str, Attribute]
    """What a constant is, by key: a `dense` or a `dense_resource` attribute."""


def host_program(module: ModuleOp, inputs: Sequence[str], outputs: Sequence[str]) -> HostProgram:
    """The host program of a module whose kernels are outlined, with the names of inputs and outputs with memory of
    their own; raises LaminaError for what only a CPU could do."""
    main = main_function(module)
    reader = _Reader(module)
    symbols = reader.bind_arguments(main, [*inputs, *outputs])
    planning, (arena, *dynamic) = _plan(module, main.sym_name.data + PLAN_SUFFIX, symbols)
    shapes = reader.bind_outputs(dynamic)
    return HostProgram(reader.block(main.body.block), planning, arena, shapes, reader.constants)


def _plan(module: ModuleOp, name: str, symbols: Sequence[str]) -> tuple[list[Step], list[Size]]:
    """What the plan of a call gives for symbolic sizes: its steps; the arena's bytes, the outputs' dynamic sizes."""
    plan = next(one for one in module.ops if isinstance(one, func.FuncOp) and one.sym_name.data == name)
    reader = _Reader(module, "planned_")
    for argument, symbol in zip(plan.body.block.args, symbols, strict=True):
        reader.values[argument] = symbol
    steps = reader.block(plan.body.block)
    returned = plan.body.block.last_op
    return steps, [reader.size(value) for value in (() if returned is None else returned.operands)]


class _Reader:
    """Reads blocks of the host program; every value is a size or a place."""

    def __init__(self, module: ModuleOp, prefix: str = ""):
        self.prefix = prefix
        self.values: dict[SSAValue, Known] = {}
        self.constants: dict[str, Attribute] = {}
        self.outputs: list[tuple[SSAValue, str]] = []
        self.globals = {op.sym_name.data: op for op in module.ops if isinstance(op, memref.GlobalOp)}
        self.kernels = {
            function.sym_name.data: function
            for device in module.ops
            if isinstance(device, gpu.ModuleOp)
            for function in device.body.block.ops
            if isinstance(function, gpu.FuncOp)
        }
        self.count = 0

    def bind_arguments(self, main: func.FuncOp, names: Sequence[str]) -> list[str]:
        """Bind the inputs of `main`, remember its outputs; the symbols of the inputs' dynamic sizes, in order."""
        attributes: Sequence[Mapping[str, Attribute]] = [one.data for one in main.arg_attrs or ()]
        symbols: list[str] = []
        arguments = main.body.block.args
        self.values[arguments[0]] = Place("arena", 0, ("arena",))
        for number, (argument, name) in enumerate(zip(arguments[1:], names, strict=True)):
            fields: Mapping[str, Attribute] = attributes[number + 1] if attributes else {}
            shape = _shape(argument)
            if OUTPUT in fields:
                self.outputs.append((argument, name))
                continue
            dims = dimension_names(fields, shape, f"input{number}")
            symbols += [str(dim) for dim, size in zip(dims, shape, strict=True) if size == DYNAMIC_INDEX]
            self.values[argument] = Place(f"input.{name}", 0, tuple(dims))
        return symbols

    def bind_outputs(self, dynamic: Sequence[Size]) -> list[Sequence[Size]]:
        """Bind the outputs of `main`, whose dynamic sizes are given in order; their shapes."""
        sizes = iter(dynamic)
        shapes: list[Sequence[Size]] = []
        for argument, name in self.outputs:
            shape = tuple(next(sizes) if size == DYNAMIC_INDEX else size for size in _shape(argument))
            self.values[argument] = Place(f"output.{name}", 0, shape)
            shapes.append(shape)
        return shapes

    def size(self, value: SSAValue) -> Size:
        """A size."""
        known = self.values.get(value)
        if not isinstance(known, int | str):
            raise LaminaError("expected a whole number that the host can compute")
        return known

    def place(self, value: SSAValue) -> Place:
        """A buffer."""
        known = self.values.get(value)
        if not isinstance(known, Place):
            raise LaminaError("expected a buffer that the host knows")
        return known

    def multiplies_tf32(self, launch: gpu.LaunchFuncOp, number: int) -> bool:
        """Whether a kernel multiplies as tf32 what a tensor map, its argument with a number, brings."""
        kernel = self.kernels[launch.kernel.nested_references.data[-1].data]
        users = [use.operation for use in kernel.body.block.args[number].uses]
        return any(
            isinstance(op, GenerateDescriptorOp)
            and isinstance(descriptor_type(op.descriptor).matrix.get_element_type(), FloatTF32Type)
            for op in users
        )

    def fresh(self, prefix: str) -> str:
        """A name that nothing else has."""
        self.count += 1
        return f"{self.prefix}{prefix}{self.count}"

    def keep(self, value: SSAValue, size: Size) -> Step | None:
        """Bind a size; a long expression gets a name, so that expressions do not grow with their uses."""
        if isinstance(size, int) or len(size) <= LONGEST_EXPRESSION:
            self.values[value] = size
            return None
        name = self.values[value] = self.fresh("size")
        return {"kind": "size", "variable": name, "value": size}

    def block(self, block: Block) -> list[Step]:
        """The steps of a block."""
        steps: list[Step] = []
        for op in block.ops:
            case = _CASES.get(op.name)
            try:
                if case is None:
                    raise LaminaError(
                        f"'{op.name}' in the host program is not supported on GPUs, only sizes, launches and loops are"
                    )
                step = case(self, op)
            except LaminaError as error:
                error.where = error.where or location_text(op.location)
                raise
            if isinstance(step, dict):
                steps.append(step)
            elif step is not None:
                steps += step
        return steps

    def carry(self, initial: Sequence[SSAValue]) -> tuple[list[str], list[Step]]:
        """Variables for values that a loop carries, and the step that gives them their first values."""
        names = [self.fresh("carried") for _ in initial]
        return names, self.assign(names, initial)

    def assign(self, names: Sequence[str], values: Sequence[SSAValue]) -> list[Step]:
        """The step that gives variables new values, if there are any."""
        if not names:
            return []
        return [{"kind": "assign", "variables": list(names), "values": [self.size(value) for value in values]}]

    def dynamic(self, shape: Sequence[int], values: Sequence[SSAValue]) -> tuple[Size, ...]:
        """A shape with its dynamic sizes filled in."""
        sizes = iter(values)
        return tuple(self.size(next(sizes)) if size == DYNAMIC_INDEX else size for size in shape)

    def bytes_of(self, value: SSAValue) -> Size:
        """The bytes of a dense buffer."""
        total: Size = 1
        for size in self.place(value).sizes:
            total = binary("*", total, size)
        return binary("*", total, _element_bytes(value))


def dimension_names(fields: Mapping[str, Attribute], shape: Sequence[int], prefix: str) -> list[Size]:
    """The sizes of an input: numbers, and for dynamic ones the symbol in `lamina.dims`, or a name of their own."""
    dims = fields.get("lamina.dims")
    texts = [_text(dim) or "" for dim in dims] if is_array(dims) else []
    names = texts if len(texts) == len(shape) else [""] * len(shape)
    return [
        size if size != DYNAMIC_INDEX else name if name.isidentifier() else f"{prefix}_axis{axis}"
        for axis, (size, name) in enumerate(zip(shape, names, strict=True))
    ]


def _text(attribute: Attribute | None) -> str | None:
    return attribute.data if isinstance(attribute, StringAttr) else None


def _shape(value: SSAValue) -> Sequence[int]:
    if not is_memref(value.type):
        raise LaminaError(f"expected a buffer, found {value.type}")
    return value.type.get_shape()


def _element_bytes(value: SSAValue) -> int:
    if not is_memref(value.type):
        raise LaminaError(f"expected a buffer, found {value.type}")
    return element_bytes(value.type.get_element_type())


def _constant(reader: _Reader, op: Operation) -> None:
    value = op.properties.get("value")
    if isinstance(value, IntegerAttr):
        reader.values[op.results[0]] = value.value.data


def _arithmetic(reader: _Reader, op: Operation) -> Step | None:
    left, right = (reader.size(operand) for operand in op.operands)
    return reader.keep(op.results[0], binary(BINARY[op.name], left, right))


def _ceil_divide(reader: _Reader, op: Operation) -> Step | None:
    left, right = (reader.size(operand) for operand in op.operands)
    raised = binary("-", binary("+", left, right), 1)
    return reader.keep(op.results[0], binary("//", raised, right))


def _compare(reader: _Reader, op: Operation) -> None:
    if not isinstance(op, arith.CmpiOp):
        raise LaminaError(f"'{op.name}' is not a comparison")
    left, right = (reader.size(operand) for operand in op.operands)
    reader.values[op.results[0]] = binary(COMPARISONS[op.predicate.value.data], left, right)


def _select(reader: _Reader, op: Operation) -> Step | None:
    condition, on_true, on_false = (reader.size(operand) for operand in op.operands)
    return reader.keep(op.results[0], choice(condition, on_true, on_false))


def _same(reader: _Reader, op: Operation) -> None:
    reader.values[op.results[0]] = reader.values[op.operands[0]]


def _dim(reader: _Reader, op: Operation) -> None:
    axis = reader.size(op.operands[1])
    if not isinstance(axis, int):
        raise LaminaError("expected a known axis")
    reader.values[op.results[0]] = reader.place(op.operands[0]).sizes[axis]


def _get_global(reader: _Reader, op: Operation) -> None:
    name = op.properties["name"]
    found = reader.globals.get(name.string_value()) if isinstance(name, SymbolRefAttr) else None
    if found is None or found.initial_value is None:
        raise LaminaError(f"there is no constant {name}")
    key = found.sym_name.data
    reader.constants[key] = found.initial_value
    reader.values[op.results[0]] = Place(f"constant.{key}", 0, tuple(_shape(op.results[0])))


def _view(reader: _Reader, op: Operation) -> None:
    source, shift, *dynamic = op.operands
    place = reader.place(source)
    sizes = reader.dynamic(_shape(op.results[0]), dynamic)
    reader.values[op.results[0]] = Place(place.buffer, binary("+", place.offset, reader.size(shift)), sizes)


def _listed(reader: _Reader, op: Operation, name: str) -> tuple[Size, ...]:
    """The static and dynamic entries of `offsets`, `sizes` or `strides`."""
    static, values = op.properties[f"static_{name}"], getattr(op, name)
    if not isinstance(static, DenseArrayBase):
        raise LaminaError(f"'{op.name}' has no {name}")
    return reader.dynamic([int(item) for item in static.get_values()], values)


def _reinterpret_cast(reader: _Reader, op: Operation) -> None:
    place, (offset,) = reader.place(op.operands[0]), _listed(reader, op, "offsets")
    if offset != 0 and not isinstance(op.operands[0].owner, Block):
        raise LaminaError("expected a view of a whole buffer")
    shift = binary("*", offset, _element_bytes(op.results[0]))
    sizes = _listed(reader, op, "sizes")
    reader.values[op.results[0]] = Place(place.buffer, binary("+", place.offset, shift), sizes)


def _subview(reader: _Reader, op: Operation) -> None:
    """A part that is contiguous: leading axes at one position, then part of one axis, the rest whole."""
    place = reader.place(op.operands[0])
    offsets, sizes = _listed(reader, op, "offsets"), _listed(reader, op, "sizes")
    stride: Size = _element_bytes(op.results[0])
    shift: Size = 0
    for offset, size in reversed(list(zip(offsets, place.sizes, strict=True))):
        shift = binary("+", shift, binary("*", offset, stride))
        stride = binary("*", stride, size)
    first = next((axis for axis, size in enumerate(sizes) if size != 1), len(sizes))
    if any(taken != whole for taken, whole in zip(sizes[first + 1 :], place.sizes[first + 1 :], strict=True)):
        raise LaminaError("expected a contiguous part of a buffer")
    kept = sizes[len(sizes) - len(_shape(op.results[0])) :]
    reader.values[op.results[0]] = Place(place.buffer, binary("+", place.offset, shift), tuple(kept))


def _reshape(reader: _Reader, op: Operation) -> None:
    """`collapse_shape` and `expand_shape` of static sizes."""
    shape = _shape(op.results[0])
    if DYNAMIC_INDEX in shape:
        raise LaminaError(f"'{op.name}' of dynamic sizes is not supported in the host program")
    place = reader.place(op.operands[0])
    reader.values[op.results[0]] = Place(place.buffer, place.offset, tuple(shape))


def _launch(reader: _Reader, op: Operation) -> Step:
    if not isinstance(op, gpu.LaunchFuncOp):
        raise LaminaError(f"'{op.name}' is not a launch")
    arguments: list[Size | list[Size] | Step] = []
    for number, operand in enumerate(op.kernel_operands):
        known = reader.values.get(operand)
        if isinstance(known, TensorMap):
            arguments.append(known.to_json(rounds=reader.multiplies_tf32(op, number)))
            continue
        if not is_memref(operand.type):
            arguments.append(reader.size(operand))
            continue
        place = reader.place(operand)
        shape = operand.type.get_shape()
        arguments.append(place.to_json())
        arguments += [size for size, static in zip(place.sizes, shape, strict=True) if static == DYNAMIC_INDEX]
    return {
        "kind": "launch",
        "kernel": op.kernel.nested_references.data[-1].data,
        "grid": reader.size(op.grid[0]),
        "threads": reader.size(op.block[0]),
        "arguments": arguments,
    }


def _tensor_map(reader: _Reader, op: Operation) -> None:
    if not isinstance(op, TmaCreateOp):
        raise LaminaError(f"'{op.name}' is no tensor map")
    type_ = map_type(op.map)
    part = list(type_.box.get_shape())
    if [reader.size(size) for size in op.box] != part:
        raise LaminaError(f"expected a box of the size of the part, {part}")
    reader.values[op.map] = TensorMap(reader.place(op.tensor), type_)


def _copy(reader: _Reader, op: Operation) -> Step:
    source, target = op.operands
    return {
        "kind": "copy",
        "source": reader.place(source).to_json(),
        "target": reader.place(target).to_json(),
        "bytes": reader.bytes_of(source),
    }


def _alloc(reader: _Reader, op: Operation) -> Step:
    name = reader.fresh("temporary.")
    reader.values[op.results[0]] = Place(name, 0, reader.dynamic(_shape(op.results[0]), op.operands))
    return {"kind": "allocate", "buffer": name, "bytes": reader.bytes_of(op.results[0])}


def _dealloc(reader: _Reader, op: Operation) -> Step:
    return {"kind": "release", "buffer": reader.place(op.operands[0]).buffer}


def _element(reader: _Reader, buffer: SSAValue, indices: Sequence[SSAValue]) -> tuple[list[Size], str]:
    """Where an integer lies, and its dtype."""
    if not is_memref(buffer.type):
        raise LaminaError(f"expected a buffer, found {buffer.type}")
    dtype = HOST_DTYPES.get(str(buffer.type.get_element_type()))
    if dtype is None:
        raise LaminaError(f"the host program of a GPU has no {buffer.type.get_element_type()} numbers")
    place = reader.place(buffer)
    position: Size = 0
    for index, size in zip(indices, place.sizes, strict=True):
        position = binary("+", binary("*", position, size), reader.size(index))
    shift = binary("*", position, _element_bytes(buffer))
    return [place.buffer, binary("+", place.offset, shift)], dtype


def _load(reader: _Reader, op: Operation) -> Step:
    source, dtype = _element(reader, op.operands[0], op.operands[1:])
    variable = reader.fresh("loaded")
    reader.values[op.results[0]] = variable
    return {"kind": "load", "variable": variable, "source": source, "dtype": dtype}


def _store(reader: _Reader, op: Operation) -> Step:
    target, dtype = _element(reader, op.operands[1], op.operands[2:])
    return {"kind": "store", "value": reader.size(op.operands[0]), "target": target, "dtype": dtype}


def _for(reader: _Reader, op: Operation) -> Sequence[Step]:
    """A counted loop; what it carries are variables, which also are its results."""
    if not isinstance(op, scf.ForOp):
        raise LaminaError(f"'{op.name}' is not a counted loop")
    index, *carried = op.body.block.args
    variable = reader.fresh("loop")
    reader.values[index] = variable
    variables, start = reader.carry(op.iter_args)
    lower, upper, step = (reader.size(value) for value in (op.lb, op.ub, op.step))
    for argument, result, name in zip(carried, op.results, variables, strict=True):
        reader.values[argument] = reader.values[result] = name
    body = [*reader.block(op.body.block), *reader.assign(variables, _yielded(op.body.block))]
    loop = {"kind": "for", "variable": variable, "lower": lower, "upper": upper, "step": step, "body": body}
    return [*start, loop]


def _while(reader: _Reader, op: Operation) -> Sequence[Step]:
    """What the condition forwards are variables of their own: the body's arguments, and in the end the results."""
    if not isinstance(op, scf.WhileOp):
        raise LaminaError(f"'{op.name}' is not a loop with a condition")
    before, after = op.before_region.block, op.after_region.block
    variables, start = reader.carry(op.arguments)
    for argument, name in zip(before.args, variables, strict=True):
        reader.values[argument] = name
    steps = reader.block(before)
    condition, *forwarded = _yielded(before)
    names = [reader.fresh("carried") for _ in forwarded]
    steps += reader.assign(names, forwarded)
    for argument, result, name in zip(after.args, op.results, names, strict=True):
        reader.values[argument] = reader.values[result] = name
    body = [*reader.block(after), *reader.assign(variables, _yielded(after))]
    return [*start, {"kind": "while", "before": steps, "condition": reader.size(condition), "body": body}]


def _if(reader: _Reader, op: Operation) -> Step:
    """A branch; its results are variables that either side assigns."""
    variables = [reader.fresh("chosen") for _ in op.results]
    sides = [
        [*reader.block(region.block), *reader.assign(variables, _yielded(region.block))] if region.blocks else []
        for region in op.regions
    ]
    for result, name in zip(op.results, variables, strict=True):
        reader.values[result] = name
    return {"kind": "if", "condition": reader.size(op.operands[0]), "then": sides[0], "otherwise": sides[1]}


def _yielded(block: Block) -> Sequence[SSAValue]:
    """The operands of a block's terminator."""
    return () if block.last_op is None else block.last_op.operands


def _assert(reader: _Reader, op: Operation) -> Step:
    return {"kind": "assert", "condition": reader.size(op.operands[0]), "message": _text(op.properties.get("msg"))}


def _nothing(reader: _Reader, op: Operation) -> None:
    return None


_CASES: Mapping[str, Callable[[_Reader, Operation], Step | Sequence[Step] | None]] = {
    **dict.fromkeys(BINARY, _arithmetic),
    "arith.constant": _constant,
    "arith.ceildivsi": _ceil_divide,
    "arith.ceildivui": _ceil_divide,
    "arith.cmpi": _compare,
    "arith.select": _select,
    "arith.index_cast": _same,
    "builtin.unrealized_conversion_cast": _same,
    "memref.cast": _same,
    "memref.dim": _dim,
    "memref.get_global": _get_global,
    "memref.view": _view,
    "memref.subview": _subview,
    "memref.reinterpret_cast": _reinterpret_cast,
    "memref.collapse_shape": _reshape,
    "memref.expand_shape": _reshape,
    "memref.copy": _copy,
    "memref.load": _load,
    "memref.store": _store,
    "memref.alloc": _alloc,
    "memref.dealloc": _dealloc,
    "gpu.launch_func": _launch,
    "nvgpu.tma.create.descriptor": _tensor_map,
    "scf.for": _for,
    "scf.while": _while,
    "scf.condition": _nothing,
    "scf.if": _if,
    "scf.yield": _nothing,
    "cf.assert": _assert,
    "func.return": _nothing,
}
