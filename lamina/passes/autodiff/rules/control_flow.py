"""Derivatives of branches, loops and scans.

Forward, tangents travel beside the values through the same op. Backward, a branch, and each step of a scan or of a
while loop with a bound, read what the forward pass has kept of it (`residuals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.construction import accumulation_type
from lamina.dialects.graph.control_flow import IfOp, WhileOp, YieldOp
from lamina.dialects.graph.dims import symbols_of
from lamina.dialects.graph.scan import POSITION, ScanOp, segments
from lamina.passes.autodiff.builder import Derivative
from lamina.passes.autodiff.engine import Derivatives, Engine, RegionRule, captured_by
from lamina.passes.autodiff.residuals import ForwardPart, mark

MAX_ITERATIONS = "lamina.max_iterations"
"""On a `graph.while`: at most so many iterations are run."""


def _yield_op(region: Region) -> YieldOp:
    last = region.block.last_op
    assert isinstance(last, YieldOp)
    return last


def _extend_yield(engine: Engine, region: Region, extra: Sequence[SSAValue]) -> None:
    """Yield more values."""
    old = _yield_op(region)
    new = YieldOp(*old.operands, *extra)
    new.location = old.location
    Rewriter.replace_op(old, new)


def _finish(engine: Engine, block: Block, values: Sequence[SSAValue]) -> None:
    """End a block with a yield."""
    new = YieldOp(*values)
    new.location = engine.builder.location
    Rewriter.insert_op(new, InsertPoint.at_end(block))


def _at_yield(engine: Engine, region: Region) -> InsertPoint:
    return InsertPoint.before(_yield_op(region))


def _copy_of(engine: Engine, region: Region, block: Block, mapper: dict[SSAValue, SSAValue]) -> list[Operation]:
    """Copies of a region's ops, but for its terminator, at the end of a block; `mapper` maps its values."""
    with engine.builder.inside(block):
        return engine.builder.copies(list(region.block.ops)[:-1], mapper)


def _block_like(engine: Engine, models: Sequence[SSAValue]) -> Block:
    """A block with arguments of which as much is known as of other values."""
    block = Block(arg_types=[model.type for model in models])
    for argument, model in zip(block.args, models, strict=True):
        engine.builder.declare(argument, engine.builder.abstract(model))
    return block


def _argument_like(engine: Engine, block: Block, model: SSAValue) -> SSAValue:
    argument = block.insert_arg(model.type, len(block.args))
    engine.builder.declare(argument, engine.builder.abstract(model))
    return argument


def _rearrange(engine: Engine, block: Block, order: Sequence[SSAValue]) -> None:
    """Give a block its arguments in another order; those that are left out have no uses."""
    before = list(block.args)
    for argument in order:
        argument.replace_all_uses_with(_argument_like(engine, block, argument))
    for argument in before:
        block.erase_arg(argument)


def _mapped(varied: Set[SSAValue], mapper: Mapping[SSAValue, SSAValue]) -> set[SSAValue]:
    """The varied values and the copies of varied values."""
    return {*varied, *(new for old, new in mapper.items() if old in varied)}


# ---- if


def _if_varied(engine: Engine, op: IfOp, varied: set[SSAValue]) -> None:
    for region in op.regions:
        engine.varied(region.block, varied)
    for result, *branches in zip(op.results, op.then_yield.operands, op.else_yield.operands, strict=True):
        if any(value in varied for value in branches):
            varied.add(result)


def _if_jvp(engine: Engine, op: IfOp, tangents: Derivatives) -> None:
    b = engine.builder
    for region in op.regions:
        engine.forward(region.block, tangents)
    pairs = list(zip(op.then_yield.operands, op.else_yield.operands, strict=True))
    active = [index for index, pair in enumerate(pairs) if any(value in tangents for value in pair)]
    if not active:
        return
    for region in op.regions:
        b.insertion_point = _at_yield(engine, region)
        values = _yield_op(region).operands
        _extend_yield(engine, region, [b.materialized(tangents.get(values[i]), values[i]) for i in active])
    regions = [op.detach_region(region) for region in list(op.regions)]
    b.insertion_point = InsertPoint.before(op)
    results = b.create_with_regions("if", op.operands, regions, len(op.results) + len(active))
    _replace(engine, op, results, tangents, active)


def _replace(
    engine: Engine, op: Operation, results: Sequence[SSAValue], tangents: Derivatives, active: Sequence[int]
) -> None:
    """Put the first new results in place of the op's, and take the rest for the tangents of the active ones."""
    b = engine.builder
    own: list[SSAValue] = []
    for old, new in zip(op.results, results[: len(op.results)], strict=True):
        known = b.abstract(old)
        if new.type != old.type:
            new = Rewriter.replace_value_with_new_type(new, old.type)
        b.declare(new, known)
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
        own.append(new)
    for index, tangent in zip(active, results[len(op.results) :], strict=True):
        tangents[own[index]] = tangent
        b.declare(tangent, replace(b.abstract(tangent), shape=b.shape(own[index])))
    Rewriter.erase_op(op)


def _if_vjp(
    engine: Engine, op: IfOp, cotangents: Derivatives, results: Sequence[Derivative], varied: Set[SSAValue]
) -> None:
    """A branch on the same predicate, over what the forward branch keeps as further results."""
    b = engine.builder
    predicate = op.predicate
    wanted = [value for value in captured_by(op.regions) if value in varied]
    parts: list[ForwardPart] = []
    found: list[Derivatives] = []
    for region in op.regions:
        block = Block()
        mapper: dict[SSAValue, SSAValue] = {}
        copies = _copy_of(engine, region, block, mapper)
        inner: Derivatives = {}
        inner_varied = _mapped(varied, mapper)
        values = _yield_op(region).operands
        with b.inside(block):
            parts.append(ForwardPart(block, mark(b, [mapper.get(value, value) for value in values])))
            for value, cotangent in zip(values, results, strict=True):
                seed = mapper.get(value, value)
                if cotangent is not None and seed in inner_varied:
                    engine.accumulate(inner, seed, cotangent)
            engine.backward(copies, inner, inner_varied)
        found.append(inner)
    wanted = [value for value in wanted if any(value in inner for inner in found)]
    if not wanted:
        return
    b.location = op.location
    for part, inner in zip(parts, found, strict=True):
        with b.inside(part.block):
            values = [b.materialized(inner.get(value), value) for value in wanted]
        _finish(engine, part.block, values)
    _if_keeping(engine, op, parts)
    made = b.create_with_regions("if", (predicate,), [Region(part.block) for part in parts], len(wanted))
    for value, cotangent in zip(wanted, made, strict=True):
        b.declare(cotangent, b.abstract(value))
        engine.accumulate(cotangents, value, cotangent)


def _if_keeping(engine: Engine, op: IfOp, parts: Sequence[ForwardPart]) -> None:
    """Put in the op's place one that gives what is kept of each branch, too, and zeros for what the other keeps."""
    b = engine.builder
    outer = b.insertion_point

    def is_static(value: SSAValue) -> bool:
        return all(isinstance(size, int) for size in b.shape(value))

    kept = [part.residuals(frozenset(), is_static, again_if_invariant=False) for part in parts]
    residuals = [value for values in kept for value in values]
    if residuals:
        blocks: list[Block] = []
        for part in parts:
            block = Block()
            mapper: dict[SSAValue, SSAValue] = {}
            with b.inside(block):
                b.copies(part.ops, mapper)
                mine = kept[parts.index(part)]
                extra = [mapper.get(value, value) if value in mine else b.zeros_like(value) for value in residuals]
            _finish(engine, block, [*(mapper.get(value, value) for value in part.results), *extra])
            blocks.append(block)
        count = len(op.results)
        b.insertion_point = InsertPoint.before(op)
        made = b.create_with_regions("if", (op.predicate,), [Region(block) for block in blocks], count + len(residuals))
        for value, result in zip(residuals, made[count:], strict=True):
            b.declare(result, b.abstract(value))
        _replace(engine, op, made[:count], {}, ())
        for value, result in zip(residuals, made[count:], strict=True):
            value.replace_all_uses_with(result)
        b.insertion_point = outer
    for part in parts:
        part.remove_unused()


# ---- while


def _while_varied(engine: Engine, op: WhileOp, varied: set[SSAValue]) -> None:
    arguments = op.body_region.block.args
    varied.update(argument for init, argument in zip(op.inits, arguments, strict=True) if init in varied)
    while True:
        engine.varied(op.body_region.block, varied)
        changed = [
            argument
            for argument, value in zip(arguments, op.body_yield.operands, strict=True)
            if value in varied and argument not in varied
        ]
        if not changed:
            break
        varied.update(changed)
    varied.update(result for result, argument in zip(op.results, arguments, strict=True) if argument in varied)


def _while_jvp(engine: Engine, op: WhileOp, tangents: Derivatives) -> None:
    b = engine.builder
    varied = set(tangents)
    _while_varied(engine, op, varied)
    arguments = list(op.body_region.block.args)
    active = [index for index, argument in enumerate(arguments) if argument in varied]
    if not active:
        return
    b.insertion_point = InsertPoint.before(op)
    inits = [b.materialized(tangents.get(op.inits[index]), op.inits[index]) for index in active]
    for region in op.regions:
        for index in active:
            argument = region.block.args[index]
            extra = region.block.insert_arg(argument.type, len(region.block.args))
            b.declare(extra, b.abstract(argument))
            tangents[argument] = extra
    engine.forward(op.body_region.block, tangents)
    b.insertion_point = _at_yield(engine, op.body_region)
    values = op.body_yield.operands
    _extend_yield(engine, op.body_region, [b.materialized(tangents.get(values[i]), values[i]) for i in active])
    regions = [op.detach_region(region) for region in list(op.regions)]
    b.insertion_point = InsertPoint.before(op)
    results = b.create_with_regions("while", (*op.inits, *inits), regions, len(op.results) + len(active))
    _carry_attributes(op, results)
    _replace(engine, op, results, tangents, active)


def _carry_attributes(op: Operation, results: Sequence[SSAValue]) -> None:
    new = results[0].owner
    assert isinstance(new, Operation)
    new.attributes.update(op.attributes)


def _bound(engine: Engine, op: WhileOp) -> int:
    attribute = op.attributes.get(MAX_ITERATIONS)
    if isinstance(attribute, IntegerAttr):
        return cast("IntegerAttr[Any]", attribute).value.data
    if engine.max_iterations is not None:
        return engine.max_iterations
    raise LaminaError(
        f"{op.name} cannot be differentiated backward: the number of its iterations is unknown",
        where=location_text(op.location),
        hints=(
            "say a bound: max_iterations of ops.while_loop, the option max-iterations of differentiate, or "
            f"the attribute {{{MAX_ITERATIONS} = 100 : i64}} of the loop",
            "or write a counted loop as graph.scan, or use mode=forward",
        ),
    )


def _while_vjp(
    engine: Engine, op: WhileOp, cotangents: Derivatives, results: Sequence[Derivative], varied: Set[SSAValue]
) -> None:
    """The loop as a scan over as many steps as the bound, then the derivative of that.

    Each step runs the body where the condition still holds and passes its values on where it does not. More
    iterations than the bound give NaN: a wrong number must not look like a gradient.
    """
    b = engine.builder
    bound = _bound(engine, op)
    outer = b.insertion_point
    b.insertion_point = InsertPoint.before(op)
    length = b.constant(bound)
    block = Block(arg_types=[POSITION, *(argument.type for argument in op.body_region.block.args)])
    b.declare(block.args[0], AbstractTensor((), i64))
    for new, old in zip(block.args[1:], op.body_region.block.args, strict=True):
        b.declare(new, b.abstract(old))
    scan_varied = set(varied)
    mapper: dict[SSAValue, SSAValue] = dict(zip(op.condition_region.block.args, block.args[1:], strict=True))
    _copy_of(engine, op.condition_region, block, mapper)
    condition = mapper.get(op.condition_yield.operands[0], op.condition_yield.operands[0])
    step = Block()
    body_mapper: dict[SSAValue, SSAValue] = dict(zip(op.body_region.block.args, block.args[1:], strict=True))
    _copy_of(engine, op.body_region, step, body_mapper)
    _finish(engine, step, [body_mapper.get(value, value) for value in op.body_yield.operands])
    stay = Block()
    _finish(engine, stay, block.args[1:])
    with b.inside(block):
        chosen = b.create_with_regions("if", (condition,), [Region(step), Region(stay)], len(op.results))
        for new, old in zip(chosen, block.args[1:], strict=True):
            b.declare(new, b.abstract(old))
    _finish(engine, block, chosen)
    made = b.create_with_regions(
        "scan", (*op.inits, length), [Region(block)], len(op.results), operandSegmentSizes=segments(len(op.inits), 0, 1)
    )
    scan = made[0].owner
    assert isinstance(scan, ScanOp)
    for new, old in zip(made, op.results, strict=True):
        b.declare(new, b.abstract(old))
    # One more test of the condition, on the last values.
    check_mapper: dict[SSAValue, SSAValue] = dict(zip(op.condition_region.block.args, made, strict=True))
    b.copies(list(op.condition_region.block.ops)[:-1], check_mapper)
    unfinished = check_mapper.get(op.condition_yield.operands[0], op.condition_yield.operands[0])
    _scan_varied(engine, scan, scan_varied)
    b.insertion_point = outer
    poisoned: list[Derivative] = []
    for cotangent in results:
        if cotangent is None:
            poisoned.append(None)
            continue
        poisoned.append(b.select(unfinished, b.constant(np.nan, b.element_type(cotangent)), cotangent))
    _scan_vjp(engine, scan, cotangents, poisoned, scan_varied)


# ---- scan


def _scan_varied(engine: Engine, op: ScanOp, varied: set[SSAValue]) -> None:
    varied.update(argument for init, argument in zip(op.inits, op.carried, strict=True) if init in varied)
    varied.update(argument for source, argument in zip(op.scanned, op.slices, strict=True) if source in varied)
    while True:
        engine.varied(op.body_region.block, varied)
        changed = [
            argument
            for argument, value in zip(op.carried, op.next_values, strict=True)
            if value in varied and argument not in varied
        ]
        if not changed:
            break
        varied.update(changed)
    varied.update(result for result, argument in zip(op.carried_results, op.carried, strict=True) if argument in varied)
    varied.update(result for result, value in zip(op.stacked_results, op.step_outputs, strict=True) if value in varied)


def _scan_jvp(engine: Engine, op: ScanOp, tangents: Derivatives) -> None:
    b = engine.builder
    varied = set(tangents)
    _scan_varied(engine, op, varied)
    block = op.body_region.block
    count = op.carried_count
    carried = [index for index, argument in enumerate(op.carried) if argument in varied]
    scanned = [index for index, argument in enumerate(op.slices) if argument in varied]
    if not carried and not any(value in varied for value in op.step_outputs):
        return
    b.insertion_point = InsertPoint.before(op)
    inits = [b.materialized(tangents.get(op.inits[index]), op.inits[index]) for index in carried]
    sources = [b.materialized(tangents.get(op.scanned[index]), op.scanned[index]) for index in scanned]
    for position, index in enumerate(carried):
        argument = block.args[1 + index]
        extra = block.insert_arg(argument.type, 1 + count + position)
        b.declare(extra, b.abstract(argument))
        tangents[argument] = extra
    first_slice = 1 + count + len(carried)
    for index in scanned:
        argument = block.args[first_slice + index]
        extra = block.insert_arg(argument.type, len(block.args))
        b.declare(extra, b.abstract(argument))
        tangents[argument] = extra
    engine.forward(block, tangents)
    # Read now: the forward walk may have replaced what is yielded.
    old = op.body_yield
    next_values, step_outputs = old.operands[:count], old.operands[count:]
    b.insertion_point = _at_yield(engine, op.body_region)
    stacked = [index for index, value in enumerate(step_outputs) if value in tangents]
    next_tangents = [b.materialized(tangents.get(next_values[i]), next_values[i]) for i in carried]
    output_tangents = [tangents[step_outputs[i]] for i in stacked]
    new = YieldOp(*next_values, *next_tangents, *step_outputs, *output_tangents)
    new.location = old.location
    Rewriter.replace_op(old, new)
    inits_before, scanned_before = list(op.inits), list(op.scanned)
    lengths = [] if op.length is None else [op.length]
    region = op.detach_region(op.body_region)
    b.insertion_point = InsertPoint.before(op)
    results = b.create_with_regions(
        "scan",
        (*inits_before, *inits, *scanned_before, *sources, *lengths),
        [region],
        len(op.results) + len(carried) + len(stacked),
        operandSegmentSizes=segments(count + len(carried), len(scanned_before) + len(scanned), len(lengths)),
        reverse=op.reverse,
    )
    behind = count + len(carried)
    own = [*results[:count], *results[behind : behind + len(step_outputs)]]
    extra_results = [*results[count:behind], *results[behind + len(step_outputs) :]]
    _replace(engine, op, [*own, *extra_results], tangents, [*carried, *(count + i for i in stacked)])


def _scan_vjp(
    engine: Engine, op: ScanOp, cotangents: Derivatives, results: Sequence[Derivative], varied: Set[SSAValue]
) -> None:
    """A scan the other way round, over what the forward scan keeps of its steps as further stacked results."""
    b = engine.builder
    count = op.carried_count
    carried = [index for index, argument in enumerate(op.carried) if argument in varied]
    scanned = [index for index, argument in enumerate(op.slices) if argument in varied]
    captured = [value for value in captured_by(op.regions) if value in varied]
    outputs = [index for index, cotangent in enumerate(results[count:]) if cotangent is not None]
    body = op.body_region
    inits, sources, lengths = list(op.inits), list(op.scanned), [] if op.length is None else [op.length]
    step_values = [op.step_outputs[index] for index in outputs]

    # One step forward and, behind it, backward; its arguments are those of the step, then what the way back brings.
    # Sums over all steps are in f32 where what is added is narrower.
    sums = [b.cast(b.zeros_like(value), accumulation_type(b.element_type(value))) for value in captured]
    block = _block_like(engine, [*body.block.args, *(op.carried[i] for i in carried), *sums, *step_values])
    own, brought = block.args[: len(body.block.args)], list(block.args[len(body.block.args) :])
    next_cotangents, running = brought[: len(carried)], brought[len(carried) : len(carried) + len(captured)]
    output_cotangents = brought[len(carried) + len(captured) :]
    mapper: dict[SSAValue, SSAValue] = dict(zip(body.block.args, own, strict=True))
    copies = _copy_of(engine, body, block, mapper)
    inner_varied = _mapped(varied, mapper)
    inner: Derivatives = {}
    with b.inside(block):
        given_by_step = [mapper.get(value, value) for value in op.body_yield.operands]
        part = ForwardPart(block, mark(b, given_by_step))
        seeds = [
            *zip((op.next_values[index] for index in carried), next_cotangents, strict=True),
            *zip(step_values, output_cotangents, strict=True),
        ]
        for value, cotangent in seeds:
            seed = mapper.get(value, value)
            if seed in inner_varied:
                engine.accumulate(inner, seed, cotangent)
        engine.backward(copies, inner, inner_varied)
        b.location = op.location
        before = [b.materialized(inner.get(value), value) for value in (own[1 + index] for index in carried)]
        totals = [
            total if (term := inner.get(value)) is None else b.add(total, b.cast(term, b.element_type(total)))
            for total, value in zip(running, captured, strict=True)
        ]
        steps = [b.materialized(inner.get(value), value) for value in (own[1 + count + index] for index in scanned)]
    _finish(engine, block, [*before, *totals, *steps])

    slices = own[1 + count :]
    symbols = {
        symbol for value in (*inits, *sources, *captured) for size in b.shape(value) for symbol in symbols_of(size)
    }
    kept = part.residuals(
        {own[0], *slices, *brought}, lambda value: all(symbols_of(size) <= symbols for size in b.shape(value))
    )
    forward, stacks = _scan_keeping(engine, op, part, kept)
    for value in kept:
        value.replace_all_uses_with(_argument_like(engine, block, value))
    part.remove_unused()
    used = [index for index, argument in enumerate(slices) if argument.uses]
    if not used and not stacks and not outputs and not lengths:
        used = [0]
    reads = [*(slices[index] for index in used), *output_cotangents]
    _rearrange(engine, block, [own[0], *next_cotangents, *running, *reads, *block.args[len(own) + len(brought) :]])

    starts = [b.materialized(results[index], inits[index]) for index in carried]
    over = [
        *(sources[i] for i in used),
        *(value for i in outputs if (value := results[count + i]) is not None),
        *stacks,
    ]
    lengths = [] if over else lengths
    made = b.create_with_regions(
        "scan",
        (*starts, *sums, *over, *lengths),
        [Region(block)],
        len(starts) + len(sums) + len(scanned),
        operandSegmentSizes=segments(len(starts) + len(sums), len(over), len(lengths)),
        reverse=forward.reverse is None,
    )
    targets = [*(inits[i] for i in carried), *captured, *(sources[i] for i in scanned)]
    for value, found in zip(targets, made, strict=True):
        cotangent = b.cast(found, b.element_type(value))
        b.declare(cotangent, b.abstract(value))
        if value in varied:
            engine.accumulate(cotangents, value, cotangent)


def _scan_keeping(
    engine: Engine, op: ScanOp, part: ForwardPart, kept: Sequence[SSAValue]
) -> tuple[ScanOp, list[SSAValue]]:
    """Put in the scan's place one whose steps give what is kept, too: the scan, and the stacked values."""
    b = engine.builder
    outer = b.insertion_point
    if not kept:
        return op, []
    body = op.body_region.block
    block = _block_like(engine, body.args)
    mapper: dict[SSAValue, SSAValue] = dict(zip(part.block.args[: len(body.args)], block.args, strict=True))
    with b.inside(block):
        b.copies(part.ops, mapper)
    _finish(engine, block, [mapper.get(value, value) for value in (*part.results, *kept)])
    operands, properties, location = list(op.operands), dict(op.properties), op.location
    count = len(op.results)
    given = [*op.scanned, *op.stacked_results]
    b.insertion_point, here = InsertPoint.before(op), b.location
    b.location = location
    results = b.create_with_regions("scan", operands, [Region(block)], count + len(kept), **properties)
    b.location = here
    stacks: list[SSAValue] = list(results[count:])
    length = b.shape(given[0] if given else stacks[0])[0]
    for stack, value in zip(stacks, kept, strict=True):
        known = b.abstract(value)
        b.declare(stack, AbstractTensor((length, *known.shape), known.element_type))
    made = results[0].owner
    assert isinstance(made, ScanOp)
    _replace(engine, op, results[:count], {}, ())
    b.insertion_point = outer
    return made, stacks


RULES: Mapping[type[Operation], RegionRule] = {
    IfOp: RegionRule(_if_varied, _if_jvp, _if_vjp, note="keeps what the backward pass reads"),
    WhileOp: RegionRule(_while_varied, _while_jvp, _while_vjp, note="backward needs a bound on the iterations"),
    ScanOp: RegionRule(_scan_varied, _scan_jvp, _scan_vjp, note="keeps what the backward pass reads of each step"),
}
