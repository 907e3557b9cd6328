"""Attention compiled to one kernel, against the op's reference: shapes, masks, layouts, targets, threads, levels."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32, i1

import lamina
from graph_models import module_of
from lamina import api, pipelines
from lamina.targets.cpu.host import host_description
from lamina.targets.reference.evaluate import evaluate
from support.upstream import assert_accepted, is_available

SIZES = st.sampled_from([1, 2, 7, 8, 15, 16, 17, 31, 47, 64, 65, 96, 130])
MASKS = {"none": None, "keys": ("b", 1, 1, "s"), "queries": ("q", "s"), "full": ("b", "h", "q", "s"), "one": (1, 1)}


class Case:
    """An attention of given sizes; symbolic ones are named by the same letters."""

    def __init__(self, sizes, *, tokens_first=(), mask=None, mask_type=f32, causal=None, symbolic=False):
        b, h, k, q, s, d, e = sizes
        self.numbers = {"b": b, "h": h, "q": q, "s": s}
        names = {"b": "b", "h": h, "q": "q", "s": "s"} if symbolic else self.numbers
        shapes = [("b", "h", "q", d), ("b", k, "s", d), ("b", k, "s", e)]
        shapes = [(x[0], x[2], x[1], x[3]) if i in tokens_first else x for i, x in enumerate(shapes)]
        arguments = [([names.get(each, each) for each in shape], f32) for shape in shapes]
        self.shapes = [[self.numbers.get(each, each) for each in shape] for shape in shapes]
        self.mask_type = mask_type
        if mask is not None:
            arguments.append(([names.get(each, each) for each in mask], mask_type))
            self.shapes.append([self.numbers.get(each, each) for each in mask])

        def build(builder, *operands):
            return [builder.attention(*operands, scale=d**-0.5, causal=causal, tokens_first=tokens_first)]

        self.module = module_of(api.make_context(), arguments, build)

    def inputs(self, seed=0):
        rng = np.random.default_rng(seed)
        arrays = [rng.standard_normal(shape).astype(np.float32) for shape in self.shapes]
        if len(arrays) > 3 and self.mask_type == i1:
            arrays[3] = arrays[3] > -1
        return arrays

    def check(self, executable):
        inputs = self.inputs()
        (expected,) = evaluate(self.module, inputs, api.make_context().resources)
        (result,) = executable.call(inputs)
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)
        (serial,) = executable.call(inputs, threads=1)
        assert result.tobytes() == serial.tobytes()


@st.composite
def cases(draw):
    group, heads = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 3))
    sizes = (draw(st.integers(1, 2)), group * heads, heads, *(draw(SIZES) for _ in range(4)))
    return Case(
        sizes,
        tokens_first=draw(st.sampled_from([(), (0, 1, 2, 3), (0, 3), (1, 2)])),
        mask=MASKS[draw(st.sampled_from(list(MASKS)))],
        mask_type=draw(st.sampled_from([f32, i1])),
        causal=draw(st.sampled_from([None, "start", "end"])),
        symbolic=draw(st.booleans()),
    )


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases(), st.sampled_from(["hardware", "hardware", "hardware", "loop", "tensor"]))
def test_random_attentions(case, level):
    case.check(api.executable_for(case.module, level=level, threads=2, cache=False))


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("causal", [None, "end"])
def test_every_vector_width(bits, causal):
    if bits > host_description().vector_bits:
        pytest.skip(f"this machine has no vectors of {bits} bits")
    case = Case((1, 4, 2, 50, 70, 24, 40), mask=("q", "s"), causal=causal, symbolic=True)
    case.check(lamina.compile(case.module, threads=2, cache=False, target={"vector_bits": bits}))


def scheduled(case, **target):
    """The text of a case with its schedules, for a CPU with the given caches."""
    context = api.make_context()
    fields = {"vector_bits": 512, "l1": 2**20, "l2": 2**30} | target
    case.module.attributes["lamina.target"] = replace(host_description(), **fields).attribute()
    pipelines.run_phases(case.module, context, to="tensor")
    return api.module_text(case.module)


@pytest.mark.parametrize(
    ("queries", "first_cache", "causal", "block"),
    [(512, 48, None, 64), (512, 32, None, 32), (512, 48, "start", 32), (197, 48, None, 32), (144, 48, None, 48)],
)
def test_blocks_of_queries_stay_in_the_first_cache_and_leave_little_of_the_last_one_empty(
    queries, first_cache, causal, block
):
    text = scheduled(Case((1, 2, 2, queries, queries, 64, 64), causal=causal), l1=first_cache * 1024)
    assert set(re.findall(r'blocked = "m", block = \{m = (\d+) : i64', text)) == {str(block)}
    assert re.findall(r"block = \{m = \d+ : i64, n = (\d+) : i64", text) == ["64"]


@pytest.mark.parametrize("causal", [None, "end"])
@pytest.mark.parametrize("copied", [False, True])
def test_scattered_keys_and_values_are_copied_where_the_second_cache_does_not_hold_them(copied, causal):
    case = Case((2, 4, 2, 256, 130, 16, 24), tokens_first=(0, 1, 2, 3), causal=causal)
    cache = 2 * 130 * (16 + 24) * 4 - copied
    target = {"l2": cache}
    case.check(lamina.compile(case.module, threads=2, cache=False, target=target))
    assert ("tensor<2x2x130x24xf32>" in scheduled(case, l2=cache)) == copied


def test_few_queries_read_scattered_keys_in_place():
    case = Case((1, 2, 2, 256, 130, 16, 24), tokens_first=(1, 2))
    assert "tensor<1x2x130x24xf32>" not in scheduled(case, l2=1)


def test_long_sequences_take_scratch_from_the_allocator():
    case = Case((1, 2, 2, 130, 700, 16, 16), tokens_first=(0, 1, 2, 3), causal="end", symbolic=True)
    case.check(lamina.compile(case.module, threads=2, cache=False))


@pytest.mark.parametrize("far", [-79.0, -81.0, -88.0, -103.0, -1e4, -np.inf])
def test_scores_far_below_the_largest(far):
    """Weights there may be 0 and may be computed: neither is seen in the sum."""
    case = Case((1, 2, 2, 64, 130, 16, 24), mask=("b", 1, 1, "s"))
    inputs = case.inputs()
    inputs[3][:] = np.where(np.arange(130) < 100, 0, far)
    (expected,) = evaluate(case.module, inputs, api.make_context().resources)
    (result,) = lamina.compile(case.module, cache=False).call(inputs)
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)


def test_queries_without_keys_are_nan():
    case = Case((1, 1, 1, 20, 10, 8, 8), causal="end")
    (result,) = lamina.compile(case.module, cache=False).call(case.inputs())
    assert np.isnan(result[0, 0, :, 0]).tolist() == [True] * 10 + [False] * 10


def test_nan_and_infinite_scores_stay_in_their_row():
    case = Case((1, 1, 1, 16, 16, 8, 8))
    inputs = case.inputs()
    inputs[0][0, 0, 3, 0], inputs[0][0, 0, 5] = np.nan, np.inf
    (result,) = lamina.compile(case.module, cache=False).call(inputs)
    assert np.isnan(result[0, 0]).all(axis=1).nonzero()[0].tolist() == [3, 5]
    assert np.isfinite(np.delete(result[0, 0], [3, 5], axis=0)).all()


@pytest.mark.skipif(not is_available(), reason="needs MLIR's tools")
@pytest.mark.parametrize("symbolic", [False, True])
def test_one_kernel_that_mlir_accepts(symbolic):
    case = Case(
        (1, 4, 2, 200, 300, 64, 64), tokens_first=(0, 3), mask=("b", 1, 1, "s"), causal="end", symbolic=symbolic
    )
    context = api.make_context()
    case.module.attributes["lamina.target"] = host_description().attribute()
    pipelines.run_phases(case.module, context, to="tensor")
    assert_accepted(api.module_text(case.module))
    pipelines.run_phases(case.module, context, after="tensor", to="loop")
    assert_accepted(api.module_text(case.module))
    kernels = [op for op in case.module.ops if "lamina.kernel" in op.attributes]
    # With a symbolic number of queries there are those for one query besides.
    assert (len(kernels) > 1) == symbolic
    assert "attention" in {op.sym_name.data for op in kernels}
    assert all(sum(1 for _ in kernel.walk()) <= 400 for kernel in kernels)
