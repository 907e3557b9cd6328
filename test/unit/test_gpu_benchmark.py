"""benchmarks/gpu.py without a GPU: what is timed how often, peers that fail, the table, and everything compiled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import gpu  # noqa: E402
import triton_kernels  # noqa: E402


class Clock:
    """A stand-in for the driver: calls take a known time on the stream that they say, events note the time."""

    def __init__(self) -> None:
        self.now: dict[int, float] = {}
        self.events: dict[int, float] = {}
        self.count = 0
        self.stream = 7

    def spend(self, milliseconds: float, stream: int) -> None:
        self.now[stream] = self.now.get(stream, 0.0) + milliseconds

    def synchronize(self, stream: int) -> None:
        pass

    def _do(self, name: str, *arguments: Any) -> Any:
        if name == "cuEventCreate":
            self.count += 1
            self.events[self.count] = -1.0
            return self.count
        if name == "cuEventRecord":
            event, stream = arguments
            self.events[event] = self.now.get(stream, 0.0)
        if name == "cuEventElapsedTime":
            begin, end = arguments
            return self.events[end] - self.events[begin]
        if name == "cuEventDestroy":
            del self.events[arguments[0]]
        return None


def device() -> tuple[Any, Clock]:
    found = gpu.Device.__new__(gpu.Device)
    found.driver, found.torch = Clock(), None
    return found, found.driver


def test_times_are_those_of_the_streams() -> None:
    stand_in, clock = device()
    calls = {"lamina": 0, "torch": 0}

    def contender(name: str, milliseconds: float, stream: int) -> tuple[Callable[[], object], int]:
        def call() -> None:
            calls[name] += 1
            # The first calls compile.
            clock.spend(milliseconds if calls[name] > 3 else 1000, stream)

        return call, stream

    times = stand_in.contend({"lamina": contender("lamina", 0.25, 7), "torch": contender("torch", 40.0, 0)})
    assert times == {"lamina": pytest.approx(0.25), "torch": pytest.approx(40.0)}
    # As many calls as take a while, three at least, in every round; no event is left.
    rounds = gpu.ROUNDS
    assert calls == {"lamina": rounds * (3 + 3 + int(gpu.LEAST_MILLISECONDS / 0.25)), "torch": rounds * (3 + 3 + 3)}
    assert not clock.events


def test_a_peer_that_fails_is_left_out_and_ours_is_not() -> None:
    stand_in, _ = device()

    def fails() -> None:
        raise RuntimeError("out of\nresources")

    contenders = {"lamina": (lambda: None, 7), "torch.compile": (fails, 0), "triton": (lambda: None, 0)}
    found, note = stand_in.working(contenders)
    assert list(found) == ["lamina", "triton"] and note == "torch.compile fails: RuntimeError: out of resources"
    with pytest.raises(RuntimeError):
        stand_in.working({"lamina": (fails, 7)})


def test_a_case_becomes_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes over time, and the copy's bandwidth as a peer."""
    stand_in, clock = device()
    from lamina import api

    class Executable:
        program = type("Program", (), {"driver": clock})()

        def __call__(self, *inputs: Any) -> tuple[Any, ...]:
            clock.spend(0.5, clock.stream)
            return inputs[:1]

    clock.number, clock.target = 0, "ptx:sm_90"  # type: ignore[attr-defined]
    monkeypatch.setattr(api, "gpu_executable", lambda *_, **__: Executable())
    monkeypatch.setattr(stand_in, "on_device", lambda array, dtype: array, raising=False)
    case = gpu.Case("rows", "copy", lambda x: x + 1, [((64, 32), "f32")], 1e9, "GB/s", lambda torch, x: x, 0.8)
    row = gpu.time_case(stand_in, case, 4000.0)
    assert row.ours == pytest.approx(2000.0) and row.peers == {"bandwidth": 4000.0}
    assert row.ratio == pytest.approx(0.5) and row.is_met is False and row.note == "50% of bandwidth"
    text = gpu.markdown([row, gpu.Row("correct", "mlp", 1e-7, "difference", note="ok")], "a GPU")
    assert "| rows | copy | 2000.0 GB/s | bandwidth 4000.0 | 0.50 | 0.80 | NO | 50% of bandwidth |" in text
    assert "| correct | mlp | 1.0e-07 difference |" in text


def test_every_kind_of_triton_kernel_has_a_case() -> None:
    cases = [case for part in gpu.CASES.values() for case in part()]
    assert {case.triton for case in cases if case.triton} == set(triton_kernels.MAKERS)
    # Sizes are multiples of the blocks, which the kernels count on.
    for case in cases:
        shape = case.inputs[0][0]
        if case.triton == "product":
            assert all(size % 128 == 0 for size in shape)
        if case.triton == "attention":
            assert shape[-2] % triton_kernels.QUERIES == 0 and shape[-1] in (64, 128)
    if triton_kernels.triton is None:
        assert triton_kernels.contenders(None, "product", [np.zeros((2, 2))] * 2) == {}


def test_everything_that_is_timed_compiles() -> None:
    """One part of it here; without a GPU the table itself is refused with a word on what to do."""
    command = [sys.executable, str(BENCHMARKS / "gpu.py")]
    done = subprocess.run(
        [*command, "--compile-only", "--only", "rows", "--target", "ptx:sm_90"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 cases and 0 models for ptx:sm_90, 0 failed" in done.stdout and "rows: softmax f32:" in done.stdout


def test_models_are_compiled_with_what_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.compile_model("mlp", "amdgcn:gfx942")
    assert "kernels with scratch: none" in capsys.readouterr().out
    assert not gpu.compile_model("mlp", "ptx:sm_12")
    assert "models: mlp: LaminaError: unknown target 'ptx:sm_12'" in capsys.readouterr().out
