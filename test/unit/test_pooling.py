"""Windows over padded tensors, compiled, beside the definition: what pads is read through, not stored."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f16, f32, f64, i32

import lamina
from graph_models import context, module_of
from lamina.targets.reference.evaluate import evaluate

CASES = [
    ("maximum", (1, 3, 3, 1), (1, 2, 2, 1), (1, 1, 1, 1), (0, 0, 1, 1, 1, 1, 0, 0)),
    ("maximum", (1, 5, 5, 1), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 2, 2, 2, 2, 0, 0)),
    ("minimum", (1, 2, 3, 1), (1, 2, 1, 1), (1, 3, 2, 1), (0, 0, 3, 0, 0, 4, 0, 0)),
    ("add", (1, 3, 3, 1), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 1, 1, 1, 1, 0, 0)),
    ("multiply", (1, 3, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 1, 0, 0, 0, 0, 0)),
    ("add", (1, 1, 1, 5), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 0, 0, 0, 0, 2, 2)),
    ("maximum", (2, 3, 1, 2), (1, 1, 1, 2), (1, 1, 1, 1), (1, 0, 1, 1, 0, 0, 1, 1)),
    ("maximum", (1, 9, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 8, 8, 0, 0, 0, 0)),
]


@pytest.mark.parametrize("element_type", (f32, f64, f16, i32), ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_padded_windows(case, element_type) -> None:
    """Static and unknown sizes; fewer and more columns than a vector has; NaN and infinities; one and two threads."""
    kind, window, strides, dilations, padding = case
    random = np.random.default_rng(3)
    for columns in (3, 40):
        shape = (2, 9, 8, columns)
        x = random.standard_normal(shape) * 4
        dtype = {"f16": np.float16, "f32": np.float32, "f64": np.float64, "i32": np.int32}[str(element_type)]
        x = x.astype(dtype)
        if dtype != np.int32:
            x.flat[[5, 50, 100]] = np.nan, np.inf, -np.inf
        for sizes in (shape, ("n", "h", 8, columns)):
            ctx = context()
            module = module_of(
                ctx,
                [(sizes, element_type)],
                lambda b, x: [b.reduce_window(kind, x, window, strides, dilations, padding)],
            )
            (wanted,) = evaluate(module, [x], ctx.resources)
            executable = lamina.compile(module, cache=False)
            for threads in (1, 2):
                (result,) = executable.call([x], threads=threads)
                tolerance = {"f16": 2e-3, "f32": 1e-5, "f64": 1e-12, "i32": 0}[str(element_type)]
                np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance)
