"""Models written with `lamina.nn` (examples/models) equal the graphs that PyTorch exported, with the same weights."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import lamina
from lamina import nn, safetensors
from support import models
from support.oracles import assert_as_accurate_as_onnxruntime, onnxruntime_outputs

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "models"))

import bert
import gpt2
import llama
import lstm
import mobilenet
import resnet
import unet
import vit

Tensors = dict[str, np.ndarray]


def initializers(model: onnx.ModelProto) -> Tensors:
    """The weights of a graph under PyTorch's names: without wrappers' prefixes, the transposed ones back in shape."""
    tensors = {}
    for initializer in model.graph.initializer:
        name, array = initializer.name, numpy_helper.to_array(initializer)
        name = re.sub(r"^(bert|gpt2|vit)\.", "", name)
        if name.endswith(".transposed"):
            name, array = name.removesuffix(".transposed"), array.T
        tensors[name] = np.ascontiguousarray(array)
    return tensors


def unfolded(module: nn.Module, tensors: Tensors) -> Tensors:
    """The exporter folds batch norms into the convolutions before them: back to a convolution and random statistics."""
    generator = np.random.default_rng(7)
    paths = nn.named_parameters(module)
    for norm in [path.removesuffix(".running_mean") for path in paths if path.endswith(".running_mean")]:
        if norm[-1].isdigit() and norm.split(".")[-1].isdigit():
            head, _, index = norm.rpartition(".")
            convolution = f"{head}.{int(index) - 1}"
        else:
            convolution = re.sub(r"(bn|norm)(\d)$", r"conv\2", norm)
        features = paths[norm + ".weight"].shape[0]
        scale, variance = generator.uniform(0.5, 2, (2, features)).astype(np.float32)
        mean, bias = generator.standard_normal((2, features), dtype=np.float32)
        factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + 1e-5)
        folded = tensors.get(convolution + ".weight_bias", tensors.get(convolution + ".bias"))
        before = bias if convolution + ".bias" in paths else np.zeros_like(bias)
        if convolution + ".bias" in paths:
            tensors[convolution + ".bias"] = bias
        weight = tensors[convolution + ".weight"]
        tensors[convolution + ".weight"] = (weight / factor.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
        tensors[norm + ".bias"] = (folded - (before - mean.astype(np.float64)) * factor).astype(np.float32)
        tensors |= {norm + ".weight": scale, norm + ".running_mean": mean, norm + ".running_var": variance}
    return tensors


def group_norms(module: nn.Module, tensors: Tensors) -> Tensors:
    """The exporter gives scale and shift of group norms anonymous names, in the order in which they are used."""
    anonymous = iter(
        [
            array.reshape(-1)
            for name, array in tensors.items()
            if re.fullmatch(r"val_\d+", name) and array.shape[1:] == (1, 1)
        ]
    )
    for path in nn.named_parameters(module):
        if re.search(r"norm\d\.", path):
            tensors[path] = next(anonymous)
    assert next(anonymous, None) is None
    return tensors


def recurrent(module: nn.Module, tensors: Tensors) -> Tensors:
    """ONNX has one tensor per layer, and the gates input, output, forget, cell."""

    def gates(array: np.ndarray) -> np.ndarray:
        enter, leave, forget, fresh = np.split(array, 4)
        return np.concatenate([enter, forget, fresh, leave])

    anonymous = [array for name, array in tensors.items() if "LSTM" in name]
    for layer in range(2):
        inputs, hidden, bias = (array[0] for array in anonymous[3 * layer : 3 * layer + 3])
        tensors[f"lstm.weight_ih_l{layer}"], tensors[f"lstm.weight_hh_l{layer}"] = gates(inputs), gates(hidden)
        tensors[f"lstm.bias_ih_l{layer}"], tensors[f"lstm.bias_hh_l{layer}"] = map(gates, np.split(bias, 2))
    (tensors["head.weight"],) = (array.T for name, array in tensors.items() if "MatMul" in name)
    return tensors


def class_token(module: nn.Module, tensors: Tensors) -> Tensors:
    """The exporter repeats the class token for the batch (`expand`), or keeps it without a name."""
    (token,) = (a for n, a in tensors.items() if n in ("expand", "vit.embeddings.cls_token") and a.shape[1:] == (1, 48))
    return {**tensors, "vit.embeddings.cls_token": token[:1]}


class Case(NamedTuple):
    build: Callable[[], nn.Module]
    rename: Mapping[str, str] = {}
    prepare: Callable[[nn.Module, Tensors], Tensors] = lambda _, tensors: tensors


GPT2 = (2, 48, 4, 211, 96)
GPT2_RENAME = {r"^wte\.": "lm_head.", r"^(wpe|h|ln_f)\.": r"transformer.\1."}
CASES = {
    "resnet50_small": Case(lambda: resnet.ResNet(8, (2, 1, 1, 1), 10), {}, unfolded),
    "mobilenet_v2_small": Case(
        lambda: mobilenet.MobileNetV2(((1, 8, 1, 1), (6, 12, 2, 2), (6, 20, 2, 2)), 8, 40, 10), {}, unfolded
    ),
    "unet_resize_small": Case(lambda: unet.UNet(8, 3, True), {}, group_norms),
    "unet_transposed_small": Case(lambda: unet.UNet(8, 3, False), {}, unfolded),
    "bert_base_small": Case(lambda: bert.Bert(2, 48, 4, 211), bert.RENAME),
    # The static graph has the positions' embeddings only for its own length.
    "gpt2_small_symbolic": Case(lambda: gpt2.Gpt2(*GPT2), GPT2_RENAME),
    "vit_b16_small": Case(lambda: vit.VisionTransformer(2, 48, 4, 24, 8, 10), vit.RENAME, class_token),
    "llama_block_small": Case(lambda: llama.LlamaBlock(64, 112, 8, 2), {r"^": "layer.", **llama.RENAME}),
    "lstm_small": Case(lambda: lstm.Tagger(12, 20, 5), {}, recurrent),
}


SIZES = {"batch": 2, "sequence": 21}


def loaded(name: str, model: onnx.ModelProto) -> nn.Module:
    case = CASES[name]
    module = case.build()
    tensors = case.prepare(module, initializers(model))
    # The graph's other constants are masks and shapes: whether each weight is used is for the other direction.
    return nn.load(module, tensors, rename=case.rename, ignore=("*",))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_imported_graph(name: str, threads: int):
    model = models.architecture(name)
    feeds = models.random_feeds(model, SIZES)
    module = loaded(name, model)
    executable = lamina.compile(lamina.trace(module, *feeds.values()), threads=threads)
    assert_as_accurate_as_onnxruntime(executable(*feeds.values()), model, feeds)


SYMBOLIC = {
    "resnet50_small": {"image": ("batch", 3, 48, 48)},
    "unet_resize_small": {"image": ("batch", 3, 24, 24)},
    "bert_base_small": dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ("batch", "sequence")),
    "gpt2_small_symbolic": {"input_ids": ("batch", "sequence")},
    "vit_b16_small": {"image": ("batch", 3, 24, 24)},
    "llama_block_small": {"hidden": ("batch", "sequence", 64)},
    "lstm_small": {"sequence": ("batch", "sequence", 12)},
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_with_symbolic_sizes(name: str):
    model = models.architecture(name.removesuffix("_symbolic") + "_symbolic")
    module = loaded(name, models.architecture(name))
    feeds = models.random_feeds(model, {"batch": 3, "sequence": 13})
    specs = [lamina.spec(SYMBOLIC[name][key], array.dtype) for key, array in feeds.items()]
    executable = lamina.compile(lamina.trace(module, *specs))
    static = lamina.compile(lamina.trace(module, *feeds.values()))
    for ours, expected in zip(executable(*feeds.values()), static(*feeds.values()), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["resnet50_small", "bert_base_small", "lstm_small"])
def test_parameters_as_arguments(name: str):
    """The same module, its parameters arguments instead of constants, gives the same; a list of specs is enough."""
    model = models.architecture(name)
    feeds = models.random_feeds(model, SIZES)
    module = loaded(name, model)
    traced = lamina.trace(lambda module, *inputs: module(*inputs), CASES[name].build(), *feeds.values())
    executable = lamina.compile(traced)
    assert [info.name for info in executable.inputs] == [
        *(f"module.{path}" for path in nn.named_parameters(module)),
        *(f"inputs{index}" for index in range(len(feeds))),
    ]
    assert_as_accurate_as_onnxruntime(executable(module, *feeds.values()), model, feeds)


def test_gpt2_decodes_as_the_whole_sequence_says():
    """Greedy tokens from the cache are those that ONNX Runtime finds by running the whole sequence for each token."""
    model = models.architecture("gpt2_small_symbolic")
    for initializer in model.graph.initializer:
        if initializer.name.endswith("wpe.weight"):  # large, so that random weights do not repeat one token for ever
            initializer.CopyFrom(numpy_helper.from_array(20 * numpy_helper.to_array(initializer), initializer.name))
    module = loaded("gpt2_small_symbolic", model)
    decoder = gpt2.Decoder(module, capacity=48)
    tokens = [5, 17, 100, 3, 42]
    expected: list[int] = []
    for _ in range(40):
        (logits,) = onnxruntime_outputs(model, {"input_ids": np.array([tokens + expected])})
        expected.append(int(logits[0, -1].argmax()))
    assert decoder.generate(tokens, 40) == expected
    assert len(set(expected)) > 10
    assert decoder.step.compile_count == 1
    with pytest.raises(lamina.LaminaError, match="do not fit"):
        decoder.generate(tokens, 45)


def test_gpt2_updates_its_caches_in_place():
    module = nn.initialize(gpt2.Gpt2(*GPT2), 0)
    decoder = gpt2.Decoder(module, capacity=16)
    caches = module.empty_caches(1, 16)
    _, updated = decoder.step(np.array([[1, 2, 3]]), caches, np.array(0))
    for before, after in zip(caches, updated, strict=True):
        assert isinstance(after, nn.KeyValueCache)
        assert after.keys is before.keys and after.values is before.values
        assert np.abs(after.keys[:, :, :3]).min() > 0 and not after.keys[:, :, 3:].any()


def test_llama_block_with_a_cache():
    """Token by token over a cache as all at once."""
    module = nn.initialize(llama.LlamaBlock(64, 112, 8, 2), 3)
    x = np.random.default_rng(0).standard_normal((2, 9, 64), dtype=np.float32)
    (whole,) = lamina.compile(lamina.trace(module, x))(x)
    cache = nn.KeyValueCache.zeros(2, 2, 12, 8)
    traced = lamina.trace(module, lamina.spec((2, "n", 64)), cache, lamina.spec((), "i64"), donate=("cache",))
    step = lamina.compile(traced)
    position, parts = 0, []
    for length in (4, 1, 1, 3):
        part, cache = step(x[:, position : position + length].copy(), cache, np.array(position))
        parts.append(part)
        position += length
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-5, atol=1e-5)


def test_minilm_from_its_file():
    """Real weights: the hand-built BERT from the safetensors file equals PyTorch's similarities."""
    from tokenizers import Tokenizer

    folder = models.minilm_folder()
    module = nn.load(bert.Bert(6, 384), folder / "model.safetensors", rename=bert.RENAME, ignore=bert.IGNORED)
    ids = lamina.spec(("batch", "sequence"), "i64")
    executable = lamina.compile(lamina.trace(module, ids, ids, ids))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    for pair in json.loads((models.MODELS / "minilm_expected.json").read_text())["pairs"]:
        encodings = tokenizer.encode_batch([pair["left"], pair["right"]])
        tokens = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        (hidden,) = executable(tokens, mask, np.zeros_like(tokens))
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        assert abs(float(pooled[0] @ pooled[1]) - pair["cosine"]) < 1e-5


def test_full_sizes_have_the_published_numbers_of_parameters():
    counts = {
        "resnet50": (resnet.ResNet(), 25_557_032 + 2 * 26_560),  # with the running statistics
        "mobilenet_v2": (mobilenet.MobileNetV2(), 3_504_872 + 2 * 17_056),
        "gpt2": (gpt2.Gpt2(), 124_439_808),
        "vit_b16": (vit.VisionTransformer(), 86_567_656),
        "bert": (bert.Bert(), 108_891_648),
    }
    for name, (module, expected) in counts.items():
        assert nn.count_parameters(module) == expected, name


def test_save_and_load_again(tmp_path: Path):
    module = nn.initialize(resnet.ResNet(8, (1, 1), 10), 0)
    nn.save(module, tmp_path / "resnet.safetensors")
    assert set(safetensors.read(tmp_path / "resnet.safetensors").tensors) == set(nn.named_parameters(module))
    again = nn.load(resnet.ResNet(8, (1, 1), 10), tmp_path / "resnet.safetensors")
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)
    first, second = (lamina.compile(lamina.trace(each, image))(image)[0] for each in (module, again))
    np.testing.assert_array_equal(first, second)
