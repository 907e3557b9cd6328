"""`split-transposed-convolutions` beside the definition of the op, in every order of axes; and the whole way natively."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import f32

import lamina
from graph_models import context, module_of
from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp, axis_properties
from lamina.passes.graph.infer_types import InferTypesPass
from lamina.passes.graph.split_transposed_convolutions import SplitTransposedConvolutionsPass, dilated_axis
from lamina.targets.reference.evaluate import evaluate
from onnx_testing import runtime


@pytest.mark.parametrize("seed", range(60))
def test_random_convolutions(seed: int) -> None:
    """Dilations, kernels, paddings, groups and orders of axes; sizes known and unknown."""
    random = np.random.default_rng(seed)
    rank = int(random.integers(1, 3))
    groups = int(random.choice((1, 1, 2)))
    orders = [
        AxisOrder(order[0], order[1], tuple(order[2:]))
        for order in (random.permutation(rank + 2).tolist() for _ in range(3))
    ]
    dilation = [int(random.integers(1, 4)) for _ in range(rank)]
    window = [int(random.integers(1, 6)) for _ in range(rank)]
    padding = [int(n) for n in random.integers(0, 5, 2 * rank)]
    spatial = [int(random.integers(2, 6)) + size for size in window]
    lhs, rhs = [0] * (rank + 2), [0] * (rank + 2)
    for shape, order, sizes in ((lhs, orders[0], (2, 4, *spatial)), (rhs, orders[1], (6, 4 // groups, *window))):
        for axis, size in zip(order.permutation, sizes, strict=True):
            shape[axis] = size
    properties = {
        "window_strides": [1] * rank, "padding": padding, "lhs_dilation": dilation, "rhs_dilation": [1] * rank,
        "feature_group_count": groups, **axis_properties(*orders),
    }  # fmt: skip
    operands = [random.standard_normal(shape).astype(np.float32) for shape in (lhs, rhs)]
    named = [f"size{axis}" if random.random() < 0.5 and axis != orders[0].second else n for axis, n in enumerate(lhs)]
    for axes in (lhs, named):
        ctx = context()
        module = module_of(
            ctx,
            [(axes, f32), (rhs, f32)],
            lambda b, x, w: [b.create(ConvolutionOp, (x, w), **properties)],
        )
        (wanted,) = evaluate(module, operands)
        InferTypesPass().apply(ctx, module)
        SplitTransposedConvolutionsPass().apply(ctx, module)
        InferTypesPass().apply(ctx, module)
        module.verify()
        (result,) = evaluate(module, operands, ctx.resources)
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


def test_every_axis() -> None:
    """The phases of an axis against counting: which input meets which element of the kernel at which output."""
    for step, window, low, high in np.ndindex(4, 6, 5, 5):
        step, window = step + 2, window + 1
        axis = dilated_axis(step, window, low, high)
        size = 7
        outputs = step * (size - 1) + 1 + low + high - window + 1
        wanted = {
            (o, i, t) for o in range(outputs) for t in range(window) for i in range(size) if o + t - low == step * i
        }
        meets = {(t + o - low) % step == 0 for o in range(step) for t in range(window)}
        positions = {o % step for o in range(step) for t in range(window) if (o + t - low) % step == 0}
        assert True in meets
        if axis is None:
            assert 1 < len(positions) < step
            continue
        found = set()
        for phase, position in zip(axis.phases, sorted(positions), strict=True):
            count = size + phase.low + phase.high - phase.taps + 1
            found |= {
                (step * q + position, i, phase.start + step * tap)
                for q in range(count)
                for tap in range(phase.taps)
                if 0 <= (i := q + tap - phase.low) < size
            }
            if axis.only is None:
                assert step * count - axis.rest == outputs
            else:
                assert step * (count - 1) + 1 + axis.only + axis.rest == outputs
        assert {one for one in found if one[0] < outputs} == wanted


CASES = [
    {"kernel": (2, 2), "strides": (2, 2)},
    {"kernel": (3, 3), "strides": (3, 3)},
    {"kernel": (2, 3), "strides": (2, 3), "output_padding": (1, 2)},
    {"kernel": (4, 4), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "output_padding": (1, 1)},
    {"kernel": (4, 5), "strides": (3, 2), "pads": (1, 0, 2, 1)},
    {"kernel": (1, 1), "strides": (2, 2)},
    {"kernel": (1, 3), "strides": (2, 1), "output_padding": (1, 0), "pads": (0, 1, 0, 1)},
    {"kernel": (2, 2), "strides": (3, 3)},
    {"kernel": (4, 4), "strides": (2, 2), "pads": (1, 1, 1, 1), "group": 4},
]


@pytest.mark.parametrize("symbolic", (False, True))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_like_onnx_runtime(case: dict, symbolic: bool) -> None:
    """With a bias and an activation behind it, on one and two threads; the input is as the phases read it."""
    random = np.random.default_rng(5)
    attributes = dict(case)
    kernel = attributes.pop("kernel")
    inputs, outputs = 20, 36
    weights = random.standard_normal((inputs, outputs // attributes.get("group", 1), *kernel)).astype(np.float32)
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["c"], **attributes),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    sizes = ["h", "w"] if symbolic else [5, 9]
    graph = helper.make_graph(
        nodes,
        "transposed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n" if symbolic else 2, inputs, *sizes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(random.standard_normal(outputs).astype(np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    executable = lamina.compile(model, cache=False)
    for shape in ((2, inputs, 5, 9), *(((1, inputs, 16, 3), (3, inputs, 1, 1)) if symbolic else ())):
        x = random.standard_normal(shape).astype(np.float32)
        (wanted,) = runtime(model, x)
        for threads in (1, 2):
            (result,) = executable.call([x], threads=threads)
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)
