"""`lamina.nn`: layers compute what ONNX Runtime computes; modules are trees; files with every problem in one error."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import helper

import lamina
from lamina import LaminaError, nn, ops, safetensors, spec, trace, trees
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import outcome
from support.onnx_nodes import run_node
from support.oracles import onnxruntime_outputs


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def check(function, expected, *arrays, rtol=1e-5, atol=1e-5):
    """At the graph level with static and named sizes, and native."""
    traced = trace(function, *arrays)
    (result,) = evaluate(traced.module, arrays, traced.resources)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)
    batched = trace(function, *(spec(("batch", *array.shape[1:]), array.dtype) for array in arrays))
    (result,) = lamina.compile(batched)(*arrays)
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)


CONVOLUTIONS = [
    (nn.Conv1d, (2, 4, 11), {}),
    (nn.Conv1d, (2, 4, 11), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
    (nn.Conv2d, (2, 4, 9, 7), {"padding": (1, 2), "bias": False}),
    (nn.Conv2d, (1, 4, 9, 7), {"stride": (2, 1), "groups": 4}),
    (nn.Conv2d, (1, 4, 9, 7), {"padding": "same"}),
    (nn.Conv3d, (1, 4, 5, 4, 6), {"stride": 2, "padding": 1}),
]


@pytest.mark.parametrize(("layer", "shape", "options"), CONVOLUTIONS)
def test_convolutions(layer, shape, options):
    module = nn.initialize(layer(4, 8, 3, **options), 0)
    count = len(shape) - 2
    padding = options.get("padding", 0)
    sides = [1] * count if padding == "same" else [padding] * count if isinstance(padding, int) else list(padding)
    stride = options.get("stride", 1)
    expected = run_node(
        "Conv",
        [normal(*shape), module.weight, *([module.bias] if module.bias is not None else [])],
        11,
        pads=[*sides, *sides],
        strides=[stride] * count if isinstance(stride, int) else list(stride),
        dilations=[options.get("dilation", 1)] * count,
        group=options.get("groups", 1),
    )
    check(module, expected, normal(*shape))


TRANSPOSED = [
    (nn.ConvTranspose1d, (2, 4, 7), {}),
    (nn.ConvTranspose1d, (2, 4, 7), {"stride": 3, "padding": 2, "output_padding": 2}),
    (nn.ConvTranspose2d, (2, 4, 5, 6), {"stride": 2}),
    (nn.ConvTranspose2d, (1, 4, 5, 6), {"stride": (2, 1), "padding": 1, "groups": 2, "bias": False}),
    (nn.ConvTranspose2d, (1, 4, 5, 6), {"dilation": 2, "groups": 4, "padding": (3, 1)}),
    (nn.ConvTranspose3d, (1, 4, 3, 2, 4), {"stride": 2, "output_padding": 1}),
]


@pytest.mark.parametrize("as_argument", [False, True])
@pytest.mark.parametrize(("layer", "shape", "options"), TRANSPOSED)
def test_transposed_convolutions(layer, shape, options, as_argument):
    module = nn.initialize(layer(4, 8, 3, **options), 0)
    count = len(shape) - 2

    def each(name, default):
        value = options.get(name, default)
        return [value] * count if isinstance(value, int) else list(value)

    x = normal(*shape)
    expected = run_node(
        "ConvTranspose",
        [x, module.weight, *([module.bias] if module.bias is not None else [])],
        11,
        pads=2 * each("padding", 0),
        strides=each("stride", 1),
        dilations=each("dilation", 1),
        output_padding=each("output_padding", 0),
        group=options.get("groups", 1),
    )
    if not as_argument:
        check(module, expected, x)
        return
    traced = trace(lambda module, x: module(x), module, x)
    leaves = trees.flatten(module)[0]
    (result,) = evaluate(traced.module, [*leaves, x], traced.resources)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def varied(module: nn.Module, seed: int = 1) -> nn.Module:
    """The module with positive random values for everything."""
    generator = np.random.default_rng(seed)
    return trees.map_leaves(lambda leaf: generator.uniform(0.5, 2, leaf.shape).astype(leaf.dtype), module)


def test_normalizations():
    x = normal(2, 6, 5, 4)
    batch, layer, wide = varied(nn.BatchNorm(6)), varied(nn.LayerNorm(4)), varied(nn.LayerNorm((5, 4), 1e-3))
    statistics = [batch.weight, batch.bias, batch.running_mean, batch.running_var]
    check(batch, run_node("BatchNormalization", [x, *statistics], 15), x)
    check(layer, run_node("LayerNormalization", [x, layer.weight, layer.bias], 17, axis=-1), x)
    expected = run_node("LayerNormalization", [x, wide.weight, wide.bias], 17, axis=-2, epsilon=1e-3)
    check(wide, expected, x)
    plain = varied(nn.LayerNorm(4, bias=False))
    check(plain, run_node("LayerNormalization", [x, plain.weight], 17, axis=-1), x)
    rms, group = varied(nn.RMSNorm(4)), varied(nn.GroupNorm(3, 6))
    check(rms, run_node("RMSNormalization", [x, rms.weight], 23, axis=-1, epsilon=1e-6), x)
    check(group, run_node("GroupNormalization", [x, group.weight, group.bias], 21, num_groups=3), x)


def test_batch_norm_in_training():
    x = normal(3, 4, 5, 2) * 3 + 1
    module = varied(nn.BatchNorm(4, momentum=0.3))

    def step(module, x):
        with nn.training():
            y = module(x)
        assert not nn.is_training()
        return y, module

    y, updated = lamina.compile(trace(step, module, x))(module, x)
    wide = x.astype(np.float64)
    mean, variance = wide.mean((0, 2, 3)), wide.var((0, 2, 3))
    shape = (1, 4, 1, 1)
    expected = (wide - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-5)
    expected = expected * module.weight.reshape(shape) + module.bias.reshape(shape)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(updated.running_mean, 0.7 * module.running_mean + 0.3 * mean, rtol=1e-5)
    unbiased = wide.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(updated.running_var, 0.7 * module.running_var + 0.3 * unbiased, rtol=1e-5)
    np.testing.assert_array_equal(updated.weight, module.weight)
    assert isinstance(updated, nn.BatchNorm) and updated.momentum == 0.3

    def baked(x):
        with nn.training():
            return module(x)

    assert "BatchNorm updates its statistics in training" in outcome(trace, baked, x)


def test_pooling_and_upsampling():
    x = normal(2, 3, 8, 6)
    check(nn.MaxPool(3, 2, 1), run_node("MaxPool", [x], 12, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), x)
    expected = run_node("AveragePool", [x], 11, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1)
    check(nn.AvgPool(3, 2, 1), expected, x)
    empty = np.zeros(0, np.float32)
    for mode, options in (
        ("nearest", {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        ("linear", {"mode": "linear"}),
        ("cubic", {"mode": "cubic", "cubic_coeff_a": -0.75}),
    ):
        scales = np.array([1, 1, 2, 1.5], np.float32)
        check(nn.Upsample(scale=(2, 1.5), mode=mode), run_node("Resize", [x, empty, scales], 13, **options), x)
    scales = np.array([1, 1, 0.625, 1.5], np.float32)
    corners = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    expected = run_node("Resize", [x, empty, scales], 13, **corners)
    check(nn.Upsample((5, 9), mode="linear", align_corners=True), expected, x)


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def turned(x, start, base):
    """Rotary positions as complex numbers: element i and i + size/2 are one number."""
    length, size = x.shape[-2:]
    angles = (start + np.arange(length))[:, None] * base ** (-np.arange(0, size, 2) / size)
    numbers = (x[..., : size // 2] + 1j * x[..., size // 2 :]) * np.exp(1j * angles)
    return np.concatenate([numbers.real, numbers.imag], -1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rotary", [None, 100.0])
@pytest.mark.parametrize("key_value_heads", [6, 3, 1])
def test_multi_head_attention(causal, rotary, key_value_heads):
    module = nn.initialize(nn.MultiHeadAttention(24, 6, key_value_heads, causal=causal, rotary=rotary), 0)
    x = normal(2, 5, 24)
    wide = x.astype(np.float64)

    def heads(layer, count):
        return (wide @ layer.weight.T + layer.bias).reshape(2, 5, count, 4).swapaxes(1, 2)

    query, key, value = heads(module.query, 6), heads(module.key, key_value_heads), heads(module.value, key_value_heads)
    if rotary:
        query, key = turned(query, 0, rotary), turned(key, 0, rotary)
    key, value = (np.repeat(each, 6 // key_value_heads, 1) for each in (key, value))
    scores = query @ key.swapaxes(2, 3) / 2
    if causal:
        scores = np.where(np.tri(5, dtype=bool), scores, -np.inf)
    expected = (softmax(scores) @ value).swapaxes(1, 2).reshape(2, 5, 24) @ module.output.weight.T + module.output.bias
    check(module, expected, x)


def test_attention_masks():
    query, key, value = normal(2, 2, 3, 4), normal(2, 2, 5, 4, seed=1), normal(2, 2, 5, 6, seed=2)
    scores = query @ key.swapaxes(2, 3) * 0.25
    mask = np.random.default_rng(0).random((2, 1, 3, 5)) < 0.7
    mask[..., 0] = True
    expected = softmax(np.where(mask, scores, -np.inf)) @ value
    check(lambda q, k, v, m: ops.attention(q, k, v, mask=m, scale=0.25), expected, query, key, value, mask)
    bias = normal(2, 2, 3, 5, seed=3)
    check(
        lambda q, k, v, m: ops.attention(q, k, v, mask=m, scale=0.25), softmax(scores + bias) @ value,
        query, key, value, bias,
    )  # fmt: skip
    # The last query sees all keys.
    seen = np.arange(5) <= np.arange(3)[:, None] + 2
    expected = softmax(np.where(seen, scores, -np.inf)) @ value
    check(lambda q, k, v: ops.attention(q, k, v, causal=True, scale=0.25), expected, query, key, value)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("length", [0, 1, 6])
def test_recurrent_layers(kind, bidirectional, length):
    module = nn.initialize(getattr(nn, kind)(3, 5, bidirectional=bidirectional), 0)
    directions = 1 + bidirectional
    x, order = normal(2, length, 3), {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}[kind]

    def tensor(name):
        parts = [getattr(module, f"{name}_l0{suffix}") for suffix in ("", "_reverse")[:directions]]
        blocks = [np.split(part, len(order)) for part in parts]
        return np.stack([np.concatenate([block[i] for i in order]) for block in blocks])

    state = [normal(directions, 2, 5, seed=seed) for seed in (4, 5)][: 2 if kind == "LSTM" else 1]
    traced = trace(
        module, spec((2, "n", 3)), tuple(map(lamina.spec, [s.shape for s in state])) if kind == "LSTM" else state[0]
    )
    executable = lamina.compile(traced)
    outputs, last = executable(x, tuple(state) if kind == "LSTM" else state[0])
    if length == 0:
        assert outputs.shape == (2, 0, 5 * directions)
        np.testing.assert_array_equal(last[0] if kind == "LSTM" else last, state[0])
        return
    bias = np.concatenate([tensor("bias_ih"), tensor("bias_hh")], 1)
    weights = {"W": tensor("weight_ih"), "R": tensor("weight_hh"), "B": bias, "h": state[0]}
    names = ["x", "W", "R", "B", "", "h"]
    if kind == "LSTM":
        weights["c"] = state[1]
        names.append("c")
    attributes = {} if kind == "LSTM" else {"linear_before_reset": 1}
    direction = "bidirectional" if bidirectional else "forward"
    results = ["y", "yh", "yc"][: 1 + len(state)]
    node = helper.make_node(kind, names, results, hidden_size=5, direction=direction, **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", 1, [length, 2, 3])],
        [helper.make_tensor_value_info(name, 1, None) for name in results],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    y, *hidden = onnxruntime_outputs(model, {"x": np.ascontiguousarray(x.swapaxes(0, 1))})
    expected = y.transpose(2, 0, 1, 3).reshape(2, length, 5 * directions)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(last if kind == "LSTM" else [last], hidden, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_linear_and_embedding():
    linear, table = nn.initialize(nn.Linear(4, 3), 0), nn.initialize(nn.Embedding(7, 4), 0)
    x = normal(2, 5, 4)
    check(linear, x @ linear.weight.T + linear.bias, x)
    check(nn.Sequential(linear, ops.relu, nn.Dropout(0.5)), np.maximum(x @ linear.weight.T + linear.bias, 0), x)
    indices = np.array([[0, 6], [-1, 3]])
    check(table, table.weight[indices], indices)
    check(table.attend, x @ table.weight.T, x)


# Modules as trees


class Block(nn.Module):
    def __init__(self, width: int):
        self.norm = nn.BatchNorm(width)
        self.branches = [nn.Linear(width, width), {"deep": nn.Sequential(nn.Linear(width, 2), ops.relu)}]
        self.scale = nn.parameter((width,))
        self.width = width
        self.pool = nn.MaxPool(2)
        self.nothing = None
        self.sizes = [1, 2]


def test_modules_are_trees():
    module = Block(3)
    paths = [
        "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "branches.0.weight", "branches.0.bias",
        "branches.1.deep.0.weight", "branches.1.deep.0.bias", "scale",
    ]  # fmt: skip
    assert list(nn.named_parameters(module)) == paths
    assert nn.count_parameters(module) == 4 * 3 + 9 + 3 + 6 + 2 + 3
    filled = nn.initialize(module, 3)
    assert trees.structure(filled) == trees.structure(module) == trees.structure(Block(3))
    assert all(isinstance(leaf, nn.Parameter) for leaf in nn.named_parameters(module).values())
    assert filled.width == 3 and filled.nothing is None and filled.sizes == [1, 2] and filled.pool is not None
    sizes = trees.map_leaves(lambda leaf: leaf.size, filled)
    assert list(nn.named_parameters(sizes).values()) == [leaf.size for leaf in nn.named_parameters(filled).values()]
    other = Block(3)
    other.norm.epsilon = 1.0
    with pytest.raises(LaminaError, match=r"expected a BatchNorm at 'norm' with {'epsilon': 1e-05"):
        trees.check_same_structure(module, other, "x")
    assert trees.structure(Block(3)) != trees.structure(nn.Linear(3, 3))
    assert repr(nn.initialize(nn.Linear(2, 3), 0)) == "Linear(weight=float32[3, 2], bias=float32[3])"
    assert "branches=[\n    Linear(weight=float32[3, 3], bias=float32[3])," in repr(module)


def test_initial_values_depend_on_seed_and_path():
    first, second, other = (nn.named_parameters(nn.initialize(Block(3), seed)) for seed in (0, 0, 1))
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path])
        assert value.dtype == np.float32
    assert (first["scale"] != other["scale"]).all() and first["norm.weight"].tolist() == [1, 1, 1]
    assert not np.array_equal(first["branches.0.bias"], first["scale"])
    weight = nn.initialize(nn.Linear(100, 500), 0).weight
    assert 0.09 < np.abs(weight).max() <= 0.1 and abs(weight.std() - 0.1 / np.sqrt(3)) < 1e-3


def test_split_and_merge():
    module = nn.initialize(Block(3), 0)
    parameters, buffers = nn.split(module)
    assert set(nn.named_parameters(buffers)) == {"norm.running_mean", "norm.running_var"}
    assert len(nn.named_parameters(parameters)) == 7 and parameters.norm.running_mean is None
    merged = nn.merge(parameters, buffers)
    assert trees.structure(merged) == trees.structure(module)
    assert all(a is b for a, b in zip(trees.flatten(merged)[0], trees.flatten(module)[0], strict=True))
    assert "merge: both trees have 'norm.weight'" in outcome(nn.merge, module, module)
    assert "merge: expected" in outcome(nn.merge, parameters, nn.split(nn.Linear(2, 2))[1])


def test_dtypes():
    module = nn.cast(nn.Linear(2, 3), "bf16")
    assert {leaf.dtype.name for leaf in trees.flatten(module)[0]} == {"bfloat16"}
    filled = nn.initialize(module, 0)
    assert filled.weight.dtype.name == "bfloat16"
    assert nn.cast(filled, "f64").weight.dtype == np.float64
    assert nn.Linear(2, 3, dtype="f16").weight.dtype == np.float16
    assert "expected one dtype, found bfloat16 and float32" in outcome(trace, filled, spec((1, 2)))


def test_parameters_without_values_are_refused():
    message = outcome(trace, nn.Linear(2, 3), spec((1, 2)))
    assert "parameter 'weight' has no value, nor have 1 more" in message and "nn.initialize(module, seed)" in message
    assert "a parameter of float32[3, 2] has no value" in outcome(trace, lambda x: nn.Linear(2, 3)(x), spec((1, 2)))
    traced = trace(lambda module, x: module(x), nn.Linear(2, 3), spec((1, 2)))
    assert [str(info.name) for info in lamina.compile(traced).inputs] == ["module.weight", "module.bias", "x"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "divides 6 and 4 features, found 4"),
        (lambda: nn.Conv2d(4, 6, (3, 3, 3)), "expected one number or 2"),
        (lambda: nn.GroupNorm(4, 6), "divides 6, found 4"),
        (lambda: nn.MultiHeadAttention(10, 3), "number of heads that divides 10, found 3"),
        (lambda: nn.MultiHeadAttention(12, 4, 3), "key_value_heads that divides 4, found 3"),
        (lambda: nn.Dropout(1.5), "within [0, 1), found 1.5"),
        (lambda: nn.Module()(1), "Module does not define __call__"),
    ],
)
def test_bad_layers(make, message):
    assert message in outcome(make)


def test_dropout():
    def function(x, key=None):
        with nn.training(key):
            first, second = nn.Dropout(0.25)(x), nn.Dropout(0.25)(x)
            return first, second

    assert "a layer needs random numbers" in outcome(trace, function, spec(2))
    compiled = lamina.compile(trace(function, spec(4000), spec(2, "uint32")))
    first, second = compiled(np.ones(4000, np.float32), np.array([0, 1], np.uint32))
    for found in (first, second):
        assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.75)}
        assert abs(found.mean() - 1) < 5 * (1 / 3 / 4000) ** 0.5  # five standard deviations
    assert (first != second).any()
    (same,) = lamina.compile(trace(lambda x: nn.Dropout(0.5)(x) + 0, spec(2)))(np.ones(2, np.float32))
    assert same.tolist() == [1, 1]


# Files


def test_files_round_trip(tmp_path):
    module, path = nn.initialize(Block(3), 0), tmp_path / "block.safetensors"
    nn.save(module, path, metadata={"step": "7"})
    file = safetensors.read(path)
    assert list(file.tensors) == list(nn.named_parameters(module)) and file.metadata["step"] == "7"
    again = nn.load(Block(3), path)
    assert trees.structure(again) == trees.structure(module)
    for ours, theirs in zip(trees.flatten(again)[0], trees.flatten(module)[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert not ours.flags.writeable  # a view of the file
    renamed = tmp_path / "renamed.safetensors"
    nn.save(module, renamed, rename={r"^branches\.(\d)": r"part\1", "deep": "tower"})
    assert "part1.tower.0.weight" in safetensors.read(renamed).tensors
    nn.load(Block(3), renamed, rename=lambda path: path.replace("branches.", "part").replace("deep", "tower"))
    half = nn.load(nn.cast(Block(3), "f16"), path)
    assert half.scale.dtype == np.float16


def test_files_with_numbers(tmp_path):
    path = tmp_path / "state.safetensors"
    state = {"rate": 0.1, "step": 7, "mean": normal(3)}
    nn.save(state, path)
    again = nn.load({"rate": 0.0, "step": 0, "mean": np.zeros(3, np.float32)}, path)
    assert (again["rate"], again["step"]) == (0.1, 7) and type(again["step"]) is int
    np.testing.assert_array_equal(again["mean"], state["mean"])
    assert "'rate': expected [3], found []" in outcome(nn.load, {**state, "rate": normal(3)}, path)
    assert "'step': expected [], found [2]" in outcome(
        nn.load, state, {**state, "rate": np.ones(()), "step": np.ones(2)}
    )
    assert "'step': expected int64, found float64" in outcome(nn.load, {"step": 0}, {"step": np.ones(())})


def test_all_problems_of_a_file_in_one_error(tmp_path):
    path = tmp_path / "block.safetensors"
    tensors = dict(nn.named_parameters(nn.initialize(Block(3), 0)))
    del tensors["norm.bias"], tensors["scale"]
    tensors |= {
        "extra": np.zeros(2, np.float32),
        "norm.num_batches_tracked": np.array(5),
        "branches.0.bias": np.zeros(4, np.float32),
    }
    safetensors.write(path, tensors)
    message = outcome(nn.load, Block(3), path)
    for line in (
        str(path),
        "missing in the file (2):", "'norm.bias'", "'scale'",
        "in the file, but no parameter (1):", "extra",
        "of another shape (1):", "'branches.0.bias': expected [3], found [4]",
    ):  # fmt: skip
        assert line in message
    assert "num_batches_tracked" not in message
    message = outcome(nn.load, Block(3), path, strict=False)
    assert "missing" not in message and "branches.0.bias" in message
    tensors["branches.0.bias"] = np.ones(3, np.float32)
    partly = nn.load(Block(3), tensors, strict=False)
    assert isinstance(partly.scale, nn.Parameter) and partly.branches[0].bias.tolist() == [1, 1, 1]
    tensors["branches.0.bias"] = np.ones(3, np.int32)
    assert "'branches.0.bias': expected float32, found int32" in outcome(nn.load, Block(3), tensors, strict=False)
    assert "'norm.weight': expected an array, found Parameter" in outcome(nn.save, Block(3), path)
    assert "two parameters have the name 'x'" in outcome(
        nn.save, nn.initialize(Block(3), 0), path, rename=lambda _: "x"
    )
    assert "No such file" in outcome(nn.load, Block(3), tmp_path / "none.safetensors")


def test_several_files_and_an_index(tmp_path):
    module = nn.initialize(Block(3), 0)
    items = list(nn.named_parameters(module).items())
    parts = {"a.safetensors": dict(items[:4]), "b.safetensors": dict(items[4:])}
    for name, tensors in parts.items():
        safetensors.write(tmp_path / name, tensors)
    weight_map = {key: name for name, tensors in parts.items() for key in tensors}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for source in (index, [tmp_path / name for name in parts]):
        np.testing.assert_array_equal(nn.load(Block(3), source).scale, module.scale)
    index.write_text("[]")
    assert "is no index of safetensors files" in outcome(nn.load, Block(3), index)
