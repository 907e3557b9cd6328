"""Traced functions run beside NumPy."""

from __future__ import annotations

import numpy as np

from lamina import spec, trace
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import parse


def run(function, *arrays, symbolic=False):
    """What a function computes on arrays, traced with static sizes, or with a name for every size other than 1."""
    specs = [
        spec([f"a{i}_{axis}" if symbolic and size != 1 else size for axis, size in enumerate(a.shape)], a.dtype)
        for i, a in enumerate(arrays)
    ]
    traced = trace(function, *specs)
    results = evaluate(traced.module, arrays, traced.resources)
    text = str(traced.module)
    assert str(parse(text)) == text
    return results[0] if len(results) == 1 else results


def same(function, expected, *arrays, exact=True):
    """The traced function computes `expected`, an array or a function of the arrays; sizes static and named."""
    if callable(expected):
        with np.errstate(all="ignore"):
            expected = np.asarray(expected(*arrays))
    for symbolic in (False, True):
        result = run(function, *arrays, symbolic=symbolic)
        assert result.shape == expected.shape
        if exact:
            np.testing.assert_array_equal(result, expected)
        else:
            np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-5)


def rand(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 3, shape).astype(dtype)
