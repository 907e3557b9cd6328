"""The steps of a manifest carried out for given sizes: what a device has to do, one action after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import ml_dtypes
import numpy as np

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_sizes import Size, evaluate

Place: TypeAlias = "tuple[str, int]"
"""A buffer's name and a byte offset in it."""


@dataclass(frozen=True)
class Map:
    """A tensor map of what lies at a place (`driver.TensorMap` says what its fields mean)."""

    tensor: Place
    dtype: str
    sizes: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int
    promotion: int


@dataclass(frozen=True)
class Launch:
    """Run a kernel; `arguments`: places, tensor maps and sizes."""

    kernel: str
    blocks: int
    threads: int
    arguments: tuple[Place | Map | int, ...]


@dataclass(frozen=True)
class Copy:
    """Copy bytes on the device."""

    target: Place
    source: Place
    size: int


@dataclass(frozen=True)
class Fill:
    """Write one number."""

    target: Place
    value: bytes


@dataclass(frozen=True)
class Allocate:
    """A buffer for a while."""

    buffer: str
    size: int


@dataclass(frozen=True)
class Release:
    """The end of a buffer."""

    buffer: str


INNER_STEPS = ("before", "body", "then", "otherwise")

Action: TypeAlias = "Launch | Copy | Fill | Allocate | Release"
Step: TypeAlias = "Mapping[str, Any]"
Load: TypeAlias = "Callable[[Place, np.dtype[Any]], int]"


def reads_device(steps: Sequence[Step]) -> bool:
    """Whether steps depend on numbers that the device computes: their actions are not known before a call."""
    return any(
        step["kind"] == "load"
        or any(reads_device(step.get(part, ())) for part in ("body", "before", "then", "otherwise"))
        for step in steps
    )


def actions_of(steps: Sequence[Step], sizes: dict[str, int]) -> list[Action]:
    """The actions of steps that read nothing from the device; `sizes` gets the variables that they bind."""
    actions: list[Action] = []

    def load(place: Place, dtype: np.dtype[Any]) -> int:
        raise LaminaError(f"'{place[0]}' is read before a call")

    Walk(sizes, actions.append, load).run(steps)
    return actions


class Walk:
    """Carries out steps: what the device has to do goes to `act`, `load` reads a number from the device."""

    def __init__(self, sizes: dict[str, int], act: Callable[[Action], None], load: Load):
        self.sizes = sizes
        self.act = act
        self.load = load

    def run(self, steps: Sequence[Step]) -> None:
        """Carry out steps; raises LaminaError for a kind that is unknown, and for an assertion that fails."""
        for step in steps:
            case = CASES.get(step["kind"])
            if case is None:
                raise LaminaError(f"unknown step '{step['kind']}'", hints=("compile the model again",))
            case(self, step)

    def value(self, size: Size) -> int:
        """A size as a number."""
        return evaluate(size, self.sizes)

    def place(self, place: Sequence[Size]) -> Place:
        """A place with its offset as a number."""
        return str(place[0]), self.value(place[1])

    def _size(self, step: Step) -> None:
        self.sizes[step["variable"]] = self.value(step["value"])

    def _assign(self, step: Step) -> None:
        self.sizes.update(zip(step["variables"], [self.value(one) for one in step["values"]], strict=True))

    def _launch(self, step: Step) -> None:
        blocks = self.value(step["grid"])
        if blocks:
            arguments = tuple(self._argument(one) for one in step["arguments"])
            self.act(Launch(step["kernel"], blocks, self.value(step["threads"]), arguments))

    def _argument(self, one: Any) -> Place | Map | int:
        if isinstance(one, Mapping):
            given = cast("Mapping[str, Any]", one)
            sizes, box = (tuple(self.value(size) for size in given[key]) for key in ("sizes", "box"))
            tensor = self.place(given["tensor"])
            return Map(tensor, given["dtype"], sizes, box, int(given["swizzle"]), int(given["promotion"]))
        return self.value(one) if isinstance(one, int | str) else self.place(one)

    def _copy(self, step: Step) -> None:
        size = self.value(step["bytes"])
        if size:
            self.act(Copy(self.place(step["target"]), self.place(step["source"]), size))

    def _allocate(self, step: Step) -> None:
        self.act(Allocate(step["buffer"], self.value(step["bytes"])))

    def _release(self, step: Step) -> None:
        self.act(Release(step["buffer"]))

    def _load(self, step: Step) -> None:
        self.sizes[step["variable"]] = self.load(self.place(step["source"]), dtype_named(step["dtype"]))

    def _store(self, step: Step) -> None:
        value = np.array(self.value(step["value"])).astype(dtype_named(step["dtype"]))
        self.act(Fill(self.place(step["target"]), value.tobytes()))

    def _for(self, step: Step) -> None:
        for value in range(*(self.value(step[name]) for name in ("lower", "upper", "step"))):
            self.sizes[step["variable"]] = value
            self.run(step["body"])

    def _while(self, step: Step) -> None:
        self.run(step["before"])
        while self.value(step["condition"]):
            self.run(step["body"])
            self.run(step["before"])

    def _if(self, step: Step) -> None:
        self.run(step["then"] if self.value(step["condition"]) else step["otherwise"])

    def _assert(self, step: Step) -> None:
        if not self.value(step["condition"]):
            raise LaminaError(step["message"])


CASES: Mapping[str, Callable[[Walk, Step], None]] = {
    name: getattr(Walk, f"_{name}")
    for name in (
        "size", "assign", "launch", "copy", "allocate", "release", "load", "store", "for", "while", "if", "assert"
    )
}  # fmt: skip
"""By the kind of a step."""


def dtype_named(name: str) -> np.dtype[Any]:
    """A dtype by its name, those of ml_dtypes included."""
    return np.dtype(getattr(ml_dtypes, name, None) or name)
