"""Files that make a failing pass fail again: the IR before it, the pass, its constants."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import StringLiteral

from lamina import api
from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.tools.opt.pass_manager import PassManager
from lamina.tools.opt.pipeline import PhaseEnd, pipeline_text
from lamina.tools.opt.printing import Style

METADATA = re.compile(r"mlir_reproducer:\s*\{(?P<entries>(?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*)\}")
ENTRY = re.compile(r"(?P<name>\w+):\s*(?:\"(?P<text>(?:[^\"\\]|\\.)*)\"|(?P<flag>true|false))")


def split_at_failure(passes: Sequence[ModulePass], element: int) -> tuple[Sequence[ModulePass], str]:
    """What ran before the failure, and the text of what failed: a pass, a nested pipeline, or a phase whose contract
    was broken."""
    failed = passes[element]
    if isinstance(failed, PhaseEnd):
        return passes[: element - len(failed.phase.passes)], failed.phase.name
    return passes[:element], pipeline_text((failed,))


def write_reproducer(
    module: ModuleOp,
    context: LaminaContext,
    before: Sequence[ModulePass],
    failing: str,
    *,
    message: str,
    path: str | None,
    verify_each: bool,
) -> str:
    """Write a reproducer and return its path (in a new temporary folder when `path` is None).

    `module` is the input as it was read; the passes `before` the failure run on it again, so that nothing has to be
    copied while all goes well. Raises LaminaError when they fail this time, or the file cannot be written.
    """
    try:
        PassManager(verify=False).run(before, context, module)
    except Exception as error:
        raise LaminaError(f"the passes before '{failing}' behave differently when run again: {error}") from None
    if path is None:
        path = os.path.join(tempfile.mkdtemp(prefix="lamina-reproducer-"), "reproducer.mlir")
    comment = "".join(f"// {line}\n" for line in message.splitlines())
    ir = Style(generic=True, locations=True).render((module,))
    pipeline = StringAttr(f"builtin.module({failing})")
    text = (
        f"// lamina-opt --run-reproducer {os.path.basename(path)}\n{comment}\n{ir}\n"
        "{-#\n  external_resources: {\n    mlir_reproducer: {\n"
        f"      pipeline: {pipeline},\n      disable_threading: true,\n"
        f"      verify_each: {'true' if verify_each else 'false'}\n    }}\n  }}\n#-}}\n"
    )
    api.store_text(text, path, context, partial=True)
    return path


def read_reproducer(path: str) -> tuple[str, bool]:
    """The pipeline of a reproducer, and whether to verify after each of its passes; LaminaError when it has none."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise LaminaError(f"cannot be read: {error}", where=path) from None
    _, _, metadata = text.rpartition("{-#") if text.rstrip().endswith("#-}") else ("", "", "")
    found = METADATA.search(metadata)
    entries = {entry["name"]: entry for entry in ENTRY.finditer(found["entries"])} if found else {}
    pipeline = entries.get("pipeline")
    if pipeline is None or pipeline["text"] is None:
        raise LaminaError(
            "is no reproducer: it has no pipeline",
            where=path,
            hints=("a reproducer ends with {-# external_resources: { mlir_reproducer: { pipeline: … } } #-}",),
        )
    verify_each = entries.get("verify_each")
    literal = f'"{pipeline["text"]}"'
    span = StringLiteral.from_span(Span(0, len(literal), Input(literal, path)))
    assert span is not None
    return span.string_contents, verify_each is None or verify_each["flag"] != "false"
