"""Schedules of attention on matrix units: how queries and keys are cut, and what fits into shared memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

from xdsl.dialects.builtin import (
    BFloat16Type,
    DictionaryAttr,
    Float16Type,
    Float32Type,
    IntegerAttr,
    StringAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, Operation

from lamina.diagnostics import error_at
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.hardware.nvgpu import FRAGMENTS
from lamina.passes.hardware.gpu.attention_stages import COLUMN, ROW
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import SCHEDULE
from lamina.passes.tensor.schedules.stage_view import numbers

WARP = 32
TILE = 16
"""Queries of a fragment, and keys of two."""

SLOTS = 2
"""Blocks of keys, and of values, in shared memory: one is used while the next one comes."""

LINE = 16
"""Bytes of a line of a tile, and of the room between two rows of shared memory, which keeps them in other banks."""

TYPE_NAMES: tuple[tuple[type[Attribute], str], ...] = (
    (Float16Type, "f16"),
    (BFloat16Type, "bf16"),
    (Float32Type, "tf32"),
)

SHAPES: tuple[tuple[int, int, tuple[tuple[int, int, int], ...]], ...] = (
    (128, 1, ((128, 32, 64), (64, 16, 64), (32, 16, 64), (16, 16, 64))),
    (256, 1, ((128, 16, 64), (64, 16, 64), (32, 16, 64), (16, 16, 32))),
    (512, 2, ((64, 16, 32), (32, 16, 32), (16, 16, 32))),
    (1024, 2, ((64, 16, 16), (32, 16, 16), (16, 16, 16))),
)
"""By the bytes of a row of features: warps that share queries, and queries of a block, queries of a warp and keys of a
block, the largest first. A warp that had 16 results of 256 features would have no registers for anything else."""


@dataclass(frozen=True)
class FragmentSchedule:
    """How attention is cut: queries of a block and of a warp, keys of a block, k of the matrix instruction.

    `parts`: warps that have the same queries, each with a part of the results' features; all of them find the scores.
    """

    queries: int
    warp: int
    keys: int
    depth: int
    asynchronous: bool
    parts: int = 1

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.queries // self.warp * WARP * self.parts

    def entries(self) -> Mapping[str, Attribute]:
        """What it adds to `lamina.schedule`."""
        copies: Mapping[str, Attribute] = {"copies": StringAttr("asynchronous")} if self.asynchronous else {}
        return {
            "block": numbers({ROW: self.queries, COLUMN: self.keys}),
            "warp": numbers({ROW: self.warp}),
            "fragment": numbers({"m": TILE, "n": TILE // 2, "k": self.depth}),
            "stages": IntegerAttr(SLOTS, i64),
            **({"parts": IntegerAttr(self.parts, i64)} if self.parts > 1 else {}),
            **copies,
        }

    @staticmethod
    def of(op: Operation) -> FragmentSchedule | None:
        """What the schedule of an op says, None where it has no fragments; LaminaError for sizes that do not fit."""
        schedule = op.attributes.get(SCHEDULE)
        if not isinstance(schedule, DictionaryAttr) or "fragment" not in schedule.data:
            return None

        def number(key: str, axis: str) -> int:
            sizes = schedule.data.get(key)
            found = sizes.data.get(axis) if isinstance(sizes, DictionaryAttr) else None
            if not isinstance(found, IntegerAttr) or found.value.data < 1:
                raise error_at(op, f"{SCHEDULE}: expected a number above 0 as '{key}.{axis}', found {found}")
            return found.value.data

        parts = schedule.data.get("parts", IntegerAttr(1, i64))
        if not isinstance(parts, IntegerAttr) or parts.value.data < 1:
            raise error_at(op, f"{SCHEDULE}: expected a number above 0 as 'parts', found {parts}")
        found = FragmentSchedule(
            number("block", ROW),
            number("warp", ROW),
            number("block", COLUMN),
            number("fragment", "k"),
            "copies" in schedule.data,
            parts.value.data,
        )
        if found.queries % found.warp or found.warp % TILE or found.keys % TILE:
            raise error_at(op, f"{SCHEDULE}: expected blocks of whole warps, and both of whole fragments of {TILE}")
        return found


@dataclass(frozen=True)
class Problem:
    """What a schedule depends on: elements, features of keys and values, queries, and attentions beside each other.

    `masked`: scores are changed by a mask, whose elements and their addresses take registers as well.
    """

    element: Attribute
    features: int
    outputs: int
    rows: int
    beside: int
    masked: bool = False


def fragment_schedule(problem: Problem, target: GpuDescription) -> FragmentSchedule | None:
    """The schedule for a target; None where it has no matrix units for the type, or not enough of anything."""
    name = next((name for kind, name in TYPE_NAMES if isinstance(problem.element, kind)), "")
    sizes = [int(size) for size in target.fragment.split("x")] if target.fragment else []
    if target.kind != "ptx" or len(sizes) != 3 or name not in target.fragment_types.split():
        return None
    depth = sizes[2] // 2 if name == "tf32" else sizes[2]
    if ((sizes[0], sizes[1], depth), problem.element, f32) not in FRAGMENTS:
        return None
    width = max(problem.features, problem.outputs) * element_bytes(problem.element)
    parts, shapes = next(((parts, shapes) for most, parts, shapes in SHAPES if width <= most), (1, ()))
    fitting: list[FragmentSchedule] = []
    for queries, warp, keys in shapes:
        if problem.masked and warp > TILE:
            keys = max(TILE, keys // 2)
        found = FragmentSchedule(queries, warp, keys, depth, target.copy > 0, parts)
        used = sum(prod(shape) for shape in shared_shapes(found, problem)) * element_bytes(problem.element)
        if used <= target.shared_memory and (queries == TILE or queries < 2 * problem.rows):
            fitting.append(found)
    blocks = [problem.beside * ceil(problem.rows / one.queries) for one in fitting]
    full = next((one for one, count in zip(fitting, blocks, strict=True) if count >= target.processors), None)
    return full or (fitting[-1] if fitting else None)


def shared_shapes(schedule: FragmentSchedule, problem: Problem) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """The shapes of shared memory: queries; keys; values."""
    line = LINE // element_bytes(problem.element)
    features, outputs = padded(problem.features, 2 * line), padded(problem.outputs, TILE * schedule.parts)
    return (
        (schedule.queries, features + line),
        (SLOTS, schedule.keys, features + line),
        (SLOTS, schedule.keys, outputs + line),
    )


def padded(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple
