"""What there is: passes, phases, dialects, and all about one pass, as text on standard output."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import get_type_hints

from xdsl.ir import Dialect
from xdsl.passes import ModulePass, get_pass_option_infos
from xdsl.utils.hints import type_repr

from lamina import pipelines
from lamina.diagnostics import LaminaError
from lamina.passes.base import LaminaPass
from lamina.plugins import Plugin
from lamina.tools.opt.pipeline import PassFactories
from lamina.tools.reporting import closest


def list_passes(available: PassFactories) -> str:
    """Every pass with the first line of its documentation, ours first."""
    ours = [name for name in available if name in pipelines.PASSES]
    others = sorted(name for name in available if name not in pipelines.PASSES)
    return "\n\n".join(
        f"{title}:\n{_table((name, _summary(available[name])) for name in names)}"
        for title, names in (("Lamina's passes", ours), ("other passes", others))
        if names
    )


def list_phases(plugins: Sequence[Plugin] = ()) -> str:
    """Every phase with its passes and the dialects that may be left at its end."""
    return "\n".join(
        f"{phase.name}: {phase.summary}\n"
        f"  passes: {','.join(phase.passes) or 'none'}\n"
        f"  dialects at its end: {', '.join(sorted(phase.allowed))}"
        for phase in pipelines.phases(plugins)
    )


def list_dialects(names: Iterable[str], mine: Mapping[str, Callable[[], Dialect]]) -> str:
    """Every dialect that can be read; ours and those that we extend are marked."""
    return "\n".join(f"{name}{' (Lamina)' if name in mine else ''}" for name in sorted(names))


def help_pass(available: PassFactories, name: str) -> str:
    """A pass's documentation, options with types and defaults, contract and counters; LaminaError when unknown."""
    if name not in available:
        raise LaminaError(f"unknown pass '{name}'", hints=(*closest(name, available), "--list-passes lists them"))
    pass_type = available[name]()
    documentation = inspect.cleandoc(pass_type.__doc__ or "not documented")
    parts = [f"{name}\n\n{textwrap.indent(documentation, '  ')}", f"options:\n{_options(pass_type)}"]
    if issubclass(pass_type, LaminaPass):
        for title, facts in (("requires", pass_type.requires), ("ensures", pass_type.ensures)):
            parts.append(f"{title}: {', '.join(sorted(facts)) or 'nothing'}")
        if pass_type.counters:
            parts.append(f"counters:\n{_table(pass_type.counters.items())}")
    return "\n\n".join(parts)


def _options(pass_type: type[ModulePass]) -> str:
    fields = {field.name: field for field in dataclasses.fields(pass_type)}
    documented = _field_documentation(pass_type)
    types = get_type_hints(pass_type)
    rows: list[tuple[str, str]] = []
    for info in get_pass_option_infos(pass_type):
        field = fields[info.name]
        default = "required"
        if field.default is not dataclasses.MISSING:
            default = f"default {field.default}"
        elif field.default_factory is not dataclasses.MISSING:
            default = f"default {field.default_factory()}"
        described = documented.get(info.name, "")
        option = f"{info.name.replace('_', '-')}: {type_repr(types[info.name])}"
        rows.append((option, f"({default})" + (f" {described}" if described else "")))
    return _table(rows) or "  none"


def _field_documentation(pass_type: type[ModulePass]) -> dict[str, str]:
    """The strings under the fields of a dataclass and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(pass_type.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError, SyntaxError):
            continue
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for statement, following in pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text = _string(following)
                if text is not None:
                    found[statement.target.id] = " ".join(text.split())
    return found


def _string(statement: ast.stmt) -> str | None:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return None
    return statement.value.value if isinstance(statement.value.value, str) else None


def _summary(factory: Callable[[], type[ModulePass]]) -> str:
    try:
        documentation = factory().__doc__ or ""
    except ImportError as error:
        return f"(not available: {error})"
    # A dataclass without a docstring is given its signature as one.
    lines = inspect.cleandoc(documentation).splitlines() or [""]
    return "" if lines[0].startswith(factory().__name__ + "(") else lines[0]


def _table(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"  {name:<{width}}  {text}".rstrip() for name, text in rows)
