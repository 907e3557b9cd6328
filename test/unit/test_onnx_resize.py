"""Resize and Upsample compiled to machine code, against ONNX Runtime, sizes known and symbolic."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina
from lamina import pipelines
from lamina.diagnostics import LaminaError
from lamina.passes.graph.assign_layouts import assign_layouts
from onnx_testing import imported, main_of, ops_of, runtime

RNG = np.random.default_rng(5)


def model_of(
    shape,
    *,
    scales=None,
    sizes=None,
    roi=None,
    opset: int = 19,
    element_type: int = TensorProto.FLOAT,
    **attributes,
) -> onnx.ModelProto:
    constants = {"roi": roi, "scales": scales, "sizes": sizes}
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.int64 if name == "sizes" else np.float32), name)
        for name, value in constants.items()
        if value is not None
    ]
    names = ["x", *(name if value is not None else "" for name, value in constants.items())]
    if opset < 11:
        names = ["x", "scales"]
    node = helper.make_node("Resize", names if names[-1] else names[:-1], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", element_type, shape)],
        [helper.make_tensor_value_info("y", element_type, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def check(model: onnx.ModelProto, *shapes, dtype=np.float32) -> None:
    executable = lamina.compile(model, cache=False, threads=2)
    for shape in shapes:
        x = (RNG.standard_normal(shape) * 50).astype(dtype)
        (result,), (wanted,) = executable(x), runtime(model, x)
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=2e-4)


MODES = [
    *itertools.product(["nearest"], ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"],
                       ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    *itertools.product(["linear", "cubic"], ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"],
                       ["floor"]),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "coordinates", "rounding"), MODES)
def test_modes(mode: str, coordinates: str, rounding: str):
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = rounding
    check(model_of([1, 2, 5, 7], scales=[1, 1, 2, 2], **attributes), (1, 2, 5, 7))
    check(model_of([2, 1, 6, 5], sizes=[2, 1, 9, 3], **attributes), (2, 1, 6, 5))
    # Symbolic: scaled by an integer, and to a known size.
    check(model_of(["n", 2, "h", "w"], scales=[1, 1, 2, 3], **attributes), (1, 2, 5, 4), (3, 2, 3, 3))
    if mode != "cubic":
        check(model_of(["n", 2, "h", "w"], sizes=[2, 2, 5, 8], **attributes), (2, 2, 5, 4), (2, 2, 9, 3))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialias_and_outside(mode: str):
    check(model_of([1, 2, 17, 9], sizes=[1, 2, 5, 4], mode=mode, antialias=1), (1, 2, 17, 9))
    check(model_of([1, 1, 40, 9], sizes=[1, 1, 3, 12], mode=mode, antialias=1), (1, 1, 40, 9))
    if mode == "cubic":
        check(model_of([1, 2, 7, 5], scales=[1, 1, 2, 2], mode=mode, exclude_outside=1), (1, 2, 7, 5))


def test_crop_and_resize():
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.0}
    roi = [0, 0, 0.2, -0.1, 1, 1, 0.7, 1.3]
    check(model_of([1, 2, 6, 5], sizes=[1, 2, 4, 6], roi=roi, **attributes), (1, 2, 6, 5))


def test_repeated_integers_and_bytes():
    model = model_of([1, 3, 4], scales=[1, 2, 3], element_type=TensorProto.UINT8,
                     coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    executable = lamina.compile(model, cache=False)
    x = RNG.integers(0, 255, (1, 3, 4), np.uint8)
    np.testing.assert_array_equal(executable(x)[0], x.repeat(2, 1).repeat(3, 2))


@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 2, 3, 1), (1, 1, 1, 5)])
@pytest.mark.parametrize("shape", [(1, 3, 33, 17), (2, 4, 1, 40), (1, 5, 6, 64)])
def test_whole_multiples_of_known_sizes_need_no_table(shape: tuple[int, ...], scales: tuple[int, ...]):
    model = model_of(
        list(shape), scales=scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    check(model, shape)
    module, context = imported(model)
    pipelines.run_phases(module, context, to="kernels")
    assert not any(op.name == "graph.gather" for op in module.walk())


def test_the_tenth_operator_set():
    for scales in ([1, 1, 2, 2], [1, 1, 0.5, 0.5]):
        check(model_of([1, 1, 6, 4], scales=scales, opset=10), (1, 1, 6, 4))


def test_transposes_of_convolutions_move_through():
    """A convolution, a resize and a convolution: only the outermost transposes are left."""
    kernel = numpy_helper.from_array(RNG.standard_normal((3, 3, 3, 3)).astype(np.float32), "k")
    scales = numpy_helper.from_array(np.float32([1, 1, 2, 2]), "s")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Resize", ["a", "", "s"], ["b"], mode="linear"),
            helper.make_node("Conv", ["b", "k"], ["y"], pads=[1, 1, 1, 1]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [kernel, scales],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=8)
    module, _ = imported(model)
    assign_layouts(main_of(module))
    names = [name for name in ops_of(module) if name in ("transpose", "convolution", "resize")]
    between = names[names.index("convolution") + 1 : len(names) - names[::-1].index("convolution") - 1]
    assert [name for name in between if name != "transpose"] == ["resize"]
    assert between.count("transpose") <= 1  # the second kernel's
    check(model, (1, 3, 6, 5), (2, 3, 6, 5))


def test_what_cannot_be_resampled_is_refused():
    for arguments in ({"scales": [1, 1, 0.7]}, {"scales": [1, 1, 2], "mode": "linear", "antialias": 1}):
        with pytest.raises(LaminaError, match=r"needs (a )?known size"):
            lamina.compile(model_of([1, 2, "w"], **arguments), cache=False)
