"""Environment variables that change how Lamina runs, in one table; read when needed, never at import."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from lamina.diagnostics import LaminaError

T = TypeVar("T")

BYTE_UNITS = {"": 1, "b": 1, "k": 2**10, "kib": 2**10, "m": 2**20, "mib": 2**20, "g": 2**30, "gib": 2**30, "t": 2**40}


def parse_bytes(text: str) -> int:
    """A number of bytes with an optional unit: `0`, `512MiB`, `2G`."""
    stripped = text.strip().lower()
    digits = stripped.rstrip("kmgtib ")
    unit = stripped[len(digits) :].strip()
    if unit not in BYTE_UNITS or not digits.isdecimal():
        raise ValueError("a number of bytes such as 512MiB or 2GiB")
    return int(digits) * BYTE_UNITS[unit]


def parse_count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError("a whole number of at least 1")
    return int(text)


def parse_non_negative(text: str) -> int:
    """A whole number of at least 0."""
    if not text.strip().isdecimal():
        raise ValueError("a whole number of at least 0")
    return int(text)


def default_cache_directory() -> Path:
    """`$XDG_CACHE_HOME/lamina`, or `~/.cache/lamina`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "lamina"


@dataclass(frozen=True)
class Knob(Generic[T]):
    """One environment variable: how its text is read, its value when it is not set, and what it does."""

    name: str
    parse: Callable[[str], T]
    default: Callable[[], T]
    default_text: str
    help: str

    def value(self) -> T:
        """The current value; raises LaminaError when the variable's text cannot be read."""
        text = os.environ.get(self.name, "")
        if not text.strip():
            return self.default()
        try:
            return self.parse(text)
        except ValueError as error:
            raise LaminaError(f"expected {error}, found '{text}'", where=self.name, hints=(self.help,)) from None


CACHE_DIR: Knob[Path] = Knob(
    "LAMINA_CACHE_DIR", Path, default_cache_directory, "~/.cache/lamina", "folder of the cache of compiled models"
)
CACHE_SIZE: Knob[int] = Knob(
    "LAMINA_CACHE_SIZE",
    parse_bytes,
    lambda: 2 * 2**30,
    "2GiB",
    "bytes that the cache may hold, the least recently used leave first; 0 switches it off",
)
THREADS: Knob[int | None] = Knob(
    "LAMINA_THREADS",
    parse_count,
    lambda: None,
    "the cores this process may use",
    "threads that a call runs on, the caller's own included",
)
COMPILE_WORKERS: Knob[int] = Knob(
    "LAMINA_COMPILE_WORKERS",
    parse_count,
    lambda: 2,
    "2",
    "processes that generate code at the same time, this one included",
)
SPIN_MICROSECONDS: Knob[int] = Knob(
    "LAMINA_SPIN_MICROSECONDS",
    parse_non_negative,
    lambda: 300,
    "300",
    "microseconds that an idle worker thread spins before it sleeps",
)

GPU_SYNCHRONIZE: Knob[int] = Knob(
    "LAMINA_GPU_SYNCHRONIZE",
    parse_non_negative,
    lambda: 0,
    "0",
    "1: wait for every kernel on a GPU, so that an error names the one that failed",
)

KNOBS: tuple[Knob[Path] | Knob[int] | Knob[int | None], ...] = (
    CACHE_DIR,
    CACHE_SIZE,
    THREADS,
    COMPILE_WORKERS,
    SPIN_MICROSECONDS,
    GPU_SYNCHRONIZE,
)


def knobs_help() -> str:
    """The table as text, one variable a line, for `--help` and the documentation."""
    width = max(len(knob.name) for knob in KNOBS)
    return "\n".join(f"{knob.name:<{width}}  {knob.help} (default: {knob.default_text})" for knob in KNOBS)
