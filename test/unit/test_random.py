"""lamina.random against jax.random: the kept numbers are of test/support/random_expected.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina.numpy
from lamina import nn, random
from lamina.diagnostics import LaminaError

EXPECTED = json.loads((Path(__file__).parents[1] / "support" / "random_expected.json").read_text())
SEEDS = [int(name) for name in EXPECTED if name != "jax"]


def draw(key: Any) -> dict[str, Any]:
    logits = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    return {
        "split": random.split(key, 3),
        "fold_in": random.fold_in(key, 7),
        "bits": random.bits(key, (3, 5)),
        "uniform": random.uniform(key, (7,)),
        "uniform_range": random.uniform(key, (7,), low=-2.5, high=3.0),
        "normal": random.normal(key, (3, 5)),
        "bernoulli": random.bernoulli(key, 0.3, (9,)),
        "integers": random.integers(key, (9,), -5, 1000),
        "exponential": random.exponential(key, (5,)),
        "gumbel": random.gumbel(key, (5,)),
        "categorical": random.categorical(key, lamina.numpy.asarray(logits)),
    }


COMPILED = lamina.jit(draw)
ROUNDED = {"normal": 1e-7, "exponential": 1e-7, "gumbel": 1e-7, "uniform_range": 3e-7}
"""Where JAX rounds otherwise (other polynomials, fused multiply-add): the absolute error, some units in the last place
of what is added up."""


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_are_jax_numbers(seed: int) -> None:
    for name, found in COMPILED(random.key(seed)).items():
        kept = EXPECTED[str(seed)][name]
        if found.dtype.kind != "f":
            assert found.ravel().tolist() == kept, name
            continue
        expected = np.array([float.fromhex(each) for each in kept], np.float32).reshape(found.shape)
        if name in ROUNDED:
            np.testing.assert_allclose(found, expected, rtol=2e-6, atol=ROUNDED[name], err_msg=name)
        else:
            np.testing.assert_array_equal(found, expected, name)


def test_the_references_give_the_same() -> None:
    key = random.key(42)
    traced = lamina.trace(lambda key: random.bits(key, (4, 3)), key)
    (found,) = lamina.executable_for(traced, level="graph")(key)
    np.testing.assert_array_equal(found, random.bits(key, (4, 3)))


def test_outside_of_traces() -> None:
    key = random.key(3)
    first, second = random.split(key)
    assert first.dtype == np.uint32 and (first != second).any()
    np.testing.assert_array_equal(random.uniform(first, (2, 3)), random.uniform(first, [2, 3]))
    assert (random.uniform(first, (2, 3)) != random.uniform(second, (2, 3))).all()


def test_distributions() -> None:
    key = random.key(5)
    numbers = random.normal(key, (200, 500))
    assert abs(numbers.mean()) < 0.02 and abs(numbers.std() - 1) < 0.02 and abs((numbers**4).mean() - 3) < 0.1
    half = random.uniform(key, (1000,), "float16")
    assert half.dtype == np.float16 and half.min() >= 0 and half.max() < 1 and abs(half.mean() - 0.5) < 0.05
    hits = random.categorical(key, np.broadcast_to(np.log(np.array([0.1, 0.6, 0.3], np.float32)), (20000, 3)))
    np.testing.assert_allclose(np.bincount(hits) / 20000, [0.1, 0.6, 0.3], atol=0.02)


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_permutations(count: int) -> None:
    found = random.permutation(random.key(1), count)
    assert sorted(found.tolist()) == list(range(count))
    if count > 5:
        assert found.tolist() != list(range(count))
        assert found.tolist() != random.permutation(random.key(2), count).tolist()


def test_results_do_not_depend_on_threads() -> None:
    key = random.key(9)
    one, two = (lamina.jit(lambda key: random.normal(key, (300, 70)), threads=count)(key) for count in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_dropout_is_differentiable() -> None:
    key = random.key(0)

    def loss(x: Any, key: Any) -> Any:
        with nn.training(key):
            return (nn.Dropout(0.5)(x) * x).sum()

    x = np.arange(1, 41, dtype=np.float32)
    gradient = lamina.grad(loss)(x, key)
    assert set(np.unique(gradient / x)) == {0.0, 4.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random.key(-1), "expected a seed within"),
        (lambda: random.key(1.5), "random.key: expected an integer, found 1.5"),  # pyright: ignore[reportArgumentType]
        (
            lambda: lamina.trace(lambda: random.fold_in(random.key(0), -1)),
            "expected a number within [0, 2**32), found -1",
        ),
        (lambda: random.fold_in(random.key(0), 1.5), "expected an integer scalar, found float32[]"),
        (lambda: random.fold_in(random.key(0), np.arange(3)), "expected an integer scalar, found int64[3]"),
        (lambda: random.bits(np.zeros(3, np.uint32)), "expected a key, uint32[2], found uint32[3]"),
        (lambda: random.bits(np.zeros(2, np.int64)), "expected a key"),
        (lambda: random.uniform(random.key(0), (2,), "int32"), "expected float32 or float16"),
        (lambda: random.integers(random.key(0), (2,), 3, 3), "expected -2**31 <= low < high"),
        (lambda: random.permutation(random.key(0), 1 << 20), "at most 16384"),
        (lambda: random.dropout(random.key(0), np.ones(3, np.float32), 1.0), "expected a rate within"),
    ],
)
def test_wrong_use(call: Any, message: str) -> None:
    with pytest.raises(LaminaError) as raised:
        call()
    assert message in str(raised.value)
