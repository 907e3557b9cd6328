"""Progress of long work, on a terminal only: silent for two seconds, then one line that rewrites itself."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

QUIET_SECONDS = 2.0


class Progress:
    """A status line on standard error. `with Progress() as progress: progress.update("phase kernels")`."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._width = 0
        self._enabled = sys.stderr.isatty()

    def update(self, text: str) -> None:
        """Show what is being done now, once the work has lasted two seconds."""
        elapsed = time.monotonic() - self._start
        if not self._enabled or elapsed < QUIET_SECONDS:
            return
        line = f"{text} … {elapsed:.0f} s"
        print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)
