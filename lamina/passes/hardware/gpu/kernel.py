"""Making one `gpu.func` of ops of a function, and the launch that takes their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerAttr, LocationAttr, SymbolRefAttr, i32
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.loop import arith
from lamina.passes.hardware.gpu.stages import Team, workgroup_type
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import Constants, Emitter, Index
from lamina.passes.loop.plan_arena import element_bytes

KERNELS = "kernels"
"""The name of the `gpu.module`."""


@dataclass
class Kernel:
    """A kernel while it is made: the device function's body, what is passed to it, and where its launch will stand."""

    block: Block
    emitter: Emitter
    arguments: dict[SSAValue, SSAValue]
    place: Place
    shared: list[tuple[Attribute, Sequence[int]]] = field(default_factory=list[tuple[Attribute, Sequence[int]]])

    def share(self, element: Attribute, shape: Sequence[int]) -> SSAValue:
        """A new workgroup buffer."""
        argument = self.block.insert_arg(workgroup_type(element, shape), len(self.block.args))
        self.shared.append((element, shape))
        return argument

    def capture(self, value: SSAValue) -> SSAValue:
        """What the kernel gets for a value of the host that its ops do not use."""
        if value not in self.arguments:
            self.arguments[value] = self.block.insert_arg(value.type, len(self.arguments))
        return self.arguments[value]

    def team(self, threads: int) -> Team:
        """The threads of a block."""
        return Team(self.emitter.value(gpu.ThreadIdOp()), threads, self.share)

    def drop_unused(self) -> None:
        """Forget arguments and workgroup buffers that nothing uses, such as the shape of a window."""
        passed, shared = self.block.args[: len(self.arguments)], self.block.args[len(self.arguments) :]
        self.shared = [one for one, argument in zip(self.shared, shared, strict=True) if argument.uses]
        self.arguments = {value: argument for value, argument in self.arguments.items() if argument.uses}
        for argument in (*passed, *shared):
            if not argument.uses:
                self.block.erase_arg(argument)


class KernelMaker:
    """Makes kernels of ops of one function."""

    def __init__(self, function: func.FuncOp, device: gpu.ModuleOp, target: GpuDescription):
        self.function = function
        self.block = function.body.block
        self.device = device
        self.target = target
        self.unaligned: set[SSAValue] = set()
        """Arguments of the function that may start elsewhere than at a multiple of 16 bytes."""
        self.in_place: set[SSAValue] = set()
        """Those that share their buffer with another argument in some call."""
        self.constants = Constants(self.block)
        self.base = function.sym_name.data
        self.count = 0

    def host(self, op: Operation) -> Emitter:
        """Emits what the host computes before a launch in place of `op`."""
        return Emitter.ahead_of(op, self.constants)

    def begin(self, *ops: Operation) -> Kernel:
        """Start a kernel of what `ops` do: values from outside become arguments, constants are repeated in it.

        `ops`, of one block and in order, are moved into the kernel's body, so that what they use is found there;
        whoever lowers them erases them. The launch will stand in place of the last.
        """
        location = ops[0].location
        captured = _captured(ops)
        passed = [value for value in captured if not isinstance(value.owner, arith.ConstantOp)]
        block = Block(arg_types=[value.type for value in passed])
        arguments: dict[SSAValue, SSAValue] = dict(zip(passed, block.args, strict=True))
        constants = Constants(block)
        place = Place(ops[-1])
        for op in ops:
            op.detach()
            block.add_op(op)
        for value in captured:
            owner = value.owner
            inside = arguments.get(value)
            if isinstance(owner, arith.ConstantOp):
                inside = constants.get(owner.value, value.type)
            if inside is not None:
                for op in ops:
                    _replace_uses_inside(op, value, inside)
        return Kernel(block, Emitter(block, constants, location), arguments, place)

    def finish(self, kernel: Kernel, grid: Index, threads: int, resident: int = 0) -> gpu.FuncOp:
        """Put the kernel into the device's module, and its launch into the function.

        `resident`: threads that a processor should have at a time (0: the assembler decides): it limits registers.
        Raises LaminaError where it has more threads or shared memory than the target.
        """
        location = kernel.emitter.location
        kernel.emitter.append(gpu.ReturnOp())
        erase_dead_ops(kernel.block)
        kernel.drop_unused()
        name = self.base if self.count == 0 else f"{self.base}__{self.count}"
        self._check(kernel, name, threads)
        self.count += 1
        function = gpu.FuncOp(name, len(kernel.arguments), kernel.block, threads)
        function.location = location
        if resident and self.target.kind == "ptx":
            function.attributes[gpu.BLOCKS_TOGETHER] = IntegerAttr(max(1, resident // threads), i32)
        self.device.body.block.add_op(function)
        host = kernel.place.emitter(self.constants, location)
        one = host.index(1)
        symbol = SymbolRefAttr(KERNELS, [name])
        sizes = [host.index(grid), one, one], [host.index(threads), one, one]
        host.append(gpu.LaunchFuncOp(symbol, *sizes, list(kernel.arguments)))
        return function

    def _check(self, kernel: Kernel, name: str, threads: int) -> None:
        used = sum(prod(shape) * element_bytes(element) for element, shape in kernel.shared)
        needs = (
            (used, self.target.shared_memory, "bytes of shared memory"),
            (threads, self.target.maximum_threads, "threads"),
        )
        for amount, limit, what in needs:
            if amount > limit:
                raise LaminaError(
                    f"kernel '{name}' needs {amount} {what}, {self.target.name} has {limit}",
                    where=location_text(kernel.emitter.location) or location_text(self.function.location),
                )


class Place:
    """Where an op stood."""

    def __init__(self, op: Operation):
        block = op.parent_block()
        if block is None:
            raise ValueError(f"{op.name} is not in a block")
        self.block = block
        self.following = op.next_op

    def emitter(self, constants: Constants, location: LocationAttr) -> Emitter:
        """An emitter there."""
        return Emitter(self.block, constants, location, self.following)


def _captured(ops: Sequence[Operation]) -> list[SSAValue]:
    """The values that ops and what is inside them use from outside, in order."""
    inside = {inner for op in ops for inner in op.walk()}
    found: dict[SSAValue, None] = {}
    for op in ops:
        for inner in op.walk():
            for operand in inner.operands:
                owner = operand.owner
                is_own = owner in inside if isinstance(owner, Operation) else owner.parent_op() in inside
                if not is_own:
                    found[operand] = None
    return list(found)


def _replace_uses_inside(op: Operation, old: SSAValue, new: SSAValue) -> None:
    for inner in op.walk():
        inner.operands = [new if operand is old else operand for operand in inner.operands]
