"""Products of operands that are packed at run time, against NumPy in f64."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, f64

import lamina
from graph_models import module_of
from lamina import api


@pytest.mark.parametrize("element_type", [f32, f64])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(256, 521, 300), (301, 300, 449), (257, 700, 1001)])
def test_large_operands(rows, depth, columns, element_type):
    """Two products share one; rows, columns and depth are multiples of nothing."""
    context = api.make_context()
    shapes = [(rows, depth), (rows, depth), (depth, columns)]

    def build(builder, x, z, w):
        return [builder.dot_general(each, w, (1,), (0,)) for each in (x, z)]

    module = module_of(context, [(shape, element_type) for shape in shapes], build)
    kernels: list[str] = []
    executable = lamina.compile(
        module,
        context=context,
        cache=False,
        observer=lambda report, text: kernels.append(str(text)) if report.phase == "graph" else None,
    )
    random = np.random.default_rng(rows)
    dtype = np.float32 if element_type == f32 else np.float64
    x, z, w = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    assert kernels[0].count("graph.pack ") == 1
    bound = 8 * np.finfo(dtype).eps * np.sqrt(depth)
    for threads in (1, 2):
        for left, product in zip((x, z), executable.call([x, z, w], threads=threads), strict=True):
            expected = left.astype(np.float64) @ w.astype(np.float64)
            assert np.abs(product - expected).max() <= bound * np.abs(expected).max()
