"""Control flow of traced functions: branches and loops over trees of values."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Block, OpResult, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.control_flow import PREDICATE
from lamina.dialects.graph.dims import Dim
from lamina.frontends.python.shapes import scalar_of
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, as_value, operation
from lamina.passes.autodiff.rules.control_flow import MAX_ITERATIONS
from lamina.trees import check_same_structure, flatten, structure


@contextmanager
def _inside(block: Block) -> Generator[None]:
    """While a region's function runs: its block is one whose values can be used."""
    blocks = active_tracer().blocks
    blocks.append(block)
    try:
        yield
    finally:
        blocks.pop()


def _predicate(operand: Operand, what: str) -> SSAValue:
    value = as_value(operand)
    if value.type != PREDICATE:
        raise LaminaError(f"{what}: expected a boolean scalar, found {value.type}")
    return value


def _text(value: SSAValue) -> str:
    """A tensor type with named sizes, for messages."""
    builder = active_tracer().builder
    return "x".join([*(str(dim) for dim in builder.shape(value)), str(builder.element_type(value))])


def _flatten(tree: Any) -> list[SSAValue]:
    return [as_value(leaf) for leaf in flatten(tree)[0]]


def _unflatten(tree: Any, values: Sequence[SSAValue]) -> Any:
    return structure(tree).unflatten([Traced(value) for value in values])


@operation
def cond(
    predicate: Operand, then_function: Callable[..., Any], else_function: Callable[..., Any], *arguments: Any
) -> Any:
    """What one of two functions gives for the arguments (trees of values); only that one runs.

    Both have to give trees of the same structure and types. They may use values from outside.
    """
    builder = active_tracer().builder
    results: list[Any] = []
    types: list[list[str]] = []

    def branch(function: Callable[..., Any]) -> Callable[[], list[SSAValue]]:
        def build() -> list[SSAValue]:
            with _inside(builder.insertion_point.block):
                results.append(function(*arguments))
                values = _flatten(results[-1])
                types.append([_text(value) for value in values])
                return values

        return build

    then_branch, else_branch = branch(then_function), branch(else_function)

    def checked_else() -> list[SSAValue]:
        values = else_branch()
        check_same_structure(results[0], results[1], "cond: the result of else_function")
        if types[0] != types[1]:
            raise LaminaError(
                f"cond: expected the same types from both functions, found ({', '.join(types[0])}) and "
                f"({', '.join(types[1])})"
            )
        return values

    outputs = builder.if_(_predicate(predicate, "cond"), then_branch, checked_else)
    return _unflatten(results[0], outputs)


@operation
def while_loop(
    condition_function: Callable[[Any], Operand],
    body_function: Callable[[Any], Any],
    initial: Any,
    *,
    max_iterations: int | None = None,
) -> Any:
    """Runs the body on the loop values (a tree) for as long as the condition of them holds; the last loop values.

    The body has to give a tree of the same structure and types. Both functions may use values from outside.
    `max_iterations` bounds the loop for derivatives backward, which need a bound (more iterations give NaN there);
    the loop itself does not stop at it.
    """
    if max_iterations is not None and max_iterations < 1:
        raise LaminaError(f"while_loop: max_iterations: expected at least 1, found {max_iterations}")
    builder = active_tracer().builder

    def condition(arguments: Sequence[SSAValue]) -> list[SSAValue]:
        with _inside(builder.insertion_point.block):
            return [_predicate(condition_function(_unflatten(initial, arguments)), "while_loop: the condition")]

    def body(arguments: Sequence[SSAValue]) -> list[SSAValue]:
        with _inside(builder.insertion_point.block):
            result = body_function(_unflatten(initial, arguments))
            check_same_structure(initial, result, "while_loop: the result of the body")
            return _flatten(result)

    results = builder.while_(_flatten(initial), condition, body)
    if max_iterations is not None and results and isinstance(results[0], OpResult):
        results[0].op.attributes[MAX_ITERATIONS] = IntegerAttr(max_iterations, i64)
    return _unflatten(initial, results)


@operation
def scan(
    function: Callable[[Any, Any], tuple[Any, Any]],
    initial: Any,
    xs: Any = None,
    *,
    length: int | Dim | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Runs `function(carried, x)` → `(carried, y)` for every slice x along axis 0 of xs (a tree of tensors of one
    length); the last carried values, and the y's stacked along a new axis 0, in the order of the slices.

    Without xs it runs `length` times and x is the position. With `reverse` the last slice comes first. The carried
    values (a tree) have to keep their structure, types and sizes. The function may use values from outside.
    """
    builder = active_tracer().builder
    sources = _flatten(xs)
    if bool(sources) == (length is not None):
        raise LaminaError("scan: expected either tensors to scan or a length")
    stacked: list[Any] = []

    def body(
        position: SSAValue, carried: Sequence[SSAValue], slices: Sequence[SSAValue]
    ) -> tuple[Sequence[SSAValue], Sequence[SSAValue]]:
        with _inside(builder.insertion_point.block):
            x = _unflatten(xs, slices) if sources else Traced(position)
            result = function(_unflatten(initial, carried), x)
            if not isinstance(result, tuple) or len(result) != 2:  # pyright: ignore[reportUnnecessaryIsInstance, reportUnnecessaryComparison]
                raise LaminaError("scan: expected the function to give (carried values, step's result)")
            check_same_structure(initial, result[0], "scan: the carried values")
            following = _flatten(result[0])
            before, after = ([_text(value) for value in values] for values in (carried, following))
            if before != after:
                raise LaminaError(
                    f"scan: expected carried values of the types ({', '.join(before)}), found ({', '.join(after)})"
                )
            stacked.append(result[1])
            return following, _flatten(result[1])

    size = None if length is None else scalar_of(length)
    carried, outputs = builder.scan(_flatten(initial), sources, body, length=size, reverse=reverse)
    return _unflatten(initial, carried), _unflatten(stacked[0], outputs)


def fori_loop(count: int | Dim, body_function: Callable[[Traced, Any], Any], initial: Any) -> Any:
    """Runs `body_function(position, values)` → values for the positions 0 … count - 1; the last values (a tree)."""
    return scan(lambda values, position: (body_function(position, values), ()), initial, length=count)[0]
