"""Canonicalization of `graph.scan`: values that do not change or that nobody uses, work that every step repeats."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern
from xdsl.rewriter import InsertPoint
from xdsl.traits import is_side_effect_free

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.canonicalization.control_flow import (
    _arguments_behind,  # pyright: ignore[reportPrivateUsage]
    _spread,  # pyright: ignore[reportPrivateUsage]
)
from lamina.dialects.graph.data_movement import DimensionOp
from lamina.dialects.graph.scan import ScanOp, segments


class ForwardInvariantScanValues(RewritePattern):
    """A carried value that the body yields unchanged is its initial value, inside the loop and after it."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ScanOp, rewriter: PatternRewriter, /) -> None:
        terminator = op.body_yield
        for index, (init, argument, yielded) in enumerate(zip(op.inits, op.carried, op.next_values, strict=True)):
            if (yielded is not argument and yielded is not init) or init.type != argument.type:
                continue
            for value in (argument, op.outputs[index]):
                for use in [use for use in value.uses if use.operation is not terminator or use.index != index]:
                    use.operation.operands[use.index] = init
                    rewriter.notify_op_modified(use.operation)


class DropUnusedScanValues(RewritePattern):
    """Carried values, slices and stacked values that no result in use depends on are left out."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ScanOp, rewriter: PatternRewriter, /) -> None:
        carried, slices, outputs = _live(op)
        count = op.carried_count
        kept = [*carried, *(count + index for index in outputs)]
        if len(kept) == len(op.outputs) and len(slices) == len(op.scanned):
            return
        if not kept:
            return  # the op itself is dead
        length = op.length
        if length is None and not slices:
            dimension = DimensionOp(op.scanned[0], 0)
            rewriter.insert(dimension, InsertPoint.before(op))
            length = dimension.result
        block, terminator = op.body_region.block, op.body_yield
        terminator.operands = [terminator.operands[index] for index in kept]
        rewriter.notify_op_modified(terminator)
        dropped = [argument for index, argument in enumerate(op.carried) if index not in carried]
        dropped += [argument for index, argument in enumerate(op.slices) if index not in slices]
        _erase_dead_users(dropped, rewriter)
        for argument in dropped:
            block.erase_arg(argument)
        operands = [op.inits[index] for index in carried] + [op.scanned[index] for index in slices]
        lengths = [] if length is None else [length]
        smaller = ScanOp.create(
            operands=[*operands, *lengths],
            result_types=[op.outputs[index].type for index in kept],
            properties={
                **op.properties,
                "operandSegmentSizes": segments(len(carried), len(slices), len(lengths)),
            },
            attributes=op.attributes,
            regions=[op.detach_region(op.body_region)],
            location=op.location,
        )
        rewriter.replace(op, smaller, _spread(smaller.outputs, kept, len(op.outputs)))


def _erase_dead_users(arguments: Sequence[BlockArgument], rewriter: PatternRewriter) -> None:
    """Erase what depends on arguments that no yielded value depends on, users first."""
    for argument in arguments:
        for use in list(argument.uses):
            _erase_with_users(use.operation, argument.block, rewriter)


def _erase_with_users(op: Operation, block: Block, rewriter: PatternRewriter) -> None:
    outer = block.find_ancestor_op_in_block(op)
    if outer is None:
        return  # erased already
    for result in outer.results:
        for use in list(result.uses):
            _erase_with_users(use.operation, block, rewriter)
    rewriter.erase(outer)


def _live(op: ScanOp) -> tuple[list[int], list[int], list[int]]:
    """Which carried values, slices and stacked values the results in use depend on."""
    count, block = op.carried_count, op.body_region.block
    yielded = op.body_yield.operands
    outputs = [index for index, result in enumerate(op.stacked_results) if result.first_use is not None]
    carried = {index for index, result in enumerate(op.carried_results) if result.first_use is not None}
    behind = _arguments_behind([yielded[count + index] for index in outputs], block)
    pending = list(carried)
    carried_behind = {index - 1 for index in behind if 1 <= index <= count}
    pending += carried_behind - carried
    carried |= carried_behind
    while pending:
        found = _arguments_behind([yielded[pending.pop()]], block)
        behind |= found
        more = {index - 1 for index in found if 1 <= index <= count} - carried
        carried |= more
        pending += more
    slices = sorted(index - 1 - count for index in behind if index > count)
    return sorted(carried), slices, outputs


class HoistInvariantOps(RewritePattern):
    """What does not depend on the step is computed before the loop."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ScanOp, rewriter: PatternRewriter, /) -> None:
        inside: set[Operation] = set()
        block = op.body_region.block
        for inner in list(block.ops)[:-1]:
            movable = isinstance(inner, GraphOp) and not inner.regions and is_side_effect_free(inner)
            if not movable or _depends_on(inner.operands, inside, op):
                inside.add(inner)
            else:
                inner.detach()
                rewriter.insert(inner, InsertPoint.before(op))


def _depends_on(values: Sequence[SSAValue], inside: set[Operation], op: ScanOp) -> bool:
    block = op.body_region.block
    return any(value.owner is block or value.owner in inside for value in values)
