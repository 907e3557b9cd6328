"""A compiled model that takes and gives trees of arrays, as the Python function did that it was traced from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from lamina.artefact import Artefact
from lamina.diagnostics import LaminaError
from lamina.plugins import Plugin
from lamina.targets.cpu.executable import Executable
from lamina.trees import Structure, difference, flatten


class TreeExecutable(Executable):
    """An executable of a traced function: called with trees of arrays, by position or by the parameters' names.

    It gives a tree of arrays, except that one array alone comes in a tuple, as from every executable. `call` takes and
    gives the leaves. The trees are not kept in a saved file: loaded again, it takes the leaves, too.
    """

    def __init__(
        self,
        artefact: Artefact,
        *,
        parameters: Sequence[tuple[str, Structure]],
        results: Structure,
        threads: int | None = None,
        compile_count: int = 0,
        plugins: Sequence[Plugin] = (),
    ):
        super().__init__(artefact, threads=threads, compile_count=compile_count, plugins=plugins)
        self._parameters = tuple(parameters)
        self._results = results

    def __call__(self, *trees: object, **named: object) -> Any:
        """Run on one tree per parameter; `out=[…]` gives arrays for the leaves of the result, one or None for each.

        Raises LaminaError for a tree of another structure than the function was traced with, and as `Executable` does.
        """
        out = named.pop("out", None) if all(name != "out" for name, _ in self._parameters) else None
        values: list[object] = []
        for (name, expected), tree in zip(self._parameters, self._ordered(trees, named), strict=True):
            found, shape = flatten(tree)
            if shape != expected:
                if expected.is_leaf:  # a list of numbers, which an array is made of
                    values.append(tree)
                    continue
                raise LaminaError(f"argument '{name}': {difference(expected, shape)}")
            values += found
        outputs = self._run(values, out, self.threads)
        return outputs if self._results.is_leaf else self._results.unflatten(outputs)

    def _ordered(self, trees: Sequence[object], named: dict[str, object]) -> Sequence[object]:
        names = [name for name, _ in self._parameters]
        listing = f"the parameters are {', '.join(names)}"
        if len(trees) > len(names):
            raise LaminaError(f"expected {len(names)} arguments, found {len(trees)}", hints=(listing,))
        given = {**dict(zip(names, trees, strict=False))}
        for name, tree in named.items():
            if name not in names:
                raise LaminaError(f"there is no parameter '{name}'", hints=(listing,))
            if name in given:
                raise LaminaError(f"argument '{name}' is given twice")
            given[name] = tree
        missing = [name for name in names if name not in given]
        if missing:
            raise LaminaError(f"missing: {', '.join(missing)}", hints=(listing,))
        return [given[name] for name in names]


def takes_trees(parameters: Sequence[tuple[str, Structure]], results: Structure) -> bool:
    """Whether anything but arrays goes in, or anything but an array or a tuple of arrays comes out."""
    flat_results = results.is_leaf or (
        results.kind is tuple and all(child.is_leaf for child in cast("Sequence[Structure]", results.children))
    )
    return not (flat_results and all(shape.is_leaf for _, shape in parameters))
