"""Whole models against ONNX Runtime and an f64 evaluation, at 1 and 2 threads and at every level."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

import lamina
from lamina import api, ops, pipelines
from support import models
from support.oracles import assert_as_accurate_as_onnxruntime


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def minilm_feeds(batch: int, sequence: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    lengths = generator.integers(max(1, sequence // 2), sequence + 1, batch)
    return {
        "input_ids": generator.integers(0, 30522, (batch, sequence)),
        "attention_mask": (np.arange(sequence) < lengths[:, None]).astype(np.int64),
        "token_type_ids": np.zeros((batch, sequence), np.int64),
    }


CASES = {
    "mlp": (models.mlp, lambda: {"x": normal(1, 784)}),
    "mlp-batch-7": (lambda: models.mlp(7), lambda: {"x": normal(7, 784)}),
    "lenet": (models.lenet, lambda: {"x": normal(1, 1, 28, 28)}),
    "lenet-batch-3": (lambda: models.lenet(3), lambda: {"x": normal(3, 1, 28, 28)}),
    "transformer-encoder": (
        models.transformer_encoder,
        lambda: {"tokens": normal(2, 16, 64), "padding": np.arange(16) >= np.array([[16], [11]])},
    ),
    "symbolic-attention": (models.symbolic_attention, lambda: {"x": normal(3, 21, 48)}),
    "loop": (models.loop_model, lambda: {"x": normal(4, 16)}),
    "minilm": (models.minilm, lambda: minilm_feeds(2, 33)),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_as_accurate_as_onnxruntime(name: str, threads: int):
    build, make_feeds = CASES[name]
    model, feeds = build(), make_feeds()
    executable = lamina.compile(model, threads=threads)
    outputs = executable(**feeds)
    assert_as_accurate_as_onnxruntime(outputs, model, feeds)


@pytest.mark.parametrize("level", [level.name for level in pipelines.LEVELS if level.name != "hardware"])
@pytest.mark.parametrize("name", CASES)
def test_every_level_runs(name: str, level: str):
    build, make_feeds = CASES[name]
    model, feeds = build(), make_feeds()
    executable = api.executable_for(model, level=level)
    assert_as_accurate_as_onnxruntime(executable(**feeds), model, feeds)


def test_minilm_similarities_equal_pytorch():
    from tokenizers import Tokenizer

    executable = lamina.compile(models.minilm())
    tokenizer = Tokenizer.from_file(str(models.minilm_folder() / "tokenizer.json"))
    tokenizer.enable_padding()
    expected = json.loads((models.MODELS / "minilm_expected.json").read_text())
    assert len(expected["pairs"]) >= 8
    for pair in expected["pairs"]:
        encodings = tokenizer.encode_batch([pair["left"], pair["right"]])
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        (hidden,) = executable(input_ids=ids, attention_mask=mask, token_type_ids=np.zeros_like(ids))
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        assert abs(float(pooled[0] @ pooled[1]) - pair["cosine"]) < 1e-4, pair


def test_one_compilation_serves_every_size():
    model = models.symbolic_attention()
    executable = lamina.compile(model, cache=False)
    for batch, sequence in ((1, 1), (2, 7), (5, 16), (1, 130), (3, 49)):
        feeds = {"x": normal(batch, sequence, 48, seed=sequence)}
        assert_as_accurate_as_onnxruntime(executable(**feeds), model, feeds)
    assert executable.compile_count == 1


def test_results_do_not_depend_on_the_thread_count():
    feeds = minilm_feeds(3, 40)
    (one,) = lamina.compile(models.minilm(), threads=1)(**feeds)
    (two,) = lamina.compile(models.minilm(), threads=2)(**feeds)
    np.testing.assert_array_equal(one, two)


def test_donated_argument_is_updated_in_place():
    def step(state, gradient):
        return state * 0.9 - gradient * 0.1, (gradient * gradient).sum()

    state_spec, gradient_spec = lamina.spec((33, 7), "f32", name="state"), lamina.spec((33, 7), "f32", name="gradient")
    executable = lamina.compile(lamina.trace(step, state_spec, gradient_spec, donate={"state": 0}))
    state, gradient = normal(33, 7), normal(33, 7, seed=1)
    expected = state.copy()
    address = state.ctypes.data
    for _ in range(3):
        updated, norm = executable(state, gradient)
        expected = expected * np.float32(0.9) - gradient * np.float32(0.1)
        assert updated.ctypes.data == address and np.shares_memory(updated, state)
        np.testing.assert_allclose(state, expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(norm, (gradient.astype(np.float64) ** 2).sum(), rtol=1e-6)


def test_donated_argument_that_is_read_elsewhere_is_right():
    """The state is read transposed by the kernel that replaces it: writing it directly would be wrong."""

    def step(state):
        return ops.transpose(state, (1, 0)) + state

    executable = lamina.compile(lamina.trace(step, lamina.spec((9, 9), "f32", name="state"), donate={"state": 0}))
    state = normal(9, 9)
    expected = state.T + state
    executable(state)
    np.testing.assert_array_equal(state, expected)


def test_four_threads_share_one_executable_for_a_minute():
    executable = lamina.compile(models.symbolic_attention(), threads=2)
    feeds = [normal(1 + index, 5 + 9 * index, 48, seed=index) for index in range(4)]
    expected = [executable(x) for x in feeds]
    wrong: list[str] = []
    calls = [0] * 4
    end = time.monotonic() + 60

    def work(index: int) -> None:
        while time.monotonic() < end and not wrong:
            for ours, theirs in zip(executable(feeds[index]), expected[index], strict=True):
                if not np.array_equal(ours, theirs):
                    wrong.append(f"thread {index}, call {calls[index]}")
            calls[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong and min(calls) > 1000, (wrong, calls)
    model = models.symbolic_attention()
    for x, outputs in zip(feeds, expected, strict=True):
        assert_as_accurate_as_onnxruntime(outputs, model, {"x": x})


@pytest.mark.parametrize("name", CASES)
def test_kernels_stay_small_at_the_loop_level(name: str):
    context = api.make_context()
    module = api.load_module(CASES[name][0](), context)
    pipelines.run_phases(module, context, to="loop", verify_each=True)
    counts = {op.sym_name.data: sum(1 for _ in op.walk()) for op in module.body.block.ops if op.name == "func.func"}
    kernels = {kernel: count for kernel, count in counts.items() if not kernel.startswith("main")}
    assert kernels
    assert max(kernels.values()) <= 400, sorted(kernels.items(), key=lambda item: -item[1])[:5]
