"""sin, cos and tan in f64 as kernels of a device have them, measured on the CPU against 80-bit arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f64

from lamina.passes.hardware import expand_math
from lamina.passes.hardware.wide_trigonometric import LARGEST
from support.native import Native
from test_expand_math import errors, long_double, loop


@long_double
@pytest.mark.parametrize("name", ["cos", "sin", "tan"])
def test_error_is_as_stated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = expand_math.DEVICE_RULES
    monkeypatch.setattr(expand_math, "RULES", {**expand_math.RULES, **rules})
    generator = np.random.default_rng(0)
    spans = [generator.uniform(-span, span, 10_000) for span in (1e-3, 1, 10, 100, 1e4, 1e8, LARGEST)]
    turns = np.arange(-2000, 2000) * (np.pi / 2)
    x = np.concatenate([[0.0, -0.0, np.nan, np.inf, -np.inf], *spans, turns])
    found = np.empty_like(x)
    program = Native(loop(name, "f64"), passes=("expand-math",))
    assert not program.program.externals
    assert program.call(x, found)[0] == 0
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble))
    accuracy = rules[f"math.{name}"].accuracy[f64]
    worst = errors(found, exact, np.float64).max()
    assert worst <= accuracy and worst > 0.4
    beyond = np.array([2 * LARGEST, -1e300])
    program.call(beyond, result := np.empty_like(beyond))
    assert np.isnan(result).all()
