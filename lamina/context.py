"""The compilation context: xDSL's dialect registry plus the resource store that passes read and fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.ir import Dialect

from lamina.resources import ResourceStore


@dataclass
class LaminaContext(Context):
    """xDSL's context with the constants of the modules that it serves."""

    resources: ResourceStore = field(default_factory=ResourceStore)

    def override_dialect(self, name: str, factory: Callable[[], Dialect]) -> None:
        """Register a dialect, replacing a registration of the same name (ours extend or mend xDSL's)."""
        self._registered_dialects[name] = factory

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
        )


def resources_of(context: Context) -> ResourceStore:
    """The context's resource store; an xDSL context of another tool has an empty one of its own."""
    if isinstance(context, LaminaContext):
        return context.resources
    return ResourceStore()
