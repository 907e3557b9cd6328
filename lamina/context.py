"""The compilation context: xDSL's dialect registry plus the resource store that passes read and fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.ir import Dialect

from lamina.plugins import Plugin, check_names, merged
from lamina.resources import ResourceStore


@dataclass
class LaminaContext(Context):
    """xDSL's context with the constants of the modules that it serves, and the plugins that take part."""

    resources: ResourceStore = field(default_factory=ResourceStore)
    plugins: tuple[Plugin, ...] = ()

    def override_dialect(self, name: str, factory: Callable[[], Dialect]) -> None:
        """Register a dialect, replacing a registration of the same name (ours extend or mend xDSL's)."""
        self._registered_dialects[name] = factory

    def add_plugins(self, plugins: Iterable[Plugin]) -> None:
        """Let plugins take part, and register their dialects; those that do already are left out.

        Raises LaminaError for a plugin or a dialect of a name that is taken.
        """
        added: list[Plugin] = []
        for plugin in plugins:
            if plugin not in (*self.plugins, *added):
                added.append(plugin)
        check_names((*self.plugins, *added))
        core = {name: None for name in self._registered_dialects if name not in self._plugin_dialects()}
        merged("dialect", core, (*self.plugins, *added), lambda plugin: dict.fromkeys(plugin.dialects))
        for plugin in added:
            for name, factory in plugin.dialects.items():
                self.register_dialect(name, factory)
        self.plugins = (*self.plugins, *added)

    def _plugin_dialects(self) -> set[str]:
        return {name for plugin in self.plugins for name in plugin.dialects}

    def clone(self) -> LaminaContext:
        copy = super().clone()
        return LaminaContext(
            copy.allow_unregistered,
            copy._loaded_dialects,
            copy._loaded_ops,
            copy._loaded_attrs,
            copy._loaded_types,
            copy._registered_dialects,
            resources=self.resources,
            plugins=self.plugins,
        )


def resources_of(context: Context) -> ResourceStore:
    """The context's resource store; an xDSL context of another tool has an empty one of its own."""
    if isinstance(context, LaminaContext):
        return context.resources
    return ResourceStore()


def plugins_of(context: Context) -> tuple[Plugin, ...]:
    """The context's plugins; an xDSL context of another tool has none."""
    return context.plugins if isinstance(context, LaminaContext) else ()
