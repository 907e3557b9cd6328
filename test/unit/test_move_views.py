"""move-views: fewer reshapes and slices, and the same numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, f32

from graph_models import context, module_of, normal
from lamina.dialects.graph.dims import product, symbol
from lamina.passes.graph.fold_constants import FoldConstantsPass
from lamina.passes.graph.move_views import MoveViewsPass, axis_groups
from lamina.targets.reference.evaluate import evaluate

RNG = np.random.default_rng(0)


def moved(module: ModuleOp, ctx, inputs: list[np.ndarray]) -> Counter[str]:
    """Run the pass; the numbers stay. Gives how many ops of each name are left, constants aside."""
    expected = evaluate(module, inputs, ctx.resources)
    MoveViewsPass().apply(ctx, module)
    module.verify()
    for ours, before in zip(evaluate(module, inputs, ctx.resources), expected, strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-5, atol=1e-5)
    FoldConstantsPass().apply(ctx, module)
    return Counter(op.name.removeprefix("graph.") for op in module.walk() if op.name.startswith("graph."))


@pytest.mark.parametrize("batch", [2, "b"])
def test_merged_rows_around_a_product(batch: int | str) -> None:
    def build(b, x):
        rows = b.reshape(x, (-1, 8))
        product = b.add(b.dot_general(rows, normal(RNG, 8, 6), (1,), (0,)), normal(RNG, 6))
        return [b.reshape(product, (-1, 3, 6))]

    ctx = context()
    module = module_of(ctx, [((batch, 3, 8), f32)], build)
    assert moved(module, ctx, [normal(RNG, 2, 3, 8)])["reshape"] == 0


def test_joined_projections_become_three() -> None:
    def build(b, x):
        joined = b.add(b.dot_general(x, normal(RNG, 8, 24), (2,), (0,)), normal(RNG, 24))
        return [b.slice(joined, (0, 0, low), (2**48, 2**48, low + 8)) for low in (0, 8, 16)]

    ctx = context()
    counts = moved(module_of(ctx, [(("b", 5, 8), f32)], build), ctx, [normal(RNG, 2, 5, 8)])
    assert (counts["dot_general"], counts["slice"]) == (3, 0)


def test_joined_projections_behind_a_split_and_a_transpose() -> None:
    """q, k and v as in timm's ViT: [b, s, 3, heads, depth] with the three in front."""

    def build(b, x):
        joined = b.add(b.dot_general(x, normal(RNG, 8, 24), (2,), (0,)), normal(RNG, 24))
        parts = b.transpose(b.reshape(joined, (2, 5, 3, 2, 4)), (2, 0, 3, 1, 4))
        return [b.slice(parts, (index, 0, 0, 0, 0), (index + 1, *[2**48] * 4)) for index in range(3)]

    ctx = context()
    counts = moved(module_of(ctx, [((2, 5, 8), f32)], build), ctx, [normal(RNG, 2, 5, 8)])
    assert (counts["dot_general"], counts["slice"]) == (3, 0)


@pytest.mark.parametrize("also", ["whole", "overlapping", "across"])
def test_a_product_that_is_needed_otherwise_is_computed_once(also: str) -> None:
    def build(b, x):
        product = b.dot_general(x, normal(RNG, 8, 6), (1,), (0,))
        other = {
            "whole": lambda: product,
            "overlapping": lambda: b.slice(product, (0, 0), (5, 6)),
            "across": lambda: b.slice(product, (1, 0), (3, 6)),
        }[also]()
        return [b.slice(product, (0, 0), (5, 3)), b.negate(other)]

    ctx = context()
    counts = moved(module_of(ctx, [((5, 8), f32)], build), ctx, [normal(RNG, 5, 8)])
    assert counts["dot_general"] == 1


def test_a_transpose_between_reshapes() -> None:
    def build(b, x):
        return [b.reshape(b.transpose(b.reshape(x, (-1, 5, 6)), (0, 2, 1)), (2, 3, 6, 5))]

    ctx = context()
    counts = moved(module_of(ctx, [((2, 3, 5, 6), f32)], build), ctx, [normal(RNG, 2, 3, 5, 6)])
    assert (counts["reshape"], counts["transpose"]) == (0, 1)


def test_a_split_of_the_summed_axis_stays() -> None:
    def build(b, x):
        product = b.dot_general(b.reshape(x, (5, 2, 4)), normal(RNG, 2, 4, 3), (1, 2), (0, 1))
        return [b.reshape(product, (15,))]

    ctx = context()
    assert moved(module_of(ctx, [((5, 8), f32)], build), ctx, [normal(RNG, 5, 8)])["reshape"] == 2


sizes = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4)


@given(sizes, st.data())
@settings(max_examples=200, deadline=None)
def test_axis_groups_cover_both_shapes_in_order(source: list[int], data: st.DataObject) -> None:
    total = int(np.prod(source))
    target: list[int] = []
    rest = total
    while rest > 1 or not target:
        target.append(data.draw(st.sampled_from([size for size in range(1, rest + 1) if rest % size == 0])))
        rest //= target[-1]
        if len(target) > 5:
            target.append(rest)
            break
    groups = axis_groups(tuple(source), tuple(target))
    if groups is None:
        return
    assert [axis for sources, _ in groups for axis in sources] == list(range(len(source)))
    assert [axis for _, targets in groups for axis in targets] == list(range(len(target)))
    for sources, targets in groups:
        assert product(source[axis] for axis in sources) == product(target[axis] for axis in targets)


def test_axis_groups_of_symbolic_sizes() -> None:
    b, s = symbol("b"), symbol("s")
    assert axis_groups((b, s, 64), (b * s, 64)) == [((0, 1), (0,)), ((2,), (1,))]
    assert axis_groups((b, s, 64), (b, s, 4, 16)) == [((0,), (0,)), ((1,), (1,)), ((2,), (2, 3))]
    assert axis_groups((b, s), (s, b)) is None
