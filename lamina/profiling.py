"""Where time goes: nested spans, recorded only while somebody asks for them."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(eq=False)
class Span:
    """A stretch of time, in seconds of `time.perf_counter`, with what happened in it."""

    name: str
    kind: str
    """`pass`, `analysis`, `verify`, … : what consumers group by."""
    start: float
    end: float
    children: list[Span] = field(default_factory=list["Span"])

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Profile:
    """A tree of spans; `open` and `close` are a stack."""

    def __init__(self) -> None:
        now = time.perf_counter()
        self.root = Span("Total", "total", now, now)
        self._stack = [self.root]

    def open(self, name: str, kind: str) -> Span:
        """Begin a span inside the innermost open one."""
        now = time.perf_counter()
        span = Span(name, kind, now, now)
        self._stack[-1].children.append(span)
        self._stack.append(span)
        return span

    def close(self, span: Span) -> None:
        """End a span and what is still open inside it (an exception may have left it so)."""
        if span not in self._stack:
            return
        now = time.perf_counter()
        while self._stack[-1] is not span:
            self._stack.pop().end = now
        self._stack.pop().end = now

    def unwind(self) -> None:
        """End every span that an exception left open."""
        while len(self._stack) > 1:
            self.close(self._stack[-1])

    def finish(self) -> Span:
        """End everything; the whole."""
        self.unwind()
        self.root.end = time.perf_counter()
        return self.root


_profile: ContextVar[Profile | None] = ContextVar("profile", default=None)


@contextmanager
def profiling(profile: Profile) -> Generator[None]:
    """Record spans in `profile` while the block runs."""
    token = _profile.set(profile)
    try:
        yield
    finally:
        _profile.reset(token)


@contextmanager
def span(name: str, kind: str) -> Generator[None]:
    """A span around the block when somebody records, for instance `span("shape analysis", "analysis")`."""
    profile = _profile.get()
    if profile is None:
        yield
        return
    opened = profile.open(name, kind)
    try:
        yield
    finally:
        profile.close(opened)
