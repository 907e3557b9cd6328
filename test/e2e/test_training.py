"""Training as the examples do it, in short: against JAX's losses, resumed, interrupted, with other thread counts."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import trees

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def characters() -> Any:
    sys.path.insert(0, str(EXAMPLES / "characters"))
    try:
        import characters
    finally:
        sys.path.pop(0)
    return characters


def same(left: Any, right: Any) -> bool:
    rows = zip(trees.leaves(left), trees.leaves(right), strict=True)
    return all(a == b and np.array_equal(x, y) for (a, x), (b, y) in rows)


def test_fifty_losses_are_those_of_jax(characters: Any) -> None:
    expected = json.loads((EXAMPLES / "characters" / "expected_losses.json").read_text())["losses"]
    _, found = characters.train(len(expected))
    assert len(found) == 50 and found[-1] < 0.7 * found[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_resumed_training_is_the_same_training(characters: Any, tmp_path: Path) -> None:
    whole, losses = characters.train(8, threads=1)
    checkpoint = tmp_path / "model.safetensors"
    _, first = characters.train(5, threads=2, checkpoint=checkpoint)
    resumed, rest = characters.train(8, threads=1, checkpoint=checkpoint)
    assert first + rest == losses
    assert same(whole, resumed)


def test_an_interrupt_loses_at_most_a_step(characters: Any, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.safetensors"
    characters.train(1)  # compiled: what follows is steps only
    timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        interrupted, losses = characters.train(1_000_000, checkpoint=checkpoint)
    finally:
        timer.cancel()
    assert 0 < len(losses) < 1_000_000
    again, _ = characters.train(len(losses), checkpoint=checkpoint)  # no step is left
    assert same(interrupted, again)
    straight, expected = characters.train(len(losses))
    assert expected == losses and same(straight, again)


def test_no_part_of_a_checkpoint_is_ever_seen(tmp_path: Path) -> None:
    """A process that is killed while it writes checkpoints leaves a whole one."""
    path = tmp_path / "state.safetensors"
    program = (
        "import numpy as np, lamina.training as t\n"
        f"for i in range(10**6): t.save_checkpoint({str(path)!r}, {{'x': np.full(300_000, i), 'step': np.array(i)}})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    process.kill()
    process.wait()
    like = {"x": np.zeros(300_000, np.int64), "step": np.array(0)}
    found = lamina.training.load_checkpoint(path, like)
    assert (found["x"] == found["step"]).all()


def test_digits_are_learned() -> None:
    pytest.importorskip("sklearn")
    command = [sys.executable, str(EXAMPLES / "digits" / "digits.py"), "--epochs", "25"]
    start = time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 60  # compilation and the interpreter's start included
    accuracy = re.search(r"test accuracy ([\d.]+) %", result.stdout)
    assert accuracy is not None and float(accuracy.group(1)) >= 98
    assert "loss" in result.stderr  # progress


def test_the_curves_are_drawn(characters: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "losses.png"
    characters.plot([3.5, 3.1, 2.9], path)
    image = path.read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n") and len(image) > 10_000


def test_progress_is_shown() -> None:
    stream = io.StringIO()
    progress = lamina.training.Progress(20, stream, pause=0.0)
    for step in (1, 20):
        progress.show(step, loss=0.5)
    progress.close()
    first, last = stream.getvalue().splitlines()
    assert re.fullmatch(r" 1/20  loss 0\.5000  \d+ s, \d+ s left", first) and last.startswith("20/20")
