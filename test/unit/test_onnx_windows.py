"""Operators of the ONNX front end that are made of many ops, compiled, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import lamina
from lamina.diagnostics import LaminaError
from onnx_testing import check_against_runtime, imported, normal, run, runtime

RANDOM = np.random.default_rng(7)


def compiled_like_runtime(model: onnx.ModelProto, *inputs: np.ndarray, rtol: float = 2e-5, atol: float = 2e-5) -> None:
    expected = runtime(model, *inputs)
    results = lamina.compile(model, threads=1, cache=False)(*inputs)
    for result, wanted in zip(results, expected, strict=True):
        assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(result, wanted, rtol=rtol, atol=atol)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, np.ndarray],
    outputs: dict[str, int],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 20,
    symbolic: bool = False,
) -> onnx.ModelProto:
    """A model whose results have these element types; `symbolic`: every size of the inputs has a name."""

    def sizes(name: str, array: np.ndarray) -> list[int | str]:
        return [f"{name}_{axis}" if symbolic else size for axis, size in enumerate(array.shape)]

    graph = helper.make_graph(
        nodes,
        "windows",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), sizes(name, array))
            for name, array in inputs.items()
        ],
        [helper.make_tensor_value_info(name, element_type, None) for name, element_type in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


FLOAT, INT64, INT32, UINT8, INT8 = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.INT64,
    onnx.TensorProto.INT32,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT8,
)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(("mode", "aligned"), [("linear", 0), ("linear", 1), ("cubic", 0), ("nearest", 1)])
def test_grid_sample(mode: str, aligned: int, padding: str, symbolic: bool):
    images = normal(2, 3, 5, 7)
    grid = RANDOM.uniform(-1.6, 1.6, (2, 4, 6, 2)).astype(np.float32)
    node = helper.make_node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=padding, align_corners=aligned)
    compiled_like_runtime(model_of([node], {"x": images, "g": grid}, {"y": FLOAT}, symbolic=symbolic), images, grid)


@pytest.mark.parametrize("transformation", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align(mode: str, transformation: str):
    images = normal(2, 3, 12, 10)
    corners = RANDOM.uniform(0, 30, (5, 2))
    regions = np.concatenate([corners, corners + RANDOM.uniform(1, 25, (5, 2))], 1).astype(np.float32)
    batch = np.array([0, 1, 1, 0, 1])
    node = helper.make_node(
        "RoiAlign",
        ["x", "r", "b"],
        ["y"],
        mode=mode,
        coordinate_transformation_mode=transformation,
        output_height=3,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=0.25,
    )
    inputs = {"x": images, "r": regions, "b": batch}
    compiled_like_runtime(model_of([node], inputs, {"y": FLOAT}), images, regions, batch)


def roi_model(regions: int, **attributes) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    inputs = {
        "x": normal(1, 2, 6, 6),
        "r": np.ones((regions, 4), np.float32),
        "b": np.zeros(regions, np.int64),
    }
    node = helper.make_node("RoiAlign", list(inputs), ["y"], sampling_ratio=2, output_height=3, **attributes)
    return model_of([node], inputs, {"y": FLOAT}), inputs


def test_roi_align_of_no_regions():
    model, inputs = roi_model(0)
    (result,) = run(model, *inputs.values())
    assert result.shape == (0, 2, 3, 1)


def test_roi_align_of_unknown_coordinates():
    with pytest.raises(LaminaError, match="found 'half_pixle'"):
        imported(roi_model(1, coordinate_transformation_mode="half_pixle")[0])


def test_a_nan_is_the_maximum_of_its_window():
    """With indices as without; the index is that of the first."""
    images = normal(1, 1, 6, 6)
    images[0, 0, 0, 1] = images[0, 0, 2, 2] = images[0, 0, 3, 3] = images[0, 0, 5, 0] = np.nan
    images[0, 0, :2, 4:] = -np.inf
    how = {"kernel_shape": [2, 2], "strides": [2, 2]}
    both = model_of([helper.make_node("MaxPool", ["x"], ["y", "i"], **how)], {"x": images}, {"y": FLOAT, "i": INT64})
    values = model_of([helper.make_node("MaxPool", ["x"], ["y"], **how)], {"x": images}, {"y": FLOAT})
    blocks = images.reshape(3, 2, 3, 2).swapaxes(1, 2).reshape(3, 3, 4)
    (result, index), (alone,) = run(both, images), run(values, images)
    np.testing.assert_array_equal(result[0, 0], blocks.max(-1))
    np.testing.assert_array_equal(alone, result)
    np.testing.assert_array_equal(images.reshape(-1)[index], result)
    assert index[0, 0, 1, 1] == 14


@pytest.mark.parametrize("pads", [(-2, 3), (2, -1), (-1, -1), (-2, 7), (6, -3)])
def test_wrapping_what_is_cropped(pads: tuple[int, int]):
    x = normal(5)
    node = helper.make_node("Pad", ["x", "p"], ["y"], mode="wrap")
    check_against_runtime(model_of([node], {"x": x}, {"y": FLOAT}, {"p": np.array(pads)}), x)


def test_nothing_left_to_wrap():
    node = helper.make_node("Pad", ["x", "p"], ["y"], mode="wrap")
    with pytest.raises(LaminaError, match="no elements to be padded with"):
        imported(model_of([node], {"x": normal(3)}, {"y": FLOAT}, {"p": np.array([-3, 4])}))


QUANTIZATION_FAULTS = [
    ({"output_dtype": INT8}, (), "output_dtype differs"),
    ({"precision": onnx.TensorProto.FLOAT16}, (), "another precision"),
    ({"block_size": 2, "axis": 1}, (2, 4), "a scale for each 2 of the 6 elements of axis 1, found 4"),
    ({"block_size": 2, "axis": 1}, (2, 2), "a scale for each 2 of the 6 elements of axis 1, found 2"),
]


@pytest.mark.parametrize(("attributes", "shape", "says"), QUANTIZATION_FAULTS)
def test_refused_quantization(attributes: dict[str, int], shape: tuple[int, ...], says: str):
    constants = {"s": np.ones(shape, np.float32), "z": np.zeros(shape, np.uint8)}
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], **attributes)
    with pytest.raises(LaminaError, match=says):
        imported(model_of([node], {"x": normal(2, 6)}, {"y": UINT8}, constants, opset=23))


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("mode", "rounding"), [("foo", "floor"), ("nearest", "foo")])
def test_unknown_ways_of_resizing(mode: str, rounding: str, symbolic: bool):
    nodes, constants = resize_like(mode, "half_pixel", rounding)
    model = model_of(
        nodes, {"x": normal(1, 2, 4, 5), "like": normal(7, 11)}, {"y": FLOAT}, constants, symbolic=symbolic
    )
    with pytest.raises(LaminaError, match=r"mode is .*, found 'foo'"):
        imported(model)


@pytest.mark.parametrize(("inverse", "parts", "says"), [(0, 2, "transforms of real"), (1, 1, "inverse transforms of")])
def test_one_sided_transforms_of_the_wrong_kind(inverse: int, parts: int, says: str):
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], onesided=1, inverse=inverse)
    model = model_of([node], {"x": normal(2, 8, parts)}, {"y": FLOAT}, {"axis": np.array(1)})
    with pytest.raises(LaminaError, match=says):
        imported(model)


@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_max_pool_with_indices_and_back(ceil_mode: int):
    images = normal(2, 3, 9, 8)
    images[0, 0, :4] = -np.inf
    nodes = [
        helper.make_node(
            "MaxPool",
            ["x"],
            ["y", "i"],
            kernel_shape=[3, 2],
            strides=[2, 2],
            pads=[1, 0, 1, 0],
            dilations=[1, 1],
            ceil_mode=ceil_mode,
        )
    ]
    compiled_like_runtime(model_of(nodes, {"x": images}, {"y": FLOAT, "i": INT64}), images)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("element_type", [np.uint8, np.int8])
def test_quantized_layers(element_type: type, symbolic: bool):
    """A convolution and a product between the nodes that quantization tools write: at most one step apart."""
    images = normal(1, 3, 9, 9)
    limits = np.iinfo(element_type)
    constants = {
        "s": np.float32(0.05),
        "z": np.array(3, element_type),
        "w": RANDOM.integers(limits.min, limits.max, (4, 3, 3, 3)).astype(element_type),
        "ws": RANDOM.uniform(0.01, 0.02, 4).astype(np.float32),
        "wz": np.zeros(4, element_type),
        "b": RANDOM.integers(-999, 999, 4).astype(np.int32),
        "ys": np.float32(0.3),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "ys", "z", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("DequantizeLinear", ["c", "ys", "z"], ["y"]),
    ]
    model = model_of(nodes, {"x": images}, {"y": FLOAT}, constants, symbolic=symbolic)
    expected = runtime(model, images)[0]
    (result,) = lamina.compile(model, threads=1, cache=False)(images)
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.3001)
    assert (result == expected).mean() > 0.99


@pytest.mark.parametrize("depth", [40, 700])
def test_integer_products_are_exact(depth: int):
    """Deep ones leave the integers that f32 has."""
    lhs = RANDOM.integers(0, 256, (2, 5, depth)).astype(np.uint8)
    rhs = RANDOM.integers(-128, 128, (depth, 7)).astype(np.int8)
    node = helper.make_node("MatMulInteger", ["a", "b", "az", "bz"], ["y"])
    constants = {"az": np.array(128, np.uint8), "bz": RANDOM.integers(-3, 3, 7).astype(np.int8)}
    compiled_like_runtime(model_of([node], {"a": lhs, "b": rhs}, {"y": INT32}, constants), lhs, rhs, rtol=0, atol=0)


@pytest.mark.parametrize(("length", "onesided"), [(60, 1), (256, 0), (400, 1), (97, 0)])
def test_transforms(length: int, onesided: int):
    signal = normal(2, length, 1)
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], onesided=onesided)
    model = model_of([node], {"x": signal}, {"y": FLOAT}, {"axis": np.array(1)})
    (result,) = lamina.compile(model, threads=1, cache=False)(signal)
    spectrum = np.fft.fft(signal[..., 0].astype(np.float64))[:, : length // 2 + 1 if onesided else length]
    expected = np.stack([spectrum.real, spectrum.imag], -1)
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("symbolic", [False, True])
def test_windowed_transforms(symbolic: bool):
    signal = normal(2, 333)
    node = helper.make_node("STFT", ["x", "step", "window"], ["y"], onesided=1)
    constants = {"step": np.array(10), "window": np.hanning(64).astype(np.float32)}
    model = model_of([node], {"x": signal}, {"y": FLOAT}, constants, symbolic=symbolic)
    compiled_like_runtime(model, signal, rtol=1e-4, atol=1e-4)


def test_batch_statistics():
    """The form in which weights are standardized."""
    weights = normal(1, 4, 18)
    constants = {"s": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4))}
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "rm", "rv"], training_mode=1)
    model = model_of([node], {"x": weights}, {"y": FLOAT, "rm": FLOAT, "rv": FLOAT}, constants)
    compiled_like_runtime(model, weights)


def resize_like(mode: str, coordinates: str, rounding: str) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """An image resized to the size of another, as heads for segmentation are exported."""
    options = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    return [
        helper.make_node("Shape", ["like"], ["size"]),
        helper.make_node("Concat", ["head", "size"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **options),
    ], {"head": np.array([1, 2])}


RESIZES = [
    ("nearest", "asymmetric", "floor"),
    ("nearest", "half_pixel", "round_prefer_floor"),
    ("nearest", "half_pixel", "round_prefer_ceil"),
    ("nearest", "align_corners", "ceil"),
    ("linear", "half_pixel", "floor"),
    ("linear", "pytorch_half_pixel", "floor"),
    ("linear", "align_corners", "floor"),
    ("cubic", "half_pixel", "floor"),
    ("cubic", "asymmetric", "floor"),
]


@pytest.mark.parametrize(("mode", "coordinates", "rounding"), RESIZES)
def test_resize_to_a_symbolic_size(mode: str, coordinates: str, rounding: str):
    nodes, constants = resize_like(mode, coordinates, rounding)
    for size in ((7, 11), (3, 2), (1, 13)):
        images, like = normal(1, 2, 4, 5), normal(*size)
        model = model_of(nodes, {"x": images, "like": like}, {"y": FLOAT}, constants, symbolic=True)
        check_against_runtime(model, images, like, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mode", "coordinates", "rounding"), [RESIZES[1], RESIZES[4]])
def test_resize_to_a_symbolic_size_compiled(mode: str, coordinates: str, rounding: str):
    nodes, constants = resize_like(mode, coordinates, rounding)
    images, like = normal(1, 2, 4, 5), normal(7, 11)
    model = model_of(nodes, {"x": images, "like": like}, {"y": FLOAT}, constants, symbolic=True)
    compiled_like_runtime(model, images, like)
