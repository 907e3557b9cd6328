"""The architectures of `benchmarks/models.py`, small, static and symbolic, and GPT-2's greedy tokens."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

import lamina
from lamina import LaminaError
from lamina.tools.lamina_main import main
from support import models
from support.oracles import assert_as_accurate_as_onnxruntime

NOT_YET: frozenset[str] = frozenset()
STATIC = [f"{name}_small" for name in models.ARCHITECTURES if name not in NOT_YET]
SYMBOLIC = [
    f"{name}_small_symbolic"
    for name in models.ARCHITECTURES
    if name not in NOT_YET and (models.MODELS / f"{name}_small_symbolic.onnx").exists()
]
CACHES = {"past_keys": "keys", "past_values": "values"}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", STATIC)
def test_static_is_as_accurate_as_onnxruntime(name: str, threads: int):
    model = models.architecture(name)
    feeds = models.random_feeds(model)
    assert_as_accurate_as_onnxruntime(lamina.compile(model, threads=threads)(**feeds), model, feeds)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", SYMBOLIC)
def test_symbolic_is_as_accurate_as_onnxruntime(name: str, threads: int):
    model = models.architecture(name)
    executable = lamina.compile(model, threads=threads)
    for batch, sequence in ((1, 2), (3, 13), (2, 40)):
        feeds = models.random_feeds(model, {"batch": batch, "sequence": sequence}, seed=sequence)
        assert_as_accurate_as_onnxruntime(executable(**feeds), model, feeds)


def greedy(executable: lamina.Executable, prompt: list[int], count: int) -> list[int]:
    """Tokens that follow the prompt; both caches stay in the arrays that the first step was given."""
    caches = {info.name: np.zeros(info.shape, np.float32) for info in executable.inputs if info.name in CACHES}
    tokens = list(prompt)
    for position in range(len(prompt) + count - 1):
        token = np.array([[tokens[position]]])
        logits, keys, values = executable(token=token, position=np.array([position]), **caches)
        assert keys is caches["past_keys"] and values is caches["past_values"]
        if position + 1 == len(tokens):
            tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["gpt2_decode_small", "gpt2_decode"])
def test_gpt2_says_the_tokens_that_pytorch_says(name: str, threads: int):
    expected = json.loads((models.MODELS / "gpt2_expected.json").read_text())[name]
    assert len(set(expected["tokens"])) > 8 and expected["smallest_margin"] > 1e-3
    executable = lamina.compile(models.architecture(name), threads=threads, donate=CACHES)
    assert greedy(executable, expected["prompt"], len(expected["tokens"])) == expected["tokens"]


@pytest.mark.parametrize(
    ("donate", "message"),
    [
        ({"past": "keys"}, "no input is named 'past'"),
        ({"past_keys": "present"}, "no output is named 'present'"),
        ({"past_keys": "keys", "past_values": "keys"}, "is given twice"),
        ({"past_keys": "logits"}, "must be of one type"),
    ],
)
def test_donations_that_cannot_be(donate: dict[str, str], message: str):
    with pytest.raises(LaminaError, match=message):
        lamina.compile(models.architecture("gpt2_decode_small"), donate=donate)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_light_models_are_as_accurate_as_onnxruntime(name: str):
    """The two that an f64 evaluation is quick for; `make e2e` has all nine."""
    model = models.light(name)
    feeds = models.random_feeds(model)
    assert_as_accurate_as_onnxruntime(lamina.compile(model, threads=2)(**feeds), model, feeds)


def test_the_command_line_donates(tmp_path, capsys):
    model, path = tmp_path / "decode.onnx", tmp_path / "decode.lamina"
    onnx.save(models.architecture("gpt2_decode_small"), model)
    command = ["compile", str(model), "-o", str(path), "--donate", "past_keys=keys"]
    with pytest.raises(SystemExit, match=r"^0$"):
        main(command)
    assert [info.alias for info in lamina.load(path).outputs] == [None, 2, None]
    with pytest.raises(SystemExit, match=r"^1$"):
        main([*command, "--donate", "past_values"])
    assert "expected INPUT=OUTPUT" in capsys.readouterr().err


def test_donation_of_an_artefact_is_refused(tmp_path):
    path = tmp_path / "model.lamina"
    lamina.compile(models.architecture("gpt2_decode_small"), donate=CACHES).save(path)
    assert [info.alias for info in lamina.load(path).outputs] == [None, 2, 3]
    with pytest.raises(LaminaError, match="is compiled already"):
        lamina.compile(path, donate=CACHES)
