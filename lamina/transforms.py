"""Transformations of Python functions over trees: compiled when they are called (`jit`), and their derivatives.

They compose: a transformed function is traced as any other, so there are gradients of gradients, gradients inside of
compiled functions, and compiled functions of gradients. Outside of a trace, a derivative is compiled and run on arrays.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lamina import api
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_target import GPU_TARGETS, is_gpu_target, parse_gpu_target
from lamina.frontends.python import derivatives
from lamina.frontends.python.specs import spec
from lamina.frontends.python.trace import TracedModule, trace
from lamina.frontends.python.tracer import errors_at, is_tracing, user_location
from lamina.targets.cpu.executable import Executable
from lamina.targets.cpu.named_targets import CPU_TARGETS, PREFIX
from lamina.targets.gpu.device_arrays import is_on_device
from lamina.trees import Structure, flatten

if TYPE_CHECKING:
    from lamina.targets.gpu.executable import GpuExecutable

Function: TypeAlias = "Callable[..., Any]"
Positions: TypeAlias = "int | Sequence[int]"

stop_gradient = derivatives.stop_gradient


# Compilation


class CompiledFunction:
    """A function that is traced and compiled for each combination of shapes, dtypes, structures and static arguments
    that it is called with; see `jit`."""

    def __init__(
        self,
        function: Function,
        donate_argnums: Positions = (),
        static_argnums: Positions = (),
        threads: int | None = None,
        target: str | None = None,
        device: int = 0,
    ):
        functools.update_wrapper(self, function)
        self._function = function
        self._donated = _positions(donate_argnums)
        self._static = _positions(static_argnums)
        self._threads = threads
        self._target, self._device = target, device
        self._is_for_gpu = target is not None and is_gpu_target(target)
        self._compiled: dict[Any, tuple[Executable | GpuExecutable, Structure]] = {}
        both = set(self._donated) & set(self._static)
        if both:
            raise LaminaError(f"jit: argument {min(both)} cannot be both donated and static")
        _check_target(target, threads, device)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function gives, with arrays at the leaves."""
        if is_tracing():
            return self._function(*arguments, **named)
        leaves, structures = self._flatten(arguments, named)
        key = (structures, tuple([(leaf.shape, leaf.dtype) for leaf in leaves]), self._static_values(arguments))
        try:
            found = self._compiled.get(key)
        except TypeError:
            raise LaminaError("jit: a static argument cannot be hashed, which is needed to find it again") from None
        if found is None:
            traced = self.trace(*arguments, **named)
            found = self._compiled[key] = self._executable(traced), traced.results
        executable, results = found
        return results.unflatten(executable.call(leaves))

    def trace(self, *arguments: Any, **named: Any) -> TracedModule:
        """The module that the function becomes for these arguments."""
        dynamic = [argument for index, argument in enumerate(arguments) if index not in self._static]
        leaves, _ = self._flatten(arguments, named)
        remaining = iter(leaves)
        specs = [
            shape.unflatten([_spec(next(remaining)) for _ in found]) for found, shape in map(flatten, [*dynamic, named])
        ]
        names = _parameter_names(self._function, len(arguments))

        def call(*operands: Any) -> Any:
            values = iter(operands[:-1] if named else operands)
            ordered = [argument if index in self._static else next(values) for index, argument in enumerate(arguments)]
            return self._function(*ordered, **(operands[-1] if named else {}))

        parameters = [names[index] for index in range(len(arguments)) if index not in self._static]
        if named:
            parameters.append(_unused("options", parameters))
        call.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in parameters]
        )
        outside = [index for index in self._donated if index >= len(arguments)]
        if outside:
            raise LaminaError(f"jit: donate_argnums: expected positions below {len(arguments)}, found {outside[0]}")
        donate = [names[index] for index in self._donated if flatten(arguments[index])[0]]
        return trace(call, *(specs if named else specs[:-1]), donate=donate)

    def executable(self, *arguments: Any, **named: Any) -> Executable | GpuExecutable:
        """The compiled function for these arguments, which takes and gives leaves or trees as `lamina.compile`'s."""
        return self._executable(self.trace(*arguments, **named))

    def _executable(self, traced: TracedModule) -> Executable | GpuExecutable:
        if self._is_for_gpu:
            return api.gpu_executable(traced, self._target, device=self._device)
        return api.compile(traced, threads=self._threads, target=self._target)

    @property
    def compile_count(self) -> int:
        """For how many combinations of arguments the function has been compiled, or loaded from the cache."""
        return len(self._compiled)

    def _flatten(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[list[Any], tuple[Structure, ...]]:
        leaves: list[Any] = []
        structures: list[Structure] = []
        for index, argument in enumerate(arguments):
            if index in self._static:
                continue
            found, shape = flatten(argument)
            leaves += found
            structures.append(shape)
        if named:
            found, shape = flatten(named)
            leaves += found
            structures.append(shape)
        for index, leaf in enumerate(leaves):
            if not isinstance(leaf, np.ndarray) and not (self._is_for_gpu and is_on_device(leaf)):
                leaves[index] = _array(leaf)
        return leaves, tuple(structures)

    def _static_values(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        return tuple([(index, arguments[index]) for index in self._static if index < len(arguments)])


def _check_target(target: str | None, threads: int | None, device: int) -> None:
    """Raise LaminaError for an unknown target, and for what a target does not have: a GPU threads, a CPU a number."""
    if target is not None and is_gpu_target(target):
        parse_gpu_target(target)
        if threads is not None:
            raise LaminaError(f"jit: threads are for CPUs, and '{target}' is a GPU")
        return
    if device:
        raise LaminaError(f"jit: device {device} is for GPU targets", hints=('such as target="ptx"',))
    if target is not None and target.removeprefix(PREFIX) not in CPU_TARGETS:
        names = f"{', '.join(CPU_TARGETS)}; for GPUs {', '.join(GPU_TARGETS)}"
        raise LaminaError(f"unknown CPU target '{target}'", hints=(f"the targets are {names}",))


def _spec(leaf: Any) -> Any:
    """What a parameter is traced with: an array, of one on a device its shape and dtype."""
    return spec(tuple(leaf.shape), str(leaf.dtype).rpartition(".")[2]) if is_on_device(leaf) else leaf


def _array(leaf: Any) -> Any:
    """Data as an array: Python's floats are f32, its ints i64."""
    if isinstance(leaf, float):
        return np.asarray(leaf, np.float32)
    if isinstance(leaf, bool | int | np.generic | np.ndarray):
        return np.asarray(leaf)
    if hasattr(leaf, "__dlpack__"):
        return np.from_dlpack(leaf)
    raise LaminaError(
        f"jit: expected arrays and numbers at the leaves of the arguments, found {leaf!r}",
        hints=("name the positions of arguments that are configuration in static_argnums",),
    )


def jit(
    function: Function | None = None,
    *,
    donate_argnums: Positions = (),
    static_argnums: Positions = (),
    threads: int | None = None,
    target: str | None = None,
    device: int = 0,
) -> Any:
    """A function that compiles `function` when it is called with shapes, dtypes and structures that it has not seen.

    Arguments and results are trees of arrays and numbers. The arrays of the arguments `donate_argnums` are written to:
    results of the same types take their storage, and the caller gets them back as these results. Arguments
    `static_argnums` are no arrays but configuration; for each of their values the function is compiled anew. `threads`
    is how many a call runs on (the cores at hand, or LAMINA_THREADS). Also a decorator: `@jit` or `@jit(threads=1)`.

    `target`: what it is compiled for, as after `--target`: this machine's CPU where left out, another CPU by its name,
    `ptx`, `ptx:sm_90` or `spirv` for a GPU, number `device` of this machine. Functions on a GPU take NumPy arrays, and
    arrays that lie on the device as they are (DLPack); results are on the device where an argument was.
    """
    if function is None:
        return functools.partial(
            jit,
            donate_argnums=donate_argnums,
            static_argnums=static_argnums,
            threads=threads,
            target=target,
            device=device,
        )
    return CompiledFunction(function, donate_argnums, static_argnums, threads, target, device)


# Derivatives


def value_and_grad(function: Function, argnums: Positions = 0, has_aux: bool = False) -> Function:
    """A function of the same arguments that gives `(value, gradient)`, of a function that gives a float scalar.

    The gradient is a tree like the argument at `argnums`; a tuple of trees for several positions. With `has_aux` the
    function gives `(value, other)`, and the new one `((value, other), gradient)`. Raises LaminaError, with the line of
    the user's code, for integers, results that are no scalar, and ops without a derivative.
    """
    return _differentiated(function, argnums, has_aux, "value_and_grad", lambda value, gradient: (value, gradient))


def grad(function: Function, argnums: Positions = 0, has_aux: bool = False) -> Function:
    """A function of the same arguments that gives the gradient; with `has_aux`, `(gradient, other)`.

    As `value_and_grad` otherwise.
    """

    def select(value: Any, gradient: Any) -> Any:
        return (gradient, value[1]) if has_aux else gradient

    return _differentiated(function, argnums, has_aux, "grad", select)


def _differentiated(
    function: Function, argnums: Positions, has_aux: bool, what: str, select: Callable[[Any, Any], Any]
) -> Function:
    positions = _positions(argnums)

    def derivative(*arguments: Any, **named: Any) -> Any:
        wrt = [_position(what, position, len(arguments)) for position in positions]
        names = _parameter_names(function, len(arguments))
        called = functools.partial(function, **named) if named else function
        value, gradients = derivatives.value_and_gradient(
            _named(called, function), arguments, names, wrt, has_aux, what
        )
        return select(value, gradients[0] if isinstance(argnums, int) else gradients)

    return _eager(derivative, function, what)


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`function(*primals)`, and its derivative along `tangents`, one for each primal and of its type."""
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LaminaError("jvp: expected a tuple of primals and a tuple of tangents")

    def forward(primals: Any, tangents: Any) -> tuple[Any, Any]:
        return derivatives.forward(function, primals, tangents, _parameter_names(function, len(primals)))

    return _eager(forward, function, "jvp")(tuple(primals), tuple(tangents))


def vjp(function: Function, *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """`function(*primals)`, and a function from a cotangent of the result to a tuple of cotangents of the primals."""
    names = _parameter_names(function, len(primals))
    if is_tracing():
        return derivatives.backward(function, primals, names)

    def pull_back(primals: Any, cotangents: Any) -> tuple[Any, ...]:
        return derivatives.backward(function, primals, names)[1](cotangents)

    def results(*primals: Any) -> Any:
        return derivatives.backward(function, primals, names)[0]

    compiled = _eager(pull_back, function, "vjp")
    return _eager(results, function, "vjp")(*primals), lambda cotangents: compiled(primals, cotangents)


def custom_vjp(function: Function, rule: Function) -> Function:
    """`function` with a backward derivative of the user's: `rule(*arguments, cotangent)` gives a tuple with a cotangent
    for each argument (None for integers). Neither may use traced values from outside."""

    def call(*arguments: Any) -> Any:
        return derivatives.with_rule(function, rule, arguments, _parameter_names(function, len(arguments)))

    return _eager(call, function, function.__name__)


def checkpoint(function: Function, policy: str = "nothing") -> Function:
    """`function`, of whose values a backward pass keeps what `policy` says, and computes the rest again.

    `nothing`: the arguments only. `dots`: also the results of contractions, convolutions and attention. `everything`:
    no effect.
    """

    def call(*arguments: Any, **named: Any) -> Any:
        called = _named(functools.partial(function, **named), function) if named else function
        return derivatives.checkpointed(called, policy, arguments, _parameter_names(function, len(arguments)))

    return _eager(call, function, getattr(function, "__name__", "function"))


def _eager(derivative: Function, function: Function, what: str) -> Function:
    """Inside of a trace the function itself; outside, compiled and run."""
    compiled = CompiledFunction(derivative)
    name = getattr(function, "__name__", "function")

    def call(*arguments: Any, **named: Any) -> Any:
        if is_tracing():
            return derivative(*arguments, **named)
        with errors_at(user_location()):
            return compiled(*arguments, **named)

    call.__name__ = call.__qualname__ = f"{what}_of_{name}" if what != name else name
    call.__doc__ = f"{what} of {name}."
    call.__wrapped__ = function  # pyright: ignore[reportFunctionMemberAccess]
    return call


def _named(called: Function, function: Function) -> Function:
    """A partial application under the function's name."""
    if called is not function:
        called.__name__ = getattr(function, "__name__", "function")
    return called


def _positions(positions: Positions) -> tuple[int, ...]:
    return (positions,) if isinstance(positions, int) else tuple(positions)


def _position(what: str, position: int, count: int) -> int:
    if not -count <= position < count:
        raise LaminaError(f"{what}: argnums: expected positions within [{-count}, {count}), found {position}")
    return position % count


def _parameter_names(function: Function, count: int) -> list[str]:
    """Names for messages and for the arguments in the IR, as `trace` gives them."""
    from lamina.frontends.python.trace import parameter_names

    return parameter_names(function, count)


def _unused(name: str, names: Sequence[str]) -> str:
    return name if name not in names else _unused(f"{name}_", names)
