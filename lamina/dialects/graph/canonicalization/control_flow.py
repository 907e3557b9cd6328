"""Canonicalization of control flow: regions that always or never run, values that do not change or that nobody uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern
from xdsl.rewriter import InsertPoint

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.control_flow import IfOp, WhileOp


def constant_predicate(value: SSAValue) -> bool | None:
    """The truth value of a constant tensor<i1>, None for other values."""
    if not isinstance(value.owner, ConstantOp):
        return None
    elements = value.owner.small_integer_elements()
    return None if elements is None else bool(elements[0])


def can_replace(result: SSAValue, value: SSAValue) -> bool:
    """Whether `value` may stand for `result`: its type is the same, or its users accept a more precise one."""
    return value.type == result.type or all(isinstance(use.operation, GraphOp) for use in result.uses)


class InlineConstantIf(RewritePattern):
    """if true { a } else { b } -> a"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: IfOp, rewriter: PatternRewriter, /) -> None:
        predicate = constant_predicate(op.predicate)
        if predicate is None:
            return
        terminator = op.then_yield if predicate else op.else_yield
        values = tuple(terminator.operands)
        if not all(can_replace(result, value) for result, value in zip(op.outputs, values, strict=True)):
            return
        block = (op.then_region if predicate else op.else_region).block
        rewriter.erase(terminator)
        rewriter.inline_block(block, InsertPoint.before(op))
        rewriter.replace(op, (), values)


class ForwardCommonIfResults(RewritePattern):
    """if c { yield v } else { yield v } -> v"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: IfOp, rewriter: PatternRewriter, /) -> None:
        yielded = zip(op.outputs, op.then_yield.operands, op.else_yield.operands, strict=True)
        for result, then_value, else_value in yielded:
            if then_value is else_value and result.first_use is not None and can_replace(result, then_value):
                rewriter.replace_all_uses_with(result, then_value)


class DropUnusedIfResults(RewritePattern):
    """Results of `if` that nobody uses are not computed."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: IfOp, rewriter: PatternRewriter, /) -> None:
        kept = [index for index, result in enumerate(op.outputs) if result.first_use is not None]
        if not kept or len(kept) == len(op.outputs):
            return
        for terminator in (op.then_yield, op.else_yield):
            terminator.operands = [terminator.operands[index] for index in kept]
            rewriter.notify_op_modified(terminator)
        smaller = IfOp.create(
            operands=op.operands,
            result_types=[op.outputs[index].type for index in kept],
            attributes=op.attributes,
            regions=[op.detach_region(region) for region in tuple(op.regions)],
            location=op.location,
        )
        rewriter.replace(op, smaller, _spread(smaller.outputs, kept, len(op.outputs)))


class RemoveLoopThatNeverRuns(RewritePattern):
    """while false -> the initial values"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: WhileOp, rewriter: PatternRewriter, /) -> None:
        if constant_predicate(op.condition_yield.operands[0]) is not False:
            return
        if all(can_replace(result, init) for result, init in zip(op.outputs, op.inits, strict=True)):
            rewriter.replace(op, (), tuple(op.inits))


class ForwardInvariantLoopValues(RewritePattern):
    """A loop value that the body yields unchanged is its initial value, inside the loop and after it."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: WhileOp, rewriter: PatternRewriter, /) -> None:
        terminator = op.body_yield
        for index, init in enumerate(op.inits):
            argument, yielded = op.body_region.block.args[index], terminator.operands[index]
            if (yielded is not argument and yielded is not init) or init.type != argument.type:
                continue
            for value in (argument, op.condition_region.block.args[index], op.outputs[index]):
                uses = [use for use in value.uses if use.operation is not terminator or use.index != index]
                for use in uses:
                    use.operation.operands[use.index] = init
                    rewriter.notify_op_modified(use.operation)


class DropUnusedLoopValues(RewritePattern):
    """Loop values that neither the results in use nor the condition depend on are not carried."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: WhileOp, rewriter: PatternRewriter, /) -> None:
        kept = sorted(_live_loop_values(op))
        if len(kept) == len(op.inits):
            return
        terminator = op.body_yield
        terminator.operands = [terminator.operands[index] for index in kept]
        rewriter.notify_op_modified(terminator)
        for block in (op.condition_region.block, op.body_region.block):
            for index in reversed(range(len(op.inits))):
                if index not in kept:
                    # What still uses the argument is dead, and removed as such.
                    block.args[index].replace_all_uses_with(op.inits[index])
                    block.erase_arg(block.args[index])
        smaller = WhileOp.create(
            operands=[op.inits[index] for index in kept],
            result_types=[op.outputs[index].type for index in kept],
            attributes=op.attributes,
            regions=[op.detach_region(region) for region in tuple(op.regions)],
            location=op.location,
        )
        rewriter.replace(op, smaller, _spread(smaller.outputs, kept, len(op.outputs)))


def _spread(results: Iterable[SSAValue], kept: Sequence[int], count: int) -> list[SSAValue | None]:
    """Results at their former positions, None where nobody uses one."""
    spread: list[SSAValue | None] = [None] * count
    for index, result in zip(kept, results, strict=True):
        spread[index] = result
    return spread


def _live_loop_values(op: WhileOp) -> set[int]:
    """The loop values that the results in use and the condition depend on, over any number of iterations."""
    yielded = op.body_yield.operands
    live = {index for index, result in enumerate(op.outputs) if result.first_use is not None}
    live |= _arguments_behind(op.condition_yield.operands, op.condition_region.block)
    pending = list(live)
    while pending:
        found = _arguments_behind([yielded[pending.pop()]], op.body_region.block) - live
        live |= found
        pending += found
    return live


def _arguments_behind(values: Iterable[SSAValue], block: Block) -> set[int]:
    """The arguments of a block that values computed in it depend on."""
    found: set[int] = set()
    seen: set[Operation] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, BlockArgument):
            if value.block is block:
                found.add(value.index)
            continue
        owner = value.owner
        if not isinstance(owner, Operation) or owner.parent is not block or owner in seen:
            continue
        seen.add(owner)
        pending += [operand for inner in owner.walk() for operand in inner.operands]
    return found
