"""If and Loop: bodies become regions that capture outer values by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import i1, i64
from xdsl.ir import Block, Region, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor, compatible
from lamina.dialects.graph.dims import Dim, fresh
from lamina.dialects.graph.scan import segments
from lamina.frontends.onnx.axes import same_length
from lamina.frontends.onnx.builder import OnnxBuilder, Size
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import DATA_DEPENDENT, AlreadyReported, UnsupportedNode

ConvertBody: TypeAlias = "Callable[[Sequence[SSAValue]], list[SSAValue]]"
"""Appends a body for the iteration number, the condition and the loop values; the next condition and values, then the
scan outputs."""

UNLIMITED = np.iinfo(np.int64).max


def branch(node: Node, build: OnnxBuilder) -> Sequence[SSAValue]:
    """A constant condition leaves one branch; else both become regions."""
    predicate = build.reshape_to(node.operand(0), ())
    names = ("then_branch", "else_branch")
    chosen = build.static(predicate)
    if chosen is not None:
        return node.bodies.convert(node.graph(names[0] if chosen.item() else names[1]), ())
    blocks: list[Block] = []
    yielded: list[list[SSAValue]] = []
    for name in names:
        block = Block()
        with build.inside(block):
            try:
                values = node.bodies.convert(node.graph(name), ())
            except AlreadyReported:
                continue
            build.create_with_regions("yield", values, (), 0)
        blocks.append(block)
        yielded.append(values)
    if len(blocks) < len(names):
        raise AlreadyReported
    known = [_joined(build.abstract(left), build.abstract(right)) for left, right in zip(*yielded, strict=True)]
    results = build.create_with_regions("if", (predicate,), [Region(block) for block in blocks], len(known))
    for result, abstract in zip(results, known, strict=True):
        build.declare(result, abstract)
    return results


def _joined(left: AbstractTensor, right: AbstractTensor) -> AbstractTensor:
    """What holds of both; sizes on which they differ are unknown."""
    if len(left.shape) != len(right.shape):
        raise UnsupportedNode("its branches give results of different ranks")
    shape = tuple(a if a == b else fresh() for a, b in zip(left.shape, right.shape, strict=True))
    return AbstractTensor(shape, left.element_type, left.elements if left.elements == right.elements else None)


# Loops


@dataclass
class LoopBody:
    """A converted body: its block, the arguments for the iteration number and the condition, and what it gives."""

    block: Block
    iteration: SSAValue
    condition: SSAValue
    next_condition: SSAValue
    next_values: list[SSAValue]
    scanned: list[SSAValue]
    known: list[AbstractTensor]
    keeps_sizes: bool


def loop(node: Node, build: OnnxBuilder) -> Sequence[SSAValue]:
    """A loop over the iteration number, the condition where it can change, the loop values and the scan outputs."""
    limit, condition = node.optional(0), node.optional(1)
    graph = node.graph("body")
    inits = [node.operand(index) for index in range(2, len(node.inputs))]
    count = None if limit is None else _trip_count(build, limit)
    first = build.constant(True) if condition is None else build.reshape_to(condition, ())
    return _loop(build, lambda arguments: node.bodies.convert(graph, arguments), inits, count, first)


def scan(node: Node, build: OnnxBuilder) -> Sequence[SSAValue]:
    """A loop over slices of the last inputs, taken along their scan axes."""
    graph = node.graph("body")
    scanned_count = node.integer("num_scan_inputs")
    state_count = len(node.inputs) - scanned_count
    if scanned_count < 1 or state_count < 0:
        raise LaminaError(f"Scan: {scanned_count} scan inputs do not fit {len(node.inputs)} inputs")
    states, scanned = node.operands[:state_count], node.operands[state_count:]
    axes = node.integers("scan_input_axes", [0] * scanned_count)
    directions = node.integers("scan_input_directions", [0] * scanned_count)
    same_length("scan_input_axes", axes, scanned_count)
    same_length("scan_input_directions", directions, scanned_count)
    # Backwards as a whole, where that spares reversing the inputs.
    reverse = all(directions)
    rows: list[SSAValue] = []
    for value, axis, direction in zip(scanned, axes, directions, strict=True):
        axis = build.axis(value, axis)
        rest = [other for other in range(build.rank(value)) if other != axis]
        front = build.transposed(value, [axis, *rest])
        rows.append(build.reverse(front, (0,)) if direction and not reverse else front)

    def body(_: SSAValue, carried: Sequence[SSAValue], slices: Sequence[SSAValue]):
        outputs = node.bodies.convert(graph, [*carried, *slices])
        if len(outputs) < state_count:
            raise LaminaError(f"Scan: a body with {len(outputs)} outputs does not give {state_count} states")
        for before, after in zip(carried, outputs, strict=False):
            if not compatible(before.type, build.abstract(after).type):
                raise UnsupportedNode("a state that changes its type or sizes is not built yet")
        return outputs[:state_count], outputs[state_count:]

    last, stacked = build.scan(states, rows, body, reverse=reverse)
    return [*last, *_placed(node, build, stacked, reverse)]


def _placed(node: Node, build: OnnxBuilder, outputs: Sequence[SSAValue], reverse: bool) -> Sequence[SSAValue]:
    """Scan outputs with their first axis where the attributes want it, in the direction they want.

    `reverse` says that the last step gave their first element.
    """
    count = len(outputs)
    axes = node.integers("scan_output_axes", [0] * count)
    directions = node.integers("scan_output_directions", [0] * count)
    same_length("scan_output_axes", axes, count)
    same_length("scan_output_directions", directions, count)
    placed: list[SSAValue] = []
    for value, axis, direction in zip(outputs, axes, directions, strict=True):
        permutation = list(range(1, build.rank(value)))
        permutation.insert(build.axis(value, axis), 0)
        ordered = build.reverse(value, (0,)) if bool(direction) != reverse else value
        placed.append(build.transposed(ordered, permutation))
    return placed


def _loop(
    build: OnnxBuilder, convert: ConvertBody, inits: Sequence[SSAValue], count: Size | None, first: SSAValue
) -> Sequence[SSAValue]:
    """Emit a `scan` where the number of iterations is known, else a `while`: the last loop values, the scan outputs."""
    body = _converted_body(build, convert, inits)
    counted = count is not None and _always_true(build, first, body)
    if counted and count is not None and body.keeps_sizes:
        return _counted(build, body, inits, count, first)
    if body.scanned:
        raise UnsupportedNode(DATA_DEPENDENT)
    values: list[SSAValue] = [build.constant(0, i64), first, *inits]
    with build.inside(body.block):
        following = build.add(body.iteration, 1)
        results = [following, body.next_condition, *body.next_values]
    if counted and not body.condition.uses:
        body.block.erase_arg(body.block.args[1])
        del values[1], results[1]
    with build.inside(body.block):
        build.create_with_regions("yield", results, (), 0)
    outputs = _while(build, values, body, count, counted)
    return outputs[len(outputs) - len(body.known) :]


def _counted(
    build: OnnxBuilder, body: LoopBody, inits: Sequence[SSAValue], count: Size, first: SSAValue
) -> Sequence[SSAValue]:
    """A `scan` over nothing: the iteration number is its position."""
    body.condition.replace_all_uses_with(first)
    body.block.erase_arg(body.block.args[1])
    with build.inside(body.block):
        build.create_with_regions("yield", [*body.next_values, *body.scanned], (), 0)
    outputs = build.create_with_regions(
        "scan",
        [*inits, build.value(count, i64)],
        (Region(body.block),),
        len(inits) + len(body.scanned),
        operandSegmentSizes=segments(len(inits), 0, 1),
    )
    for output, known in zip(outputs, body.known, strict=False):
        build.declare(output, known)
    for output, step in zip(outputs[len(inits) :], body.scanned, strict=True):
        shape = (build.shape(output)[0], *build.shape(step))
        build.declare(output, AbstractTensor(shape, build.element_type(step)))
    return outputs


def _trip_count(build: OnnxBuilder, limit: SSAValue) -> Size | None:
    """The largest number of iterations; None when there is no limit."""
    scalar = build.reshape_to(limit, ())
    static = build.static(scalar)
    if static is None:
        return build.known(scalar)
    count = max(int(static.item()), 0)
    return None if count == UNLIMITED else count


def _always_true(build: OnnxBuilder, first: SSAValue, body: LoopBody) -> bool:
    """Whether the condition holds at the start and no iteration changes it."""
    start, following = build.static(first), build.static(body.next_condition)
    unchanged = body.next_condition is body.condition or (following is not None and bool(following.item()))
    return unchanged and start is not None and bool(start.item())


def _converted_body(build: OnnxBuilder, convert: ConvertBody, inits: Sequence[SSAValue]) -> LoopBody:
    """Convert the body with the types of the initial values; again with `?` for each size that it changes."""
    known = [AbstractTensor(build.shape(init), build.element_type(init)) for init in inits]
    varying: set[tuple[int, int]] = set()
    scalar_types = [AbstractTensor((), i64), AbstractTensor((), i1)]
    while True:
        arguments = [*scalar_types, *known]
        block = Block(arg_types=[abstract.type for abstract in arguments])
        for argument, abstract in zip(block.args, arguments, strict=True):
            build.declare(argument, abstract)
        with build.inside(block):
            outputs = convert(block.args)
            if len(outputs) <= len(inits):
                raise LaminaError(f"a loop's body gives {len(outputs)} outputs, expected at least {len(inits) + 1}")
            next_condition = build.reshape_to(outputs[0], ())
        values = outputs[1 : len(inits) + 1]
        changed = _changed_sizes(build, known, values) - varying
        if not changed:
            scanned = outputs[len(inits) + 1 :]
            keeps_sizes = not varying
            return LoopBody(block, block.args[0], block.args[1], next_condition, values, scanned, known, keeps_sizes)
        varying |= changed
        known = [_widened(index, abstract, varying) for index, abstract in enumerate(known)]
        block.erase(safe_erase=False)


def _changed_sizes(
    build: OnnxBuilder, known: Sequence[AbstractTensor], values: Sequence[SSAValue]
) -> set[tuple[int, int]]:
    changed: set[tuple[int, int]] = set()
    for index, (before, value) in enumerate(zip(known, values, strict=True)):
        after = build.abstract(value)
        if len(before.shape) != len(after.shape):
            raise UnsupportedNode("a loop value changes its number of axes")
        if before.element_type != after.element_type:
            raise LaminaError(f"a loop value changes its type from {before.type} to {after.type}")
        axes = enumerate(zip(before.shape, after.shape, strict=True))
        changed |= {(index, axis) for axis, (old, new) in axes if old != new}
    return changed


def _widened(index: int, abstract: AbstractTensor, varying: set[tuple[int, int]]) -> AbstractTensor:
    shape: tuple[Dim, ...] = tuple(
        fresh() if (index, axis) in varying else size for axis, size in enumerate(abstract.shape)
    )
    return AbstractTensor(shape, abstract.element_type)


def _while(
    build: OnnxBuilder, values: Sequence[SSAValue], body: LoopBody, count: Size | None, counted: bool
) -> Sequence[SSAValue]:
    condition = Block(arg_types=body.block.arg_types)
    with build.inside(condition):
        tests: list[SSAValue] = []
        if count is not None:
            tests.append(build.compare("LT", condition.args[0], count))
        if not counted:
            tests.append(condition.args[1])
        holds = tests[0] if len(tests) == 1 else build.and_(*tests)
        build.create_with_regions("yield", (holds,), (), 0)
    outputs = build.create_with_regions("while", values, (Region(condition), Region(body.block)), len(values))
    for output, known in zip(outputs[len(outputs) - len(body.known) :], body.known, strict=True):
        build.declare(output, known)
    return outputs


CONTROL_FLOW: Mapping[str, Versions] = {"If": {1: branch}, "Loop": {1: loop}, "Scan": {9: scan}}
