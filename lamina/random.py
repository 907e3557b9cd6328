"""Random numbers by explicit keys: `import lamina.random`, then `random.uniform(random.key(0), (2, 3))`.

Inside of a compiled function these are ops of it; outside, each is compiled for its arguments and gives an array. The
functions are those of `lamina.frontends.python.random`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from lamina.frontends.python import random as functions
from lamina.frontends.python.tracer import is_tracing
from lamina.transforms import CompiledFunction

key = functions.key
DYNAMIC = frozenset({"keys", "logits", "x", "data"})
"""Parameters that are arrays; the others are configuration."""


def _callable_outside(function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)
    static = tuple(index for index, name in enumerate(signature.parameters) if name not in DYNAMIC)
    compiled = CompiledFunction(function, static_argnums=static)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if is_tracing():
            return function(*arguments, **named)
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        values = [tuple(each) if isinstance(each, list) else each for each in bound.arguments.values()]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return compiled(*values)

    return call


bernoulli = _callable_outside(functions.bernoulli)
bits = _callable_outside(functions.bits)
categorical = _callable_outside(functions.categorical)
dropout = _callable_outside(functions.dropout)
exponential = _callable_outside(functions.exponential)
fold_in = _callable_outside(functions.fold_in)
gumbel = _callable_outside(functions.gumbel)
integers = _callable_outside(functions.integers)
normal = _callable_outside(functions.normal)
permutation = _callable_outside(functions.permutation)
split = _callable_outside(functions.split)
uniform = _callable_outside(functions.uniform)
