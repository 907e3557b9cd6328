"""What a training loop needs besides a compiled step: checkpoints, interrupts that lose nothing, progress."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TextIO, TypeVar

import numpy as np

from lamina.frontends.python import nn
from lamina.trees import map_leaves

Item = TypeVar("Item")


def save_checkpoint(path: str | os.PathLike[str], tree: Any) -> None:
    """Write the arrays of a tree to a safetensors file under their paths; the file is never half-written.

    Raises LaminaError when it cannot be written.
    """
    nn.save(map_leaves(np.asarray, tree), path)


def load_checkpoint(path: str | os.PathLike[str], like: Any) -> Any:
    """The tree that `save_checkpoint` wrote, with arrays that may be donated; `like` gives structure, shapes, dtypes.

    Raises LaminaError with all missing, unexpected and misshapen arrays.
    """
    return map_leaves(_own, nn.load(like, path))


def _own(leaf: Any) -> Any:
    """A copy that may be written to; files are mapped."""
    return np.array(leaf)


@dataclass
class Interrupts:
    """Whether Ctrl-C (or SIGTERM) came since `deferring_interrupts` began."""

    requested: bool = False

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, until an interrupt."""
        for item in items:
            if self.requested:
                return
            yield item


@contextmanager
def deferring_interrupts() -> Generator[Interrupts]:
    """Inside, Ctrl-C and SIGTERM only set `requested`, so that a step is finished and its results are saved.

    A second Ctrl-C raises KeyboardInterrupt at once. Outside of the main thread signals are left alone.
    """
    state = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def note(number: int, _: FrameType | None) -> None:
        if state.requested:
            raise KeyboardInterrupt
        state.requested = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Progress:
    """A line that says how far training is: rewritten in place on a terminal, else printed every `pause` seconds."""

    total: int
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    pause: float = 10.0
    _start: float = field(default_factory=time.perf_counter)
    _shown: float = -1.0

    def show(self, done: int, **figures: float) -> None:
        """Say that `done` of the steps are done, and a few figures."""
        now = time.perf_counter()
        is_terminal = self.stream.isatty()
        if done < self.total and now - self._shown < (0.1 if is_terminal else self.pause):
            return
        self._shown = now
        seconds = now - self._start
        left = seconds / done * (self.total - done) if done else 0.0
        listed = "  ".join(f"{name} {float(value):.4f}" for name, value in figures.items())
        line = f"{done:>{len(str(self.total))}}/{self.total}  {listed}  {seconds:.0f} s, {left:.0f} s left"
        self.stream.write(f"\r{line}\x1b[K" if is_terminal else f"{line}\n")
        self.stream.flush()

    def close(self) -> None:
        """End the line."""
        if self.stream.isatty():
            self.stream.write("\n")
