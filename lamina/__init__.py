"""Lamina: an MLIR-style compiler for machine-learning models, written in Python on xDSL and llvmlite.

`lamina.compile(model)` gives something that can be called, `lamina.load(path)` brings it back from a file, and
`lamina.trace(function, *specs)` makes a model of a Python function over `lamina.ops`. Importing this package imports
none of that: each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.api import compile, executable_for, gpu_executable, load
    from lamina.diagnostics import LaminaError
    from lamina.frontends.python import nn, ops, spec, trace
    from lamina.targets.cpu.executable import Executable
    from lamina.transforms import checkpoint, custom_vjp, grad, jit, jvp, stop_gradient, value_and_grad, vjp

_LAZY = {
    "compile": "lamina.api",
    "executable_for": "lamina.api",
    "gpu_executable": "lamina.api",
    "load": "lamina.api",
    "LaminaError": "lamina.diagnostics",
    "Executable": "lamina.targets.cpu.executable",
    "nn": "lamina.frontends.python",
    "ops": "lamina.frontends.python",
    "spec": "lamina.frontends.python",
    "trace": "lamina.frontends.python",
    "checkpoint": "lamina.transforms",
    "custom_vjp": "lamina.transforms",
    "grad": "lamina.transforms",
    "jit": "lamina.transforms",
    "jvp": "lamina.transforms",
    "stop_gradient": "lamina.transforms",
    "value_and_grad": "lamina.transforms",
    "vjp": "lamina.transforms",
}

__all__ = [
    "Executable",
    "LaminaError",
    "checkpoint",
    "compile",
    "custom_vjp",
    "executable_for",
    "gpu_executable",
    "grad",
    "jit",
    "jvp",
    "load",
    "nn",
    "ops",
    "spec",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        if name == "__version__":
            from importlib.metadata import version

            return version("lamina")
        raise AttributeError(f"module 'lamina' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, "__version__"])
