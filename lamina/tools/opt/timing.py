"""Reports of a profile: MLIR's list and tree, JSON, and a trace that Chrome and Perfetto open."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from lamina.diagnostics import LaminaError
from lamina.files import writing
from lamina.profiling import Profile, Span

RULE = "===" + "-" * 73 + "==="


def banner(title: str) -> str:
    """MLIR's banner of a report."""
    return f"{RULE}\n{f'... {title} ...':^79}".rstrip() + f"\n{RULE}"


def as_list(root: Span) -> str:
    """Every kind of row once, the longest first; a row's time does not include that of rows inside it."""
    own: dict[str, float] = {}
    for span in _walk(root):
        if span is not root:
            own[span.name] = own.get(span.name, 0.0) + span.seconds - sum(child.seconds for child in span.children)
    rows = sorted(own.items(), key=lambda row: -row[1])
    return _table(root, [*rows, ("Rest", root.seconds - sum(own.values()))])


def as_tree(root: Span) -> str:
    """The rows as they are nested, in the order of the pipeline; rows of one name inside one row are added up."""
    rows = [*_merged(root, 0), ("Rest", root.seconds - sum(child.seconds for child in root.children))]
    return _table(root, rows)


def as_json(root: Span) -> str:
    """The tree as JSON: `{"name", "kind", "seconds", "children"}`."""
    return json.dumps(_as_data(root), indent=2)


FORMATS: Mapping[str, Callable[[Span], str]] = {"list": as_list, "tree": as_tree, "json": as_json}


def print_timing(profile: Profile, form: str) -> None:
    """Print a finished profile to standard error in one of `FORMATS`."""
    print(FORMATS[form](profile.root), file=sys.stderr)


def write_trace(profile: Profile, path: str) -> None:
    """Write a finished profile as trace events (the JSON format of chrome://tracing and ui.perfetto.dev).

    Times are microseconds since the start. Raises LaminaError when the file cannot be written.
    """
    origin = profile.root.start
    events = [
        {
            "name": span.name,
            "cat": span.kind,
            "ph": "X",
            "ts": round(1e6 * (span.start - origin), 1),
            "dur": round(1e6 * span.seconds, 1),
            "pid": os.getpid(),
            "tid": 1,
        }
        for span in _walk(profile.root)
    ]
    try:
        with writing(path) as file:
            file.write(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}).encode())
    except OSError as error:
        raise LaminaError(f"cannot be written: {error.strerror}", where=path) from None


def _walk(span: Span) -> Iterator[Span]:
    yield span
    for child in span.children:
        yield from _walk(child)


def _merged(parent: Span, depth: int) -> Iterator[tuple[str, float]]:
    """The rows under a span. Passes stay as many as they are; what repeats around them is added up at the end, and so
    are the passes of a nested pipeline over the ops that they ran on."""
    repeated: dict[str, Span] = {}
    for child in sorted(parent.children, key=lambda child: child.kind not in ("pass", "nest")):
        if child.kind in ("pass", "nest") and parent.kind != "nest":
            yield "  " * depth + child.name, child.seconds
            yield from _merged(child, depth + 1)
            continue
        row = repeated.setdefault(child.name, Span(child.name, child.kind, 0.0, 0.0))
        row.end += child.seconds
        row.children.extend(child.children)
    for row in repeated.values():
        yield "  " * depth + row.name, row.seconds
        yield from _merged(row, depth + 1)


def _as_data(span: Span) -> dict[str, object]:
    return {
        "name": span.name,
        "kind": span.kind,
        "seconds": round(span.seconds, 7),
        "children": [_as_data(child) for child in span.children],
    }


def _table(root: Span, rows: list[tuple[str, float]]) -> str:
    total = root.seconds or 1.0
    lines = [f"{seconds:10.4f} ({100 * seconds / total:5.1f}%)  {name}" for name, seconds in [*rows, ("Total", total)]]
    head = f"{banner('Execution time report')}\n  Total Execution Time: {total:.4f} seconds\n"
    return "\n".join([head, "  ----Wall Time----  ----Name----", *lines])
