"""Kernels as PTX text run on NumPy: warps, copies and matrix units go on in any order that the PTX ISA allows.

A second opinion about what LLVM and our own PTX make of a kernel: nothing here looks at the IR. What it finds: wrong
descriptors, swizzles, phases and byte counts; registers that are touched while a product may still write them; shared
memory that is read or overwritten while copies or products are under way; warps that are not whole at `wgmma`;
addresses that are not aligned, or outside of what was allocated.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from support.ptx_matrix import (
    ELEMENTS,
    WARPGROUP_SUMS,
    Barrier,
    SharedMatrix,
    TensorMap,
    as_tf32,
    multiply_fragments,
    sizes_of,
    swizzled,
)
from support.ptx_state import ALL, WARP, Memory, Part, Product, Warp
from support.ptx_text import Instruction, Kernel
from support.ptx_values import Lanes, bits_of, computed

SHARED_START = 1024
"""Where a kernel's own shared memory begins on sm_90, behind what the system keeps."""
PARAMETERS = 1 << 40
"""An address for the parameters in the generic space."""
LINE = 128
"""Bytes of a line in shared memory, within which swizzles stay."""
BURST = 40
"""Instructions that a part of a warp carries out at a time, at most."""


class Block:
    """One block of threads."""

    def __init__(
        self,
        kernel: Kernel,
        memory: Memory,
        parameters: Mapping[str, int | TensorMap],
        number: int,
        dynamic: int,
        seed: int,
    ):
        self.kernel, self.memory, self.number = kernel, memory, number
        self.random = random.Random(seed)
        self.symbols: dict[str, int] = {}
        self.maps: dict[int, TensorMap] = {}
        self.values: dict[str, int] = {}
        self.constants: dict[tuple[str, str], Lanes] = {}
        for one in kernel.parameters:
            given = parameters[one.name]
            self.symbols[one.name] = PARAMETERS + one.offset
            if isinstance(given, TensorMap):
                assert one.size == 128 and one.offset % 64 == 0
                self.maps[PARAMETERS + one.offset] = given
            else:
                self.values[one.name] = given
        end = SHARED_START
        for one in sorted(kernel.shared, key=lambda variable: variable.size is None):
            start = -(-end // one.alignment) * one.alignment
            self.symbols[one.name] = start
            end = start + (dynamic if one.size is None else one.size)
        self.shared = np.full(end, 0xFF, np.uint8)
        self.coming = np.zeros(end, int)
        """By byte of shared memory, copies that are on their way to it."""
        self.barriers: dict[int, Barrier] = {}
        self.events: list[Callable[[], None]] = []
        self.warps = [Warp(one, [Part(0, ALL.copy())]) for one in range(kernel.threads // WARP)]
        self.held: list[tuple[Warp, Part]] = []
        """Warps that wait at `bar.sync`."""

    # The order of things

    def run(self) -> None:
        """Let parts of warps, copies and products go on in a random order until all threads have left."""
        while any(warp.lanes_left.any() for warp in self.warps):
            choices: list[Any] = [(warp, part) for warp in self.warps for part in warp.parts if self._may(warp, part)]
            choices += self.events
            choices += [warp for warp in self.warps if any(not one.is_done for one in warp.products())]
            assert choices, f"all wait: {[(w.number, p.at) for w in self.warps for p in w.parts]}"
            chosen = self.random.choice(choices)
            if isinstance(chosen, tuple):
                self._burst(*chosen)
            elif isinstance(chosen, Warp):
                next(one for one in chosen.products() if not one.is_done).run()
            else:
                self.events.remove(chosen)
                chosen()
        for one in self.events:
            one()
        assert not self.coming.any() and not any(warp.products() for warp in self.warps), "left while things go on"
        assert all(one.bytes == 0 for one in self.barriers.values())

    def _burst(self, warp: Warp, part: Part) -> None:
        for _ in range(self.random.randint(1, BURST)):
            if part not in warp.parts or not self._may(warp, part):
                return
            self._step(warp, part)

    def _may(self, warp: Warp, part: Part) -> bool:
        """Whether a part can go on: others of its warp, or of its block, may have to come first."""
        instruction = self.kernel.instructions[part.at]
        name = instruction.parts[0]
        meets = name in ("bar", "shfl", "mma", "ldmatrix")
        if meets:
            same = [one for one in warp.parts if one.at == part.at]
            if not np.array_equal(np.logical_or.reduce([one.lanes for one in same]), warp.lanes_left):
                return False
        if name == "mbarrier" and instruction.parts[1] == "try_wait":
            # A thread that waits in vain sleeps: it goes on when the phase is over.
            active = self._active(warp, part, instruction)
            if active.any():
                return self._phase(warp, instruction, active).all()
        return True

    def _step(self, warp: Warp, part: Part) -> None:
        instruction = self.kernel.instructions[part.at]
        name = instruction.parts[0]
        if name in ("bar", "shfl", "mma", "ldmatrix"):
            for other in [one for one in warp.parts if one.at == part.at and one is not part]:
                part.lanes = part.lanes | other.lanes
                warp.parts.remove(other)
        active = self._active(warp, part, instruction)
        if name == "bra":
            self._branch(warp, part, instruction, active)
            return
        if name == "ret":
            assert np.array_equal(active, part.lanes)
            warp.lanes_left = warp.lanes_left & ~active
            warp.parts.remove(part)
            return
        if name == "bar" and instruction.parts[1] == "sync":
            part.at += 1
            self._wait_for_block(warp, part)
            return
        part.at += 1
        if active.any():
            self._execute(warp, instruction, active)

    def _wait_for_block(self, warp: Warp, part: Part) -> None:
        """`bar.sync`: the last warp to come lets all go on."""
        warp.parts.remove(part)
        self.held.append((warp, part))
        if len(self.held) == sum(1 for one in self.warps if one.lanes_left.any()):
            for other, own in self.held:
                other.parts.append(own)
            self.held = []

    def _active(self, warp: Warp, part: Part, instruction: Instruction) -> Lanes:
        if instruction.guard is None:
            return part.lanes
        flag = warp.registers[instruction.guard] != 0
        return part.lanes & (~flag if instruction.is_negated else flag)

    def _branch(self, warp: Warp, part: Part, instruction: Instruction, active: Lanes) -> None:
        target = self.kernel.labels[instruction.operands[0]]
        rest = part.lanes & ~active
        if not active.any():
            part.at += 1
        elif not rest.any():
            part.at = target
        else:
            warp.parts.append(Part(target, active))
            part.lanes, part.at = rest, part.at + 1

    # Operands

    def _read(self, warp: Warp, text: str, type_: str = "b64") -> Lanes:
        found = warp.registers.get(text)
        if found is not None:
            if warp.groups or warp.open:
                busy = [one for one in warp.products() if text in one.registers]
                assert not busy, f"{text} is read while a product may still write it"
            return found
        if (text, type_) in self.constants:
            return self.constants[text, type_]
        if text == "%tid.x":
            return np.arange(WARP, dtype=np.uint64) + np.uint64(WARP * warp.number)
        if text == "%laneid":
            return np.arange(WARP, dtype=np.uint64)
        special = {"%ctaid.x": self.number, "%ntid.x": self.kernel.threads}.get(text)
        if special is None:
            special = self.symbols.get(text)
        if special is None:
            assert not text.startswith("%"), f"{text} was never written"
            special = int(text[2:], 16) if text[:2] in ("0f", "0d", "0F", "0D") else int(text.rstrip("U"), 0)
        mask = (1 << max(bits_of(type_), 1)) - 1
        self.constants[text, type_] = np.full(WARP, special & mask, np.uint64)
        return self.constants[text, type_]

    def _write(self, warp: Warp, name: str, bits: Lanes, active: Lanes) -> None:
        if name == "_":
            return
        if warp.groups or warp.open:
            busy = [one for one in warp.products() if name in one.registers]
            assert not busy, f"{name} is written while a product may still write it"
        old = warp.registers.get(name)
        if active.all():
            warp.registers[name] = bits
        else:
            warp.registers[name] = np.where(active, bits, np.uint64(0) if old is None else old)
        warp.dirty.add(name)

    def _address(self, warp: Warp, text: str) -> Lanes:
        """`[%r1+16]`."""
        base, _, offset = text.strip("[]").partition("+")
        found = self._read(warp, base.strip()) + np.uint64(int(offset or 0) & (1 << 64) - 1)
        return found & np.uint64(0xFFFFFFFF) if base.startswith("%r") and not base.startswith("%rd") else found

    def _phase(self, warp: Warp, instruction: Instruction, active: Lanes) -> Lanes:
        address, parity = (self._read(warp, one.strip("[]")) for one in instruction.operands[1:3])
        pairs = zip(address[active], parity[active], strict=True)
        return np.array([self.barriers[int(at)].is_over(int(flag)) for at, flag in pairs])

    # Instructions

    def _execute(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        parts, operands = instruction.parts, instruction.operands
        special = SPECIAL.get(parts[0])
        if special is not None:
            special(self, warp, instruction, active)
            return
        if parts[0] == "mov" and any(one.startswith("{") for one in operands):
            self._pack(warp, instruction, active)
            return
        # Lanes that are not active may hold anything.
        with np.errstate(all="ignore"):
            found = computed(parts, [self._read(warp, one, parts[-1]) for one in operands[1:]])
        assert found is not None, f"unknown instruction: {instruction.text}"
        self._write(warp, operands[0], found, active)

    def _pack(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        target, source = instruction.operands
        bits = bits_of(instruction.parts[-1])
        if target.startswith("{"):
            names = _listed(target)
            value, each = self._read(warp, source), bits // len(names)
            for number, name in enumerate(names):
                mask = np.uint64((1 << each) - 1)
                self._write(warp, name, value >> np.uint64(number * each) & mask, active)
            return
        names = _listed(source)
        total = np.zeros(WARP, np.uint64)
        for number, name in enumerate(names):
            total |= self._read(warp, name) << np.uint64(number * bits // len(names))
        self._write(warp, target, total, active)

    def nothing(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """What has no effect here: `prefetch`, `bar.warp.sync`."""

    def fence(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        assert instruction.parts[1] in ("mbarrier_init", "proxy"), instruction.text

    def convert_address(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`cvta.param`: parameters have one address here."""
        assert instruction.parts[1] == "param", instruction.text
        self._write(warp, instruction.operands[0], self._read(warp, instruction.operands[1]), active)

    # Memory

    def _places(self, warp: Warp, space: str, address: Lanes, size: int) -> tuple[Any, Lanes]:
        if space == "global":
            return self.memory.bytes, self.memory.at(address, size)
        assert space == "shared", space
        whole = address.astype(np.int64)[:, None] + np.arange(size)[None]
        assert (address % size == 0).all(), f"accesses of {size} bytes are not aligned"
        assert (whole >= SHARED_START).all() and (whole < len(self.shared)).all(), "outside of shared memory"
        assert not self.coming[whole].any(), "touched while a copy is on its way"
        return self.shared, whole

    def load(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        parts, (target, source) = instruction.parts, instruction.operands
        if parts[1] == "param":
            value = self.values[source.strip("[]")] & (1 << bits_of(parts[-1])) - 1
            self._write(warp, target, np.full(WARP, value, np.uint64), active)
            return
        names = _listed(target) if target.startswith("{") else [target]
        each = bits_of(parts[-1]) // 8
        space = "shared" if parts[1].startswith("shared") else parts[1]
        buffer, places = self._places(warp, space, self._address(warp, source)[active], each * len(names))
        values = buffer[places].reshape(len(places), len(names), each)
        for number, name in enumerate(names):
            full = np.zeros(WARP, np.uint64)
            full[active] = _joined(values[:, number])
            self._write(warp, name, full, active)

    def store(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        parts, (target, source) = instruction.parts, instruction.operands
        names = _listed(source) if source.startswith("{") else [source]
        each = bits_of(parts[-1]) // 8
        space = "shared" if parts[1].startswith("shared") else parts[1]
        buffer, places = self._places(warp, space, self._address(warp, target)[active], each * len(names))
        columns = [self._read(warp, name, parts[-1])[active] for name in names]
        buffer[places] = np.concatenate([_parted(one, each) for one in columns], axis=1)

    def copy(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`cp.async`, its groups, and copies by tensor maps."""
        parts = instruction.parts
        if parts[2] == "bulk":
            self._bulk(warp, instruction, active)
        elif parts[2] == "commit_group":
            assert active.all(), "groups of some lanes only are not simulated"
            warp.copies.append([])
        elif parts[2] == "wait_group":
            pending = int(instruction.operands[0])
            done, warp.copies = warp.copies[: -1 - pending], warp.copies[max(0, len(warp.copies) - 1 - pending) :]
            for whole, values in (one for group in done for one in group):
                self.coming[whole] -= 1
                self.shared[whole] = values
        else:
            target, source, size, *rest = instruction.operands
            count = int(size)
            present = self._read(warp, rest[0])[active] if rest else np.full(active.sum(), count, np.uint64)
            address = self._address(warp, source)[active]
            _, whole = self._places(warp, "shared", self._address(warp, target)[active], count)
            values = np.zeros((len(whole), count), np.uint8)
            read = present > 0
            assert ((present == count) | ~read).all()
            values[read] = self.memory.bytes[self.memory.at(address[read], count)]
            self.coming[whole] += 1
            warp.copies[-1].append((whole, values))

    def _bulk(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`cp.async.bulk.tensor` to shared memory, by one thread."""
        assert active.sum() == 1, f"{active.sum()} threads of a warp copy"
        target, source, barrier = instruction.operands
        (lane,) = np.flatnonzero(active)
        start = int(self._address(warp, target)[lane])
        name, coordinates = source.strip("[]").split(",", 1)
        first = [int(np.int32(self._read(warp, one)[lane])) for one in _listed(coordinates.strip())]
        map_ = self.maps[int(self._read(warp, name)[lane])]
        held = self.barriers[int(self._address(warp, barrier)[lane])]
        assert instruction.parts[4] == f"{len(map_.sizes)}d" and len(first) == len(map_.sizes)
        assert start % 128 == 0 and start >= SHARED_START and start + map_.bytes <= len(self.shared)
        own = start + np.arange(map_.bytes)
        for other in self.warps:
            for one in other.products():
                assert not np.isin(one.reads, own[::LINE] // LINE).any(), "overwritten while a product reads it"
        assert not self.coming[own].any()
        inside, address = map_.elements(first)
        places = swizzled(start + np.arange(len(inside)) * map_.element_bytes)[:, None] + np.arange(map_.element_bytes)
        assert places.min() >= own[0] and places.max() <= own[-1], "a box that is swizzled out of its place"
        values = np.zeros((len(inside), map_.element_bytes), np.uint8)
        values[inside] = self.memory.bytes[self.memory.at(address[inside].astype(np.uint64), map_.element_bytes)]
        if map_.rounds:
            bits = np.ascontiguousarray(values).view(np.uint32)
            values = ((bits + np.uint32(4096)) & np.uint32(0xFFFFE000)).view(np.uint8)
        self.coming[own] += 1

        def come() -> None:
            self.coming[own] -= 1
            self.shared[places] = values
            held.complete(map_.bytes)

        self.events.append(come)

    # Barriers

    def barrier(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`mbarrier`, one thread after the other."""
        parts, operands = instruction.parts, instruction.operands
        if parts[1] == "try_wait":
            self._write(warp, operands[0], ALL.astype(np.uint64), active)
            return
        place = operands[0] if parts[1] == "init" else operands[1]
        for lane in np.flatnonzero(active):
            at = int(self._address(warp, place)[lane])
            assert at % 8 == 0 and SHARED_START <= at < len(self.shared)
            if parts[1] == "init":
                assert at not in self.barriers
                count = int(self._read(warp, operands[1])[lane])
                self.barriers[at] = Barrier(count, count)
            else:
                assert parts[1] == "arrive", instruction.text
                self.barriers[at].arrive(int(self._read(warp, operands[2])[lane]) if parts[2] == "expect_tx" else 0)

    # Lanes and fragments

    def shuffle(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`shfl.sync` (PTX ISA): the control is a segment mask and a clamp."""
        target, _, valid = instruction.operands[0].partition("|")
        source, offset, control, _ = (self._read(warp, one) for one in instruction.operands[1:5])
        lane = np.arange(WARP)
        b, c = offset.astype(int) & 31, control.astype(int)
        segments, clamp = c >> 8 & 31, c & 31
        most, least = lane & segments | clamp & ~segments, lane & segments
        modes: Mapping[str, tuple[Any, Any]] = {
            "up": (lane - b, lane - b >= most),
            "down": (lane + b, lane + b <= most),
            "bfly": (lane ^ b, (lane ^ b) <= most),
            "idx": (least | b & ~segments, (least | b & ~segments) <= most),
        }
        other, is_valid = modes[instruction.parts[2]]
        self._write(warp, target, source[np.where(is_valid, other, lane)], active)
        if valid:
            self._write(warp, valid, is_valid.astype(np.uint64), active)

    def tiles(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`ldmatrix`: lane i gives row i % 8 of tile i / 8; lane t gets columns 2 (t % 4) and the next of row t / 4."""
        assert active.all(), "ldmatrix by some lanes only"
        names = _listed(instruction.operands[0]) if "{" in instruction.operands[0] else [instruction.operands[0]]
        address = self._address(warp, instruction.operands[1])[: 8 * len(names)]
        buffer, whole = self._places(warp, "shared", address, 16)
        rows = np.ascontiguousarray(buffer[whole]).view(np.uint16).reshape(len(names), 8, 8)
        lane = np.arange(WARP)
        for name, tile in zip(names, rows, strict=True):
            tile = tile.T if "trans" in instruction.parts else tile
            low, high = (tile[lane // 4, lane % 4 * 2 + one].astype(np.uint64) for one in (0, 1))
            self._write(warp, name, low | high << np.uint64(16), active)

    def fragments(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`mma.sync`."""
        assert active.all(), "mma.sync by some lanes only"
        shape, element, sums = instruction.parts[3], instruction.parts[7], instruction.parts[-1]
        target, *factors, total = [_listed(one) for one in instruction.operands]
        given = [self._elements(warp, names, element) for names in factors]
        found = multiply_fragments(shape, element, *given, self._elements(warp, total, sums))
        each = 2 if sums == "f16" else 1
        for number, name in enumerate(target):
            values = found[:, number * each : (number + 1) * each].astype(ELEMENTS.get(sums, np.float32))
            self._write(warp, name, _joined(np.ascontiguousarray(values).view(np.uint8)), active)

    def _elements(self, warp: Warp, names: Sequence[str], element: str) -> Lanes:
        """What 32 lanes hold in registers: `[lanes, values]`."""
        raw = np.stack([self._read(warp, one) for one in names], axis=1)
        if element == "tf32":
            return as_tf32(raw)
        if element == "f64":
            return raw.view(np.float64)
        return np.ascontiguousarray(raw.astype(np.uint32)).view(ELEMENTS.get(element, np.float32)).astype(np.float32)

    # Products by warpgroups

    def warpgroup(self, warp: Warp, instruction: Instruction, active: Lanes) -> None:
        """`wgmma`, as one warp sees it: its 16 rows of every 64."""
        assert active.all(), f"a warp is not whole at {instruction.text[:40]}"
        parts = instruction.parts
        if parts[1] == "fence":
            warp.dirty.clear()
        elif parts[1] == "commit_group":
            warp.groups.append(warp.open)
            warp.open = []
        elif parts[1] == "wait_group":
            pending = int(instruction.operands[0])
            done = warp.groups[: len(warp.groups) - pending] if pending else warp.groups
            warp.groups = warp.groups[len(done) :]
            for one in (product for group in done for product in group):
                if not one.is_done:
                    one.run()
        else:
            assert parts[1] == "mma_async", instruction.text
            self._multiply(warp, instruction)

    def _multiply(self, warp: Warp, instruction: Instruction) -> None:
        shape, element = instruction.parts[4], instruction.parts[-1]
        registers, a, b, scale, *ones = instruction.operands
        names = _listed(registers)
        (m, n, k), each = sizes_of(shape), 4 if element == "tf32" else 2
        turns = [int(one) for one in ones[2:]] or [0, 0]
        assert [int(one) for one in ones[:2]] == [1, 1] and len(names) == n // 2 and m == 64
        assert not warp.dirty & set(names), "no wgmma.fence behind a write of the sums"
        left, right = (SharedMatrix.of(self._same(warp, one)) for one in (a, b))
        assert self._read(warp, scale).all()
        places = [
            left.addresses(m, k, each, is_turned=bool(turns[0]))[16 * (warp.number % 4) :][:16],
            right.addresses(n, k, each, is_turned=bool(turns[1])),
        ]
        whole = [one[..., None] + np.arange(each) for one in places]
        rows, columns = (one[:WARP, : n // 2] for one in WARPGROUP_SUMS.places(128, 64))

        def run() -> None:
            product.is_done = True
            factors: list[Lanes] = []
            for one in whole:
                assert not self.coming[one].any(), "a product reads what a copy is still to bring"
                raw = np.ascontiguousarray(self.shared[one])
                if element == "tf32":
                    factors.append(as_tf32(raw.view(np.uint32)[..., 0]))
                else:
                    factors.append(raw.view(ELEMENTS[element])[..., 0].astype(np.float32))
            sums = factors[0] @ factors[1].T
            for number, name in enumerate(names):
                old = warp.registers[name].astype(np.uint32).view(np.float32)
                new = old + sums[rows[:, number], columns[:, number]]
                warp.registers[name] = new.astype(np.float32).view(np.uint32).astype(np.uint64)

        product = Product(names, run, np.unique(np.concatenate([one.ravel() // LINE for one in places])))
        warp.open.append(product)

    def _same(self, warp: Warp, name: str) -> int:
        values = self._read(warp, name)
        assert (values == values[0]).all(), "a descriptor that is not the same in all lanes"
        return int(values[0])


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.strip("{} ").split(",")]


def _joined(values: Lanes) -> Lanes:
    """Bytes as numbers: `[lanes, bytes]`."""
    padded = np.zeros((len(values), 8), np.uint8)
    padded[:, : values.shape[1]] = values
    return padded.view(np.uint64)[:, 0]


def _parted(values: Lanes, count: int) -> Lanes:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), 8)[:, :count]


SPECIAL: Mapping[str, Callable[[Block, Warp, Instruction, Lanes], None]] = {
    "ld": Block.load,
    "st": Block.store,
    "cvta": Block.convert_address,
    "prefetch": Block.nothing,
    "bar": Block.nothing,
    "fence": Block.fence,
    "cp": Block.copy,
    "mbarrier": Block.barrier,
    "shfl": Block.shuffle,
    "ldmatrix": Block.tiles,
    "mma": Block.fragments,
    "wgmma": Block.warpgroup,
}
"""By the first part of the name; all others are arithmetic."""
