"""Where buffers lie in the arena: apart while they live, for every size, and close to the largest live set."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects import func

from lamina.api import make_context
from lamina.dialects.graph.dims import evaluate, parse_dim, symbols_of
from lamina.dialects.loop import arith
from lamina.parser import LocatingParser
from lamina.passes.loop.arena import Lifetime, aligned, largest_live_set, stack
from lamina.passes.loop.plan_arena import PlanArenaPass, arena_buffers

SIZES = ["64", "100", "n", "4*n", "n*m", "4096*m", "n*n", "max(n - 3, 0)*m", "1", "0"]


@st.composite
def lifetimes(draw):
    found = []
    for _ in range(draw(st.integers(0, 14))):
        first = draw(st.integers(0, 20))
        found.append(Lifetime(aligned(parse_dim(draw(st.sampled_from(SIZES)))), first, first + draw(st.integers(0, 8))))
    return found


@settings(max_examples=300, deadline=None)
@given(lifetimes(), st.integers(0, 300), st.integers(0, 300))
def test_no_two_live_buffers_share_a_byte(buffers, n, m):
    sizes = {"n": n, "m": m}
    stacked = stack(buffers)
    places = {}
    for index in stacked.order:
        start = max((places[other][1] for other in stacked.below[index]), default=0)
        places[index] = start, start + evaluate(buffers[index].size, sizes)
    owner = {}
    for moment in range(40):
        alive = [index for index, buffer in enumerate(buffers) if buffer.first <= moment <= buffer.last]
        spans = sorted(places[index] for index in alive if places[index][0] < places[index][1])
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
        owner[moment] = sum(end - start for start, end in spans)
    assert largest_live_set(buffers, sizes) == max(owner.values(), default=0)
    assert stacked.bytes(sizes) == max((end for _, end in places.values()), default=0)


@pytest.mark.parametrize("seed", range(8))
def test_close_to_the_bound_on_chains_with_long_lived_skips(seed):
    """Layers whose results feed the next ones, some of them kept for much later, as in U-Nets."""
    generator = np.random.default_rng(seed)
    buffers = [
        Lifetime(
            64 * int(generator.integers(1, 200)), step, step + int(generator.choice([1, 1, 1, 2, 3, 60 - step // 2]))
        )
        for step in range(60)
    ]
    assert stack(buffers).bytes({}) <= 1.1 * largest_live_set(buffers, {})


def random_buffers(count: int, longest: int) -> tuple[str, list[int]]:
    """An entry function with buffers of the sizes of six arguments, its plan, and which argument gives which size."""
    generator = random.Random(0)
    symbols = "abcdef"
    uses = [[index] for index in range(count)]
    for index in range(count):
        uses[min(count - 1, index + generator.randint(1, longest))].append(index)
    chosen = [generator.randrange(len(symbols)) for _ in range(count)]
    lines = ["%c0 = arith.constant 0 : index"]
    lines += [f"%n{name} = memref.dim %{name}, %c0 : memref<?xf32>" for name in symbols]
    for index, used in enumerate(uses):
        lines.append(f"%t{index} = memref.alloc(%n{symbols[chosen[index]]}) : memref<?xf32>")
        lines += [f"func.call @k(%t{buffer}) : (memref<?xf32>) -> ()" for buffer in used]
    body = "\n".join(lines)
    arguments = ", ".join(f"%{name}: memref<?xf32>" for name in symbols)
    sizes = ", ".join(f"%{name}: index" for name in symbols)
    text = f"""
    func.func private @k(%x: memref<?xf32>) {{ func.return }}
    func.func @main(%arena: memref<?xi8>, {arguments}) {{ {body}\n func.return }}
    func.func @main.plan({sizes}) -> index {{ %zero = arith.constant 0 : index\n func.return %zero : index }}
    """
    return text, chosen


COMPUTED = {
    "arith.addi": lambda x, y: x + y,
    "arith.muli": lambda x, y: x * y,
    "arith.divui": lambda x, y: x // y,
    "arith.maxsi": max,
}


@pytest.mark.parametrize(("count", "longest"), [(3, 2), (100, 30)])
def test_many_buffers_of_incomparable_sizes(count, longest):
    """The plan is found without expressions that double from buffer to buffer, and gives the bytes of the stack."""
    context = make_context()
    text, chosen = random_buffers(count, longest)
    module = LocatingParser(context, text, "buffers").parse_module()
    main, plan = (op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data.startswith("main"))
    stacked = stack([buffer.lifetime for buffer in arena_buffers(main)])
    PlanArenaPass().apply(context, module)
    module.verify()
    for sizes in ((5, 5, 5, 5, 5, 5), (1000, 3, 40, 500, 17, 0), (0, 7, 0, 123, 0, 10**6)):
        values = dict(zip(plan.body.block.args, sizes, strict=True))
        for op in plan.body.block.ops:
            if isinstance(op, arith.ConstantOp):
                values[op.result] = op.value.value.data
            elif op.results:
                values[op.results[0]] = COMPUTED[op.name](*(values[operand] for operand in op.operands))
        given_sizes = {
            next(iter(symbols_of(one.size))): sizes[symbol]
            for one, symbol in zip(stacked.lifetimes, chosen, strict=True)
        }
        assert values[plan.body.block.last_op.operands[0]] == stacked.bytes(given_sizes)
