"""Tensor maps, barriers in memory and products of warpgroups (sm_90a) as LLVM IR text with PTX in it.

LLVM has no intrinsics for `wgmma`, whose sums are up to 128 registers that it reads and writes; copies and barriers
are text too, so that one place says what a thread does. PTX ISA, "Asynchronous warpgroup-level matrix instructions",
"Data movement and conversion instructions: cp.async.bulk.tensor" and "mbarrier", is the source of the instructions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import BFloat16Type, Float16Type, FloatTF32Type
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.nvgpu_tma import (
    MBarrierArriveExpectOp,
    MBarrierArriveOp,
    MBarrierInitOp,
    MBarrierTestWaitOp,
    MBarrierTryWaitOp,
    TmaFenceOp,
    TmaLoadOp,
    TmaPrefetchOp,
    TmaStoreOp,
)
from lamina.dialects.hardware.nvgpu_types import AccumulatorType, bytes_of_element
from lamina.dialects.hardware.nvgpu_warpgroup import (
    DEPTHS,
    LINE_BYTES,
    WARPGROUP_ROWS,
    GenerateDescriptorOp,
    WarpgroupMmaOp,
    accumulator_type,
    descriptor_type,
    panels_of,
)
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, Typed
from lamina.lowering.to_llvm_text.memory import conversion
from lamina.lowering.to_llvm_text.values import Scalar
from lamina.passes.loop.emitter import memref_type

UNIT = 16
"""Bytes that addresses and steps in a descriptor count."""
ADDRESS_BITS = (1 << 18) - 1
LEADING, STRIDE, SWIZZLE_128 = 16, 32, 1 << 62
"""Where a descriptor has the step to the next panel, the step to the next eight lines, and the kind of its swizzle."""
GROUP_LINES = 8

TOGETHER = "bar.warp.sync 0xffffffff;"
"""PTX does not promise that a warp is whole again after a branch that one thread has taken; aligned instructions need
that."""

NAMES: Mapping[type[Attribute], str] = {Float16Type: "f16", BFloat16Type: "bf16", FloatTF32Type: "tf32"}


def assembly(
    printer: FunctionPrinter, lines: Sequence[str], operands: Sequence[Typed], constraints: str, result: str = "void"
) -> str:
    """A call of lines of PTX, in which `$0` … are results and operands in order; the instruction's text.

    `constraints`: of results and operands, in LLVM's letters; memory counts as written.
    """
    text = "\\0A".join(["{", *lines, "}"])
    given = ", ".join(f"{type_} {operand}" for type_, operand in operands)
    all_constraints = f"{constraints},~{{memory}}" if constraints else "~{memory}"
    return f'call {result} asm sideeffect "{text}", "{all_constraints}"({given}) convergent'


def word(printer: FunctionPrinter, value: SSAValue) -> Typed:
    """A size as i32."""
    known = printer.scalar(value)
    return "i32", str(known) if isinstance(known, int) else printer.reused(f"trunc i64 {known} to i32")


def flag(printer: FunctionPrinter, value: SSAValue | None) -> list[Typed]:
    """A predicate as i32, nothing where there is none."""
    return [] if value is None else [("i32", printer.reused(f"zext i1 {printer.text(value)} to i32"))]


def _predicated(instructions: Sequence[str], predicate: SSAValue | None, number: int) -> list[str]:
    """Instructions that only threads carry out whose operand with a number is not 0."""
    if predicate is None:
        return [f"{one};" for one in instructions]
    return [".reg .pred p;", f"setp.ne.b32 p, ${number}, 0;", *(f"@p {one};" for one in instructions)]


def _run(
    printer: FunctionPrinter,
    instructions: Sequence[str],
    operands: Sequence[Typed],
    letters: str,
    predicate: SSAValue | None = None,
) -> None:
    lines = _predicated(instructions, predicate, len(operands))
    given = [*operands, *flag(printer, predicate)]
    constraints = ",".join([*letters, *(["r"] if predicate is not None else [])])
    printer.emit(assembly(printer, lines, given, constraints))


def _address(printer: FunctionPrinter, value: SSAValue) -> Typed:
    """Where a buffer in shared memory begins."""
    buffer = printer.buffer(value)
    pointer, offset = printer.element_address(buffer, [0] * len(buffer.sizes))
    return "ptr", printer.offset_pointer(pointer, offset, buffer.element)


def _barrier(printer: FunctionPrinter, barriers: SSAValue, number: SSAValue) -> Typed:
    """Where a barrier lies."""
    base = printer.text(barriers)
    at: Scalar = printer.scalar(number)
    return "ptr", base if at == 0 else printer.reused(f"getelementptr inbounds i64, ptr {base}, i64 {at}")


def init_barrier(printer: FunctionPrinter, op: Operation) -> None:
    """`mbarrier.init`, seen by copies that come."""
    if isinstance(op, MBarrierInitOp):
        operands = [_barrier(printer, op.barriers, op.number), word(printer, op.count)]
        instructions = ["mbarrier.init.shared::cta.b64 [$0], $1", "fence.mbarrier_init.release.cluster"]
        _run(printer, instructions, operands, "rr", op.predicate)


def arrive(printer: FunctionPrinter, op: Operation) -> None:
    """`mbarrier.arrive`."""
    if isinstance(op, MBarrierArriveOp):
        operands = [_barrier(printer, op.barriers, op.number)]
        lines = ["mbarrier.arrive.shared::cta.b64 $0, [$1];"]
        printer.set(op.token, printer.value(assembly(printer, lines, operands, "=l,r", "i64")))


def arrive_expecting(printer: FunctionPrinter, op: Operation) -> None:
    """`mbarrier.arrive`, with `expect_tx` where bytes are waited for."""
    if isinstance(op, MBarrierArriveExpectOp):
        operands = [_barrier(printer, op.barriers, op.number)]
        if printer.scalar(op.bytes) == 0:
            _run(printer, ["mbarrier.arrive.shared::cta.b64 _, [$0]"], operands, "r", op.predicate)
            return
        operands.append(word(printer, op.bytes))
        _run(printer, ["mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1"], operands, "rr", op.predicate)


def test_barrier(printer: FunctionPrinter, op: Operation) -> None:
    """`mbarrier.test_wait`."""
    if isinstance(op, MBarrierTestWaitOp):
        operands = [_barrier(printer, op.barriers, op.number), ("i64", printer.text(op.token))]
        lines = [".reg .pred p;", "mbarrier.test_wait.shared::cta.b64 p, [$1], $2;", "selp.b32 $0, 1, 0, p;"]
        found = printer.value(assembly(printer, lines, operands, "=r,r,l", "i32"))
        printer.set(op.complete, printer.value(f"icmp ne i32 {found}, 0"))


def wait(printer: FunctionPrinter, op: Operation) -> None:
    """`mbarrier.try_wait.parity` until it succeeds."""
    if isinstance(op, MBarrierTryWaitOp):
        operands = [
            _barrier(printer, op.barriers, op.number),
            *flag(printer, op.parity),
            word(printer, op.ticks),
        ]
        lines = [
            ".reg .pred done;",
            "again:",
            "mbarrier.try_wait.parity.shared::cta.b64 done, [$0], $1, $2;",
            "@!done bra again;",
        ]
        printer.emit(assembly(printer, lines, operands, "r,r,r"))


def fence(printer: FunctionPrinter, op: Operation) -> None:
    """`fence.proxy.tensormap`."""
    if isinstance(op, TmaFenceOp):
        operands = [("ptr", printer.text(op.map))]
        _run(printer, ["fence.proxy.tensormap::generic.acquire.sys [$0], 128"], operands, "l")


def prefetch(printer: FunctionPrinter, op: Operation) -> None:
    """`prefetch.tensormap`."""
    if isinstance(op, TmaPrefetchOp):
        _run(printer, ["prefetch.tensormap [$0]"], [("ptr", printer.text(op.map))], "l", op.predicate)


def _coordinates(count: int, first: int) -> str:
    return "{" + ", ".join(f"${first + number}" for number in range(count)) + "}"


def load(printer: FunctionPrinter, op: Operation) -> None:
    """`cp.async.bulk.tensor` to shared memory."""
    if isinstance(op, TmaLoadOp):
        rank = len(op.coordinates)
        operands = [
            _address(printer, op.target),
            ("ptr", printer.text(op.map)),
            _barrier(printer, op.barriers, op.number),
            *(word(printer, one) for one in op.coordinates),
        ]
        name = f"cp.async.bulk.tensor.{rank}d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        instruction = f"{name} [$0], [$1, {_coordinates(rank, 3)}], [$2]"
        _run(printer, [instruction], operands, "rlr" + "r" * rank, op.predicate)


def store(printer: FunctionPrinter, op: Operation) -> None:
    """`cp.async.bulk.tensor` from shared memory, after what threads have written there, and its end."""
    if isinstance(op, TmaStoreOp):
        rank = len(op.coordinates)
        operands = [
            _address(printer, op.source),
            ("ptr", printer.text(op.map)),
            *(word(printer, one) for one in op.coordinates),
        ]
        # Every thread that has written says so to copies, before the one that copies for all goes on.
        _run(printer, ["fence.proxy.async.shared::cta", "barrier.sync 0"], [], "")
        instructions = [
            f"cp.async.bulk.tensor.{rank}d.global.shared::cta.tile.bulk_group [$1, {_coordinates(rank, 2)}], [$0]",
            "cp.async.bulk.commit_group",
            "cp.async.bulk.wait_group 0",
        ]
        _run(printer, instructions, operands, "rl" + "r" * rank, op.predicate)


def describe(printer: FunctionPrinter, op: Operation) -> None:
    """PTX ISA, "Matrix descriptor format" of wgmma, with a swizzle of 128 bytes; steps to the next panel count where
    lines are along the side of the result."""
    if isinstance(op, GenerateDescriptorOp):
        _, pointer = _address(printer, op.tensor)
        number = printer.value(f"ptrtoint ptr {pointer} to i32")
        units = printer.value(f"lshr i32 {printer.value(f'and i32 {number}, {ADDRESS_BITS}')}, 4")
        wide = printer.value(f"zext i32 {units} to i64")
        steps = (panel_bytes(op) // UNIT) << LEADING | (GROUP_LINES * LINE_BYTES // UNIT) << STRIDE
        printer.set(op.descriptor, printer.value(f"or i64 {wide}, {SWIZZLE_128 | steps}"))


def panel_bytes(op: GenerateDescriptorOp) -> int:
    """Bytes from a panel of a factor to the next; 16 where there is only one."""
    type_ = memref_type(op.tensor)
    panels, _, _ = panels_of(type_)
    strides = type_.get_strides()
    if panels == 1 or strides is None or strides[0] is None:
        return UNIT
    return strides[0] * bytes_of_element(type_.get_element_type())


def _depth_bytes(descriptor: SSAValue, position: int, *, along_depth: bool) -> int:
    """Where a position along the depth lies in a factor, in bytes."""
    made = descriptor.owner
    if not isinstance(made, GenerateDescriptorOp):
        raise LaminaError("expected the descriptor of a known buffer")
    if not along_depth:
        return position * LINE_BYTES
    at = position * bytes_of_element(memref_type(made.tensor).get_element_type())
    return at // LINE_BYTES * panel_bytes(made) + at % LINE_BYTES


def multiply(printer: FunctionPrinter, op: Operation) -> None:
    """`wgmma.mma_async` for all parts of the depth and of the rows, as one group; earlier groups are waited for."""
    if not isinstance(op, WarpgroupMmaOp):
        return
    rows, columns = accumulator_type(op.result).sizes
    element = descriptor_type(op.a).matrix.get_element_type()
    depth, name = DEPTHS[type(element)], NAMES[type(element)]
    sums = printer.elements(op.c)
    each = columns // 2
    left, right = f"${len(sums)}", f"${len(sums) + 1}"
    transposed = int(op.transpose_b is not None)
    turns = "" if name == "tf32" else f", 0, {transposed}"
    lines = [".reg .pred p;", ".reg .b64 a, b;", "setp.eq.u32 p, 0, 0;", TOGETHER, "wgmma.fence.sync.aligned;"]
    for position in range(0, op.depth, depth):
        down = _depth_bytes(op.a, position, along_depth=True) // UNIT
        across = _depth_bytes(op.b, position, along_depth=not transposed) // UNIT
        lines.append(f"add.s64 b, {right}, {across};")
        for part in range(rows // WARPGROUP_ROWS):
            registers = "{" + ", ".join(f"${part * each + number}" for number in range(each)) + "}"
            lines.append(f"add.s64 a, {left}, {down + part * WARPGROUP_ROWS * LINE_BYTES // UNIT};")
            shape = f"m{WARPGROUP_ROWS}n{columns}k{depth}"
            lines.append(f"wgmma.mma_async.sync.aligned.{shape}.f32.{name}.{name} {registers}, a, b, p, 1, 1{turns};")
    lines += ["wgmma.commit_group.sync.aligned;", f"wgmma.wait_group.sync.aligned {op.pending};"]
    _update(printer, op.result, lines, sums, [printer.text(op.a), printer.text(op.b)])


def _update(
    printer: FunctionPrinter, result: SSAValue, lines: Sequence[str], sums: Sequence[str], others: Sequence[str]
) -> None:
    """PTX that changes sums in place, given other i64 operands behind them."""
    printer.set_elements(result, updated(printer, lines, sums, others))


def updated(printer: FunctionPrinter, lines: Sequence[str], sums: Sequence[str], others: Sequence[str]) -> list[str]:
    """Sums after PTX that changes them in place; other i64 operands are numbered behind them."""
    count = len(sums)
    type_ = f"{{{', '.join(['float'] * count)}}}"
    constraints = ",".join([*["=f"] * count, *["l"] * len(others), *(str(number) for number in range(count))])
    operands = [*(("i64", one) for one in others), *(("float", one) for one in sums)]
    found = printer.value(assembly(printer, lines, operands, constraints, type_))
    return [printer.value(f"extractvalue {type_} {found}, {number}") for number in range(count)]


def zeros(printer: FunctionPrinter, op: Operation) -> None:
    """Registers of zeros."""
    rows, columns = accumulator_type(op.results[0]).sizes
    printer.set_elements(op.results[0], ["0.0"] * (rows * columns // 128))


def read(printer: FunctionPrinter, op: Operation) -> None:
    """Sums as vectors, when all products are over; any other cast as on a CPU."""
    if len(op.operands) != 1 or not isinstance(op.operands[0].type, AccumulatorType):
        conversion(printer, op)
        return
    lines = [TOGETHER, "wgmma.wait_group.sync.aligned 0;"]
    elements = updated(printer, lines, printer.elements(op.operands[0]), [])
    start = 0
    for result in op.results:
        count = len(elements) // len(op.results)
        printer.set_elements(result, elements[start : start + count])
        start += count


WARPGROUP_CASES: Mapping[str, Case] = {
    "nvgpu.mbarrier.init": init_barrier,
    "nvgpu.mbarrier.arrive": arrive,
    "nvgpu.mbarrier.arrive.expect_tx": arrive_expecting,
    "nvgpu.mbarrier.test.wait": test_barrier,
    "nvgpu.mbarrier.try_wait.parity": wait,
    "nvgpu.tma.fence.descriptor": fence,
    "nvgpu.tma.prefetch.descriptor": prefetch,
    "nvgpu.tma.async.load": load,
    "nvgpu.tma.async.store": store,
    "nvgpu.warpgroup.generate.descriptor": describe,
    "nvgpu.warpgroup.mma": multiply,
    "nvgpu.warpgroup.mma.init.accumulator": zeros,
    "builtin.unrealized_conversion_cast": read,
}
"""For PTX; `expand-gpu-fragments` leaves them to sm_90a alone. Barriers are made where the kernel's memory is."""
