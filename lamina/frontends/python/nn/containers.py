"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lamina.frontends.python.nn.module import Module


class Sequential(Module):
    """Layers one after the other; functions such as `ops.relu` are layers, too. The names are `0`, `1`, …"""

    def __init__(self, *layers: Callable[[Any], Any]):
        self.layers = layers

    def tree_children(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """The modules, named by position."""
        modules = [(index, layer) for index, layer in enumerate(self.layers) if isinstance(layer, Module)]
        return [index for index, _ in modules], [layer for _, layer in modules]

    def with_children(self, names: Sequence[Any], values: Sequence[Any]) -> Sequential:
        """A copy with these modules."""
        layers = list(self.layers)
        for index, layer in zip(names, values, strict=True):
            layers[index] = layer
        return Sequential(*layers)

    def configuration(self) -> dict[str, Any]:
        """The functions among the layers."""
        functions = {index: layer for index, layer in enumerate(self.layers) if not isinstance(layer, Module)}
        return {"functions": {index: layer for index, layer in functions.items() if layer is not None}}

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Callable[[Any], Any]:
        return self.layers[index]
