"""Where buffers lie in the arena: apart while they live, for every size, and close to the largest live set."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.dialects.graph.dims import evaluate, parse_dim
from lamina.passes.loop.arena import Lifetime, aligned, largest_live_set, stack

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
