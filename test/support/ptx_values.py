"""Arithmetic of PTX on the registers of a warp: raw bits, 32 lanes of uint64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

Lanes = np.ndarray[Any, Any]
FLOATS: Mapping[str, Any] = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
HALVES: Mapping[int, Any] = {16: np.uint16, 32: np.uint32, 64: np.uint64}


def bits_of(type_: str) -> int:
    """The bits of a type by its name."""
    if type_ == "pred":
        return 1
    if type_.endswith("x2"):
        return 32
    return int(type_.lstrip("abcdefghijklmnopqrstuvwxyz").removeprefix("16x"))


def read(raw: Lanes, type_: str) -> Lanes:
    """Bits as numbers: integers as uint64 or int64, floats as they are; pairs `[lanes, 2]`."""
    if type_.endswith("x2"):
        return np.stack([read(raw >> np.uint64(shift) & np.uint64(0xFFFF), type_[:-2]) for shift in (0, 16)], axis=1)
    bits = bits_of(type_)
    if type_ in FLOATS:
        return raw.astype(HALVES[bits]).view(FLOATS[type_])
    low = raw if bits == 64 else raw & np.uint64((1 << bits) - 1)
    if type_[0] != "s":
        return low
    return low.view(np.int64) if bits == 64 else (low.astype(np.int64) ^ (1 << bits - 1)) - (1 << bits - 1)


def write(value: Lanes, type_: str) -> Lanes:
    """The converse of `read`."""
    if type_.endswith("x2"):
        low, high = (write(value[:, number], type_[:-2]) for number in (0, 1))
        return low | high << np.uint64(16)
    bits = bits_of(type_)
    if type_ in FLOATS:
        return value.astype(FLOATS[type_]).view(HALVES[bits]).astype(np.uint64)
    wide = value.astype(np.int64).view(np.uint64) if value.dtype != np.uint64 else value
    return wide if bits == 64 else wide & np.uint64((1 << bits) - 1)


def _shifted(left: bool) -> Callable[..., Lanes]:
    def run(value: Lanes, count: Lanes, bits: int) -> Lanes:
        count = np.minimum(count & np.uint64(0xFFFFFFFF), np.uint64(bits)).astype(np.int64)
        if left:
            return np.where(count >= 64, np.uint64(0), value << (count % 64).astype(np.uint64))
        if value.dtype == np.int64:
            return value >> np.minimum(count, 63)
        return np.where(count >= 64, np.uint64(0), value >> (count % 64).astype(np.uint64))

    return run


def _high(a: Lanes, b: Lanes, bits: int) -> Lanes:
    wide = [int(x) * int(y) >> bits for x, y in zip(a, b, strict=True)]
    return np.array([one & (1 << 64) - 1 for one in wide], np.uint64)


def _extreme(largest: bool, nan: bool) -> Callable[[Lanes, Lanes], Lanes]:
    def run(a: Lanes, b: Lanes) -> Lanes:
        if a.dtype.kind in "iu":
            return np.maximum(a, b) if largest else np.minimum(a, b)
        wide = np.float64
        x, y = a.astype(wide), b.astype(wide)
        quiet = (np.fmax if largest else np.fmin) if not nan else (np.maximum if largest else np.minimum)
        return quiet(x, y).astype(a.dtype)

    return run


COMPARISONS: Mapping[str, Callable[[Lanes, Lanes], Lanes]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: (a != b) & (a == a) & (b == b),
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "neu": lambda a, b: a != b,
    "ltu": lambda a, b: ~(a >= b),
    "leu": lambda a, b: ~(a > b),
    "gtu": lambda a, b: ~(a <= b),
    "geu": lambda a, b: ~(a < b),
    "equ": lambda a, b: (a == b) | (a != a) | (b != b),
    "num": lambda a, b: (a == a) & (b == b),
    "nan": lambda a, b: (a != a) | (b != b),
}


def _fused(a: Lanes, b: Lanes, c: Lanes) -> Lanes:
    if a.dtype.kind in "iu":
        return a * b + c
    wide = np.longdouble if a.dtype == np.float64 else np.float64
    return (a.astype(wide) * b.astype(wide) + c.astype(wide)).astype(a.dtype)


SIMPLE: Mapping[str, Callable[..., Lanes]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "mad": _fused,
    "fma": _fused,
    "div": lambda a, b: a // b if a.dtype.kind in "iu" else a / b,
    "rem": lambda a, b: a % b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "not": lambda a: ~a,
    "neg": lambda a: -a,
    "abs": abs,
    "mov": lambda a: a,
    "ex2": lambda a: np.exp2(a.astype(np.float64)).astype(a.dtype),
    "rcp": lambda a: (1 / a.astype(np.float64)).astype(a.dtype),
    "sqrt": np.sqrt,
}


def computed(parts: Sequence[str], given: Sequence[Lanes]) -> Lanes | None:
    """The bits that an instruction without memory gives; None for one that this module does not know."""
    name, type_ = parts[0], parts[-1]
    if name == "setp":
        a, b = (read(one, type_) for one in given)
        return COMPARISONS[parts[1]](a, b).astype(np.uint64)
    if name == "selp":
        return np.where(given[2] != 0, given[0], given[1])
    if name == "cvt":
        return _converted(parts, given)
    if name == "prmt":
        return _permuted(*given)
    if name == "bfe":
        bits, start, count = given
        mask = (np.uint64(1) << count) - np.uint64(1)
        return bits >> start & mask
    if name in ("shl", "shr"):
        value = read(given[0], type_)
        return write(_shifted(name == "shl")(value, given[1], bits_of(type_)), type_)
    if name in ("min", "max"):
        values = [read(one, type_) for one in given]
        return write(_extreme(name == "max", "NaN" in parts)(*values), type_)
    if name in ("mul", "mad") and "wide" in parts:
        wide = f"{type_[0]}{2 * bits_of(type_)}"
        values = [read(one, type_).astype(np.int64 if type_[0] == "s" else np.uint64) for one in given[:2]]
        return write(SIMPLE[name](*values, *(read(one, wide) for one in given[2:])), wide)
    if name == "mul" and "hi" in parts:
        return write(_high(*(read(one, type_) for one in given), bits_of(type_)), type_)
    if name not in SIMPLE:
        return None
    if type_ == "pred" and name == "not":
        return given[0] ^ np.uint64(1)
    return write(SIMPLE[name](*(read(one, type_) for one in given)), type_)


def _permuted(a: Lanes, b: Lanes, selector: Lanes) -> Lanes:
    """Four bytes of eight, by the lowest three bits of each digit (PTX ISA, "prmt", without a mode)."""
    both = a & np.uint64(0xFFFFFFFF) | b << np.uint64(32)
    assert not (selector & np.uint64(0x8888)).any(), "signs of bytes are not simulated"
    total = np.zeros_like(both)
    for number in range(4):
        place = (selector >> np.uint64(4 * number) & np.uint64(7)) * np.uint64(8)
        total |= (both >> place & np.uint64(0xFF)) << np.uint64(8 * number)
    return total


def _converted(parts: Sequence[str], given: Sequence[Lanes]) -> Lanes:
    target, source = parts[-2:]
    if target.endswith("x2"):
        # The first operand is the upper half (PTX ISA, "cvt").
        high, low = (read(one, source).astype(FLOATS[target[:-2]]) for one in given)
        return write(np.stack([low, high], axis=1), target)
    value = read(given[0], source)
    if target in FLOATS:
        return write(value.astype(FLOATS[target]), target)
    if source in FLOATS:
        value = {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}[parts[1]](value).astype(np.int64)
    return write(value, target)
