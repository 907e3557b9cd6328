"""Plugins: what a package outside this repository adds to the compiler, as data.

A plugin is a value. Nothing happens when its module is imported; it takes part where a `LaminaContext` holds it:
every table of the compiler is looked up as "the core's rows, then those of the context's plugins". A name that two of
them define is an error that names both.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from lamina.diagnostics import LaminaError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from xdsl.ir import Dialect
    from xdsl.passes import ModulePass
    from xdsl.utils.target import Target

    from lamina.frontends.onnx.node import Converter
    from lamina.lowering.graph_to_linalg.body import IndexRule, ScalarRule
    from lamina.lowering.graph_to_linalg.stages import StageRule

T = TypeVar("T")
Factory: TypeAlias = Callable[[], T]

ENTRY_POINTS = "lamina.plugins"
ATTRIBUTE = "PLUGIN"
CORE = "lamina"


@dataclass(frozen=True)
class Plugin:
    """What a package adds; every field but the name may be left out.

    `dialects`, `passes`, `targets`: name → factory (called when first needed). `targets` are for `lamina-opt -t`.
    `after`: a pass of the pipeline → passes that follow its first appearance; what passes require and ensure stands on
    their classes. `onnx`: (domain, operator) → converter. `scalar_rules`, `index_rules`, `stage_rules`: op name →
    lowering to `linalg`, as in the tables of `lamina.lowering.graph_to_linalg`. An op with a decomposition
    (`CompositeOp`) and a library call (`ExternOp`) need no rule.
    """

    name: str
    dialects: Mapping[str, Factory[Dialect]] = field(default_factory=dict[str, "Factory[Dialect]"])
    passes: Mapping[str, Factory[type[ModulePass]]] = field(default_factory=dict[str, "Factory[type[ModulePass]]"])
    after: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    targets: Mapping[str, Factory[type[Target]]] = field(default_factory=dict[str, "Factory[type[Target]]"])
    onnx: Mapping[tuple[str, str], Converter] = field(default_factory=dict[tuple[str, str], "Converter"])
    scalar_rules: Mapping[str, ScalarRule] = field(default_factory=dict[str, "ScalarRule"])
    index_rules: Mapping[str, IndexRule] = field(default_factory=dict[str, "IndexRule"])
    stage_rules: Mapping[str, StageRule] = field(default_factory=dict[str, "StageRule"])


def merged(
    what: str,
    core: Mapping[Any, T],
    plugins: Iterable[Plugin],
    rows: Callable[[Plugin], Mapping[Any, T]],
) -> dict[Any, T]:
    """The core's table with the plugins' rows; raises LaminaError for a key that two of them define, naming both."""
    table = dict(core)
    givers = dict.fromkeys(core, CORE)
    for plugin in plugins:
        for key, row in rows(plugin).items():
            if key in givers:
                shown = "::".join(cast("tuple[str, ...]", key)) if isinstance(key, tuple) else key
                raise LaminaError(f"{what} '{shown}' is defined by {_giver(givers[key])} and by plugin '{plugin.name}'")
            table[key] = row
            givers[key] = plugin.name
    return table


def _giver(name: str) -> str:
    return name if name == CORE else f"plugin '{name}'"


def check_names(plugins: Sequence[Plugin]) -> None:
    """Raise LaminaError where two plugins have one name."""
    for index, plugin in enumerate(plugins):
        for other in plugins[:index]:
            if plugin.name == other.name:
                first, second = (", ".join(sorted(_modules(one))) or "no module" for one in (other, plugin))
                raise LaminaError(f"two plugins are called '{plugin.name}': one of {first}, one of {second}")


# ---- loading


def active_plugins(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """The installed plugins and these, each once; raises LaminaError where two have one name."""
    active: list[Plugin] = []
    for plugin in (*installed_plugins(), *plugins):
        if plugin not in active:
            active.append(plugin)
    check_names(active)
    return tuple(active)


def load_plugin(module: str) -> Plugin:
    """The plugin of a module, given as `package.module` or as the path of a file or of a package's folder.

    Raises LaminaError when there is no such module, its import fails, or its attribute `PLUGIN` is no plugin.
    """
    try:
        found = _module_at(Path(module)) if _is_path(module) else importlib.import_module(module)
    except Exception as error:  # whatever the plugin's code raises
        raise LaminaError(f"plugin '{module}' cannot be imported: {_summary(error)}") from error
    plugin = getattr(found, ATTRIBUTE, None)
    if not isinstance(plugin, Plugin):
        raise LaminaError(
            f"module '{module}' has no plugin",
            hints=(f"its attribute {ATTRIBUTE} has to be a lamina.plugins.Plugin",),
        )
    return plugin


@cache
def installed_plugins() -> tuple[Plugin, ...]:
    """The plugins of the installed packages: their entry points of the group `lamina.plugins`.

    Raises LaminaError, naming the package, for one that cannot be loaded.
    """
    from importlib.metadata import entry_points

    return tuple(_from_entry_point(entry) for entry in entry_points(group=ENTRY_POINTS))


def _from_entry_point(entry: EntryPoint) -> Plugin:
    package = entry.dist.name if entry.dist is not None else entry.value
    try:
        plugin = entry.load()
    except Exception as error:  # whatever the plugin's code raises
        raise LaminaError(
            f"plugin '{entry.name}' of package '{package}' cannot be imported: {_summary(error)}",
            hints=(f"mend or uninstall '{package}'",),
        ) from error
    if not isinstance(plugin, Plugin):
        raise LaminaError(f"entry point '{entry.name}' of package '{package}' is no lamina.plugins.Plugin")
    return plugin


def _is_path(module: str) -> bool:
    return module.endswith(".py") or os.sep in module


def _module_at(path: Path) -> ModuleType:
    """Import a file or a package's folder under its own name, once."""
    file = path / "__init__.py" if path.is_dir() else path
    name = path.resolve().stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) and Path(str(known.__file__)).resolve() == file.resolve():
            return known
        raise ImportError(f"another module is called '{name}': {getattr(known, '__file__', 'built in')}")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


# ---- identity, for the cache of compiled models


def fingerprint(plugin: Plugin) -> str | None:
    """A text that changes with the plugin's sources; None where they are no files."""
    digest = hashlib.sha256(plugin.name.encode())
    for file in sorted({source for module in _modules(plugin) for source in _sources(module)}):
        if not file.is_file():
            return None
        status = file.stat()
        digest.update(f"{file}:{status.st_size}:{status.st_mtime_ns};".encode())
    return f"{plugin.name} {digest.hexdigest()[:16]}"


def _modules(plugin: Plugin) -> set[str]:
    """The modules, by top-level name, of all that the plugin's tables hold."""
    tables = (plugin.dialects, plugin.passes, plugin.onnx)
    rules = (plugin.scalar_rules, plugin.index_rules, plugin.stage_rules)
    values: list[Any] = [value for table in (*tables, *rules) for value in table.values()]
    for factory in plugin.dialects.values():
        values += factory().operations
    names = {getattr(value, "__module__", None) or "" for value in values}
    return {name.partition(".")[0] for name in names} - {CORE}


def _sources(module: str) -> Iterable[Path]:
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if file is None:
        return (Path(module),)
    path = Path(file)
    return path.parent.rglob("*.py") if path.name == "__init__.py" else (path,)
