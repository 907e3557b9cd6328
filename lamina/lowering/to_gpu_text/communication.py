"""Shuffles, lanes and atomic updates as LLVM IR text, by the kind of GPU."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import Operation

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_communication import ShuffleOp
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter
from lamina.lowering.to_llvm_text.types import element_bytes, element_text

WORD = 4
"""Bytes that one native shuffle moves."""

NVIDIA_MODES: Mapping[str, tuple[str, int]] = {
    "xor": ("bfly", 31),
    "up": ("up", 0),
    "down": ("down", 31),
    "idx": ("idx", 31),
}
"""The suffix of `llvm.nvvm.shfl.sync.*`, and the clamp: lanes beyond it are outside of the segment."""


def _words(printer: FunctionPrinter, text: str, type_: str) -> list[str]:
    """A scalar as i32 values, low bits first."""
    bytes_ = element_bytes(type_)
    bits = 1 if type_ == "i1" else 8 * bytes_
    whole = text if type_.startswith("i") else printer.value(f"bitcast {type_} {text} to i{bits}")
    if bits < 8 * WORD:
        return [printer.value(f"zext i{bits} {whole} to i32")]
    if bits == 8 * WORD:
        return [whole]
    high = printer.value(f"lshr i64 {whole}, 32")
    return [printer.value(f"trunc i64 {part} to i32") for part in (whole, high)]


def _from_words(printer: FunctionPrinter, words: list[str], type_: str) -> str:
    """The scalar that some i32 values are."""
    bits = 1 if type_ == "i1" else 8 * element_bytes(type_)
    if len(words) == 2:
        low, high = (printer.value(f"zext i32 {word} to i64") for word in words)
        whole = printer.value(f"or i64 {low}, {printer.value(f'shl i64 {high}, 32')}")
    else:
        whole = words[0] if bits == 8 * WORD else printer.value(f"trunc i32 {words[0]} to i{bits}")
    return whole if type_.startswith("i") else printer.value(f"bitcast i{bits} {whole} to {type_}")


def nvidia_shuffle(printer: FunctionPrinter, op: Operation) -> None:
    """`shfl.sync` with all lanes of the warp."""
    value, offset, width, type_ = _shuffle_texts(printer, op)
    suffix, clamp = NVIDIA_MODES[_mode(op)]
    name = f"@llvm.nvvm.shfl.sync.{suffix}.i32p"
    printer.module.declarations[name] = f"declare {{i32, i1}} {name}(i32, i32, i32, i32) convergent"
    segments = printer.value(f"shl i32 {printer.value(f'sub i32 32, {width}')}, 8")
    control = printer.value(f"or i32 {segments}, {clamp}")
    words: list[str] = []
    valid = "true"
    for word in _words(printer, value, type_):
        pair = printer.value(f"call {{i32, i1}} {name}(i32 -1, i32 {word}, i32 {offset}, i32 {control})")
        words.append(printer.value(f"extractvalue {{i32, i1}} {pair}, 0"))
        valid = printer.value(f"extractvalue {{i32, i1}} {pair}, 1")
    printer.set(op.results[0], _from_words(printer, words, type_))
    printer.set(op.results[1], valid)


def amd_shuffle(printer: FunctionPrinter, op: Operation) -> None:
    """`ds_bpermute`: every lane names the lane whose value it gets."""
    value, offset, width, type_ = _shuffle_texts(printer, op)
    lane = amd_lane_number(printer)
    first = printer.value(f"and i32 {lane}, {printer.value(f'sub i32 0, {width}')}")
    end = printer.value(f"add i32 {first}, {width}")
    texts = {
        "xor": f"xor i32 {lane}, {offset}",
        "up": f"sub i32 {lane}, {offset}",
        "down": f"add i32 {lane}, {offset}",
        "idx": f"add i32 {first}, {offset}",
    }
    other = printer.value(texts[_mode(op)])
    not_before = printer.value(f"icmp sge i32 {other}, {first}")
    inside = printer.value(f"and i1 {not_before}, {printer.value(f'icmp slt i32 {other}, {end}')}")
    source = printer.value(f"select i1 {inside}, i32 {other}, i32 {lane}")
    address = printer.value(f"shl i32 {source}, 2")
    name = "@llvm.amdgcn.ds.bpermute"
    printer.module.declarations[name] = f"declare i32 {name}(i32, i32) convergent"
    words = [printer.value(f"call i32 {name}(i32 {address}, i32 {word})") for word in _words(printer, value, type_)]
    printer.set(op.results[0], _from_words(printer, words, type_))
    printer.set(op.results[1], inside)


def _mode(op: Operation) -> str:
    if not isinstance(op, ShuffleOp):
        raise LaminaError(f"'{op.name}' is no shuffle")
    return op.mode.data.value


def _shuffle_texts(printer: FunctionPrinter, op: Operation) -> tuple[str, str, str, str]:
    value, offset, width = (printer.text(operand) for operand in op.operands)
    type_ = element_text(op.operands[0].type)
    if element_bytes(type_) > 2 * WORD:
        raise LaminaError(f"{type_} values cannot be shuffled")
    return value, offset, width, type_


def amd_lane_number(printer: FunctionPrinter) -> str:
    """The number of this lane, i32: how many lanes before it there are in the mask of all."""
    low, high = "@llvm.amdgcn.mbcnt.lo", "@llvm.amdgcn.mbcnt.hi"
    for name in (low, high):
        printer.module.declarations[name] = f"declare i32 {name}(i32, i32)"
    before = printer.value(f"call i32 {low}(i32 -1, i32 0)")
    return printer.value(f"call i32 {high}(i32 -1, i32 {before})")


def nvidia_lane(printer: FunctionPrinter, op: Operation) -> None:
    """The special register."""
    name = "@llvm.nvvm.read.ptx.sreg.laneid"
    printer.module.declarations[name] = f"declare i32 {name}()"
    printer.set(op.results[0], printer.value(f"zext i32 {printer.value(f'call i32 {name}()')} to i64"))


def amd_lane(printer: FunctionPrinter, op: Operation) -> None:
    """Counted."""
    printer.set(op.results[0], printer.value(f"zext i32 {amd_lane_number(printer)} to i64"))


COMMUNICATION_CASES: Mapping[str, Mapping[str, Case]] = {
    "ptx": {"gpu.shuffle": nvidia_shuffle, "gpu.lane_id": nvidia_lane},
    "amdgcn": {"gpu.shuffle": amd_shuffle, "gpu.lane_id": amd_lane},
    "spirv": {},
}
"""By the kind of a target, translations of what `expand-gpu-communication` leaves."""
