"""The schedule of a product on a GPU: what stands in `lamina.schedule`, and what of it does not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, StringAttr, UnitAttr, i64
from xdsl.ir import Attribute, Operation

from lamina.diagnostics import LaminaError, error_at
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.loop.types import is_array
from lamina.passes.loop.structured import SCHEDULE, axes_of

PRODUCT = "gpu-product"
"""The kind of a contraction that goes block by block through shared memory."""

LANES: Mapping[str, int] = {"mma": 32, "mfma": 64, "wmma": 32, "wgmma": 128}
"""By matrix instruction, the threads that hold the fragments of one matrix."""

WARPGROUPS = "wgmma"
"""The instruction of four warps that reads both factors from shared memory, where tensor maps have put them."""
WARPGROUP_LINE = 128
"""Bytes of a line of a factor that such an instruction reads: the depth of a block."""

OWN_REGISTERS = 40
"""What a thread needs besides sums and operands: positions, addresses, loop counters."""


@dataclass(frozen=True)
class ProductSchedule:
    """How a product `sum over depth of a[rows, depth] * b[depth, columns]` is cut.

    `rows`, `columns`, `depth`: the axes that are taken as one, in order. `block`: m × n of the result and k of the sum
    that a block of threads has at a time. `warp`: m × n of a warp (wgmma: of four), with fragments. `fragment`: m, n, k
    of the matrix `instruction`, one of `LANES` (mma and wgmma round f32 factors to tf32); None: multiply-adds, a thread
    has `tile` m × n. `stages`: parts of the sum in shared memory, one of which is multiplied while the others come.
    `asynchronous`: they are copied without passing registers. `vector`: elements of a and b that a thread loads at a
    time. `row_padding`: elements that a row of shared memory has more; `swizzle`: instead, chunks of 16 bytes change
    places from row to row (`swizzle.py`), as they always do for wgmma. `split`: blocks of threads that share one sum,
    each with a part of the depth.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    depth: tuple[str, ...]
    block: tuple[int, int, int]
    tile: tuple[int, int] = (1, 1)
    warp: tuple[int, int] = (0, 0)
    fragment: tuple[int, int, int] | None = None
    vector: tuple[int, int] = (1, 1)
    row_padding: int = 0
    stages: int = 1
    asynchronous: bool = False
    split: int = 1
    instruction: str = "mma"
    swizzle: bool = False

    @property
    def copies(self) -> str:
        """How factors come to shared memory, where no registers are on the way."""
        return "tensor maps" if self.instruction == WARPGROUPS else "asynchronous"

    def threads(self, warp_size: int) -> int:
        """Threads of a block."""
        if self.fragment is None:
            return (self.block[0] // self.tile[0]) * (self.block[1] // self.tile[1])
        lanes = LANES.get(self.instruction, warp_size)
        return (self.block[0] // self.warp[0]) * (self.block[1] // self.warp[1]) * lanes

    def registers(self, warp_size: int, bytes_per_element: int) -> int:
        """Registers of 32 bits that a thread needs, about: sums, operands, what is on its way, and positions."""
        threads = self.threads(warp_size)
        wide = max(1, bytes_per_element // 4)
        sums = self.block[0] * self.block[1] // threads * wide
        operands = (sum(self.tile) if self.fragment is None else sum(self.warp) // 4) * wide
        if self.instruction == WARPGROUPS:
            operands = 0
        staged = 0
        if self.stages > 1 and not self.asynchronous:
            staged = ceil((self.block[0] + self.block[1]) * self.block[2] * bytes_per_element / (4 * threads))
        return sums + operands + staged + OWN_REGISTERS

    def attribute(self) -> Mapping[str, Attribute]:
        """What `lamina.schedule` holds."""
        entries: dict[str, Attribute] = {
            "kind": StringAttr(PRODUCT),
            "rows": _texts(self.rows),
            "columns": _texts(self.columns),
            "depth": _texts(self.depth),
            "block": _sizes("mnk", self.block),
        }
        if self.fragment is None:
            entries["tile"] = _sizes("mn", self.tile)
        else:
            entries |= {"warp": _sizes("mn", self.warp), "fragment": _sizes("mnk", self.fragment)}
            if self.instruction != "mma":
                entries["instruction"] = StringAttr(self.instruction)
        entries |= {
            "vector": _sizes("ab", self.vector),
            "row_padding": IntegerAttr(self.row_padding, i64),
            "stages": IntegerAttr(self.stages, i64),
        }
        if self.asynchronous:
            entries["copies"] = StringAttr(self.copies)
        if self.swizzle:
            entries["swizzle"] = UnitAttr()
        if self.split > 1:
            entries["split"] = IntegerAttr(self.split, i64)
        return entries

    @staticmethod
    def of(op: Operation) -> ProductSchedule:
        """The schedule as it is written on an op; raises LaminaError for what is missing or does not fit together."""
        attribute = op.attributes.get(SCHEDULE)
        if not isinstance(attribute, DictionaryAttr):
            raise error_at(op, f"{SCHEDULE} must be a dictionary, found {attribute}")
        reader = _Reader(op, attribute)
        given = attribute.data
        schedule = ProductSchedule(
            rows=reader.texts("rows"),
            columns=reader.texts("columns"),
            depth=reader.texts("depth"),
            block=_three(reader.sizes("block", "mnk")),
            tile=_two(reader.sizes("tile", "mn")) if "fragment" not in given else (1, 1),
            warp=_two(reader.sizes("warp", "mn")) if "fragment" in given else (0, 0),
            fragment=_three(reader.sizes("fragment", "mnk")) if "fragment" in given else None,
            vector=_two(reader.sizes("vector", "ab")) if "vector" in given else (1, 1),
            row_padding=reader.integer("row_padding", 0, least=0),
            stages=reader.integer("stages", 1),
            asynchronous="copies" in given,
            split=reader.integer("split", 1),
            instruction=reader.instruction(),
            swizzle="swizzle" in given,
        )
        schedule.check(op)
        return schedule

    def check(self, op: Operation) -> None:
        """Raise LaminaError where sizes do not divide each other, or axes are not those of the op."""
        names = axes_of(op) or []
        for axis in (*self.rows, *self.columns, *self.depth):
            if axis not in names:
                raise error_at(op, f"its schedule names axis '{axis}', its axes are {', '.join(names)}")
        part, what = (self.tile, "tile") if self.fragment is None else (self.warp, "warp")
        pairs = [
            (f"block {axis}", whole, f"{what} {axis}", one)
            for axis, whole, one in zip("mn", self.block, part, strict=False)
        ]
        if self.fragment is not None:
            pairs += [
                (f"warp {axis}", whole, f"fragment {axis}", one)
                for axis, whole, one in zip("mn", self.warp, self.fragment, strict=False)
            ]
            pairs.append(("block k", self.block[2], "fragment k", self.fragment[2]))
        for outer, whole, inner, one in pairs:
            if one < 1 or whole % one:
                raise error_at(op, f"its schedule has {outer} = {whole}, which {inner} = {one} does not divide")
        if self.asynchronous and self.stages < 2:
            raise error_at(op, "its schedule copies asynchronously, which takes at least 2 stages")
        if self.swizzle and (self.row_padding or self.fragment is None or self.instruction != "mma"):
            raise error_at(op, "its schedule has swizzle, which goes with mma, and without row_padding")
        if self.instruction == WARPGROUPS and self.fragment is not None:
            self._check_warpgroups(op, self.fragment)

    def _check_warpgroups(self, op: Operation, fragment: tuple[int, int, int]) -> None:
        m, n = fragment[:2]
        if m != 64 or n != self.warp[1] or n % 8 or n > 256:
            raise error_at(op, f"its schedule has fragment m = {m}, n = {n}; warpgroups take 64 and warp n, up to 256")
        if self.block[0] > 256 or self.block[1] > 256:
            raise error_at(op, f"its schedule has blocks of {self.block[0]} and {self.block[1]}, a tensor map has 256")
        if not self.asynchronous:
            raise error_at(op, f'its schedule has no copies = "{self.copies}", which {self.instruction} takes')

    def check_target(self, op: Operation, kernel: str, target: GpuDescription, bytes_per_element: int) -> None:
        """Raise LaminaError, with the kernel's name and the limit, for what the target has not."""
        if self.instruction == WARPGROUPS and self.block[2] * bytes_per_element != WARPGROUP_LINE:
            raise error_at(
                op, f"its schedule has block k = {self.block[2]}, {self.instruction} takes {WARPGROUP_LINE} bytes"
            )
        limits = (
            (self.threads(target.warp), target.maximum_threads, "threads of a block"),
            (self.registers(target.warp, bytes_per_element), target.registers, "registers of a thread"),
        )
        for amount, limit, what in limits:
            if amount > limit:
                raise error_at(op, f"kernel '{kernel}' needs {amount} {what}, {target.name} has {limit}")


def _texts(names: Sequence[str]) -> ArrayAttr[StringAttr]:
    return ArrayAttr([StringAttr(name) for name in names])


def _sizes(keys: str, values: Sequence[int]) -> DictionaryAttr:
    return DictionaryAttr({key: IntegerAttr(value, i64) for key, value in zip(keys, values, strict=True)})


def _two(sizes: Sequence[int]) -> tuple[int, int]:
    return sizes[0], sizes[1]


def _three(sizes: Sequence[int]) -> tuple[int, int, int]:
    return sizes[0], sizes[1], sizes[2]


@dataclass(frozen=True)
class _Reader:
    op: Operation
    entries: DictionaryAttr

    def _wrong(self, key: str, expected: str) -> LaminaError:
        found = self.entries.data.get(key, "nothing")
        return error_at(self.op, f"{SCHEDULE}: expected {expected} as '{key}', found {found}")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.entries.data.get(key)
        names = [item.data for item in value if isinstance(item, StringAttr)] if is_array(value) else []
        if not names:
            raise self._wrong(key, "a list of axes")
        return tuple(names)

    def sizes(self, key: str, parts: str) -> Sequence[int]:
        value = self.entries.data.get(key)
        found: Mapping[str, Attribute] = value.data if isinstance(value, DictionaryAttr) else {}
        sizes = [item.value.data for part in parts if isinstance(item := found.get(part), IntegerAttr)]
        if len(sizes) != len(parts) or len(found) != len(parts) or any(size < 1 for size in sizes):
            raise self._wrong(key, f"positive integers {', '.join(parts)}")
        return sizes

    def instruction(self) -> str:
        value = self.entries.data.get("instruction", StringAttr("mma"))
        if not isinstance(value, StringAttr) or value.data not in LANES:
            raise self._wrong("instruction", f"one of {', '.join(LANES)}")
        return value.data

    def integer(self, key: str, default: int, least: int = 1) -> int:
        value = self.entries.data.get(key)
        if value is None:
            return default
        if not isinstance(value, IntegerAttr) or value.value.data < least:
            raise self._wrong(key, f"an integer of at least {least}")
        return value.value.data
