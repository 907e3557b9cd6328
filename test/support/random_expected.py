"""Writes random_expected.json: numbers of jax.random (threefry2x32), for test_random.py. Run where JAX is installed."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np

SEEDS = (0, 42, (1 << 32) - 1)


def main() -> None:
    expected: dict[str, object] = {"jax": jax.__version__}
    for seed in SEEDS:
        key = jax.random.PRNGKey(seed)
        logits = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
        values = {
            "split": jax.random.split(key, 3),
            "fold_in": jax.random.fold_in(key, 7),
            "bits": jax.random.bits(key, (3, 5)),
            "uniform": jax.random.uniform(key, (7,)),
            "uniform_range": jax.random.uniform(key, (7,), minval=-2.5, maxval=3.0),
            "normal": jax.random.normal(key, (3, 5)),
            "bernoulli": jax.random.bernoulli(key, 0.3, (9,)),
            "integers": jax.random.randint(key, (9,), -5, 1000),
            "exponential": jax.random.exponential(key, (5,)),
            "gumbel": jax.random.gumbel(key, (5,), mode="low"),
            "categorical": jax.random.categorical(key, logits, axis=-1, mode="low"),
        }
        expected[str(seed)] = {
            name: [float(x).hex() if np.asarray(value).dtype.kind == "f" else int(x) for x in np.ravel(value)]
            for name, value in values.items()
        }
    Path(__file__).with_suffix(".json").write_text(json.dumps(expected, indent=1) + "\n")


main()
