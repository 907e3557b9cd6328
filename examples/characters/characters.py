"""A small transformer learns to continue text, character by character.

    python examples/characters/characters.py [--steps 2000] [--checkpoint characters.safetensors] [--plot losses.png]

Forward, backward and Adam are one compiled function that updates weights and optimizer state in place. With a
checkpoint, training goes on from the file if there is one; Ctrl-C finishes the step, writes the file and ends. The
plot shows the first losses beside JAX's from the same weights and batches (expected_losses.json); it needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import lamina
from data import Configuration, batch, characters, encoded, first_weights
from lamina import losses, nn, ops, optimizers, random
from lamina.training import Progress, deferring_interrupts, load_checkpoint, save_checkpoint

EXPECTED = Path(__file__).with_name("expected_losses.json")


class Block(nn.Module):
    """Attention to what came before, then a dense layer of four times the width; norms come first."""

    def __init__(self, width: int, heads: int):
        self.first_norm = nn.LayerNorm(width)
        self.attention = nn.MultiHeadAttention(width, heads, causal=True)
        self.second_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def __call__(self, x: Any) -> Any:
        x = x + self.attention(self.first_norm(x))
        return x + self.contract(ops.gelu(self.expand(self.second_norm(x)), approximate="tanh"))


class CharacterModel(nn.Module):
    """From characters (batch, length) to logits of the next one (batch, length, characters)."""

    def __init__(self, configuration: Configuration):
        width, count = configuration.width, len(characters())
        self.tokens = nn.Embedding(count, width)
        self.positions = nn.parameter((configuration.context, width))
        self.blocks = [Block(width, configuration.heads) for _ in range(configuration.layers)]
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, count, bias=False)

    def __call__(self, text: Any) -> Any:
        x = self.tokens(text) + self.positions[: text.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def loss(model: CharacterModel, text: Any) -> Any:
    """The mean cross entropy of each next character."""
    return losses.softmax_cross_entropy(model(text[:, :-1]), text[:, 1:])


def make_step(optimizer: optimizers.Optimizer, threads: int | None = None) -> Any:
    """(model, state, text) → (model, state, loss), compiled, updating in place."""

    def step(model: CharacterModel, state: Any, text: Any) -> Any:
        value, gradients = lamina.value_and_grad(loss)(model, text)
        model, state = optimizer.update(model, gradients, state)
        return model, state, value

    return lamina.jit(step, donate_argnums=(0, 1), threads=threads)


def beginning(configuration: Configuration, optimizer: optimizers.Optimizer) -> tuple[CharacterModel, Any]:
    """The model with the first weights, and the optimizer's state."""
    model = nn.load(CharacterModel(configuration), first_weights(configuration))
    return model, optimizer.initialize(model)


def train(
    steps: int,
    *,
    configuration: Configuration = Configuration(),  # noqa: B008 (frozen)
    threads: int | None = None,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> tuple[CharacterModel, list[float]]:
    """The model after so many steps, and the losses of those that were done now.

    With a checkpoint, from its step on if the file exists, and written to it at the end or after an interrupt.
    """
    text = encoded()
    optimizer = optimizers.adam(configuration.rate)
    training = beginning(configuration, optimizer)
    if checkpoint is not None and checkpoint.exists():
        training = load_checkpoint(checkpoint, training)
    step = make_step(optimizer, threads)
    shown = Progress(steps)
    values: list[float] = []
    with deferring_interrupts() as interrupts:
        for number in interrupts.until(range(int(training[1]["step"]), steps)):
            *training, value = step(*training, batch(text, number, configuration))
            values.append(float(value))
            if progress:
                shown.show(number + 1, loss=values[-1])
        if checkpoint is not None:
            save_checkpoint(checkpoint, tuple(training))
    if progress:
        shown.close()
    return training[0], values


def continued(model: CharacterModel, start: str, count: int, configuration: Configuration, seed: int = 0) -> str:
    """The text with `count` more characters, drawn by the model's probabilities."""
    known = characters()

    @lamina.jit
    def draw(model: CharacterModel, text: Any, last: Any, key: Any) -> Any:
        logits = ops.take(model(text)[0], last.reshape(1), 0)[0]
        return random.categorical(key, logits / 0.8)

    text = [known.index(character) for character in start]
    key = random.key(seed)
    for number in range(count):
        seen = text[-configuration.context :]
        padded = np.array([seen + [0] * (configuration.context - len(seen))])
        text.append(int(draw(model, padded, len(seen) - 1, random.fold_in(key, number))))
    return "".join(known[position] for position in text)


def plot(values: list[float], path: Path) -> None:
    """Our losses and JAX's, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    expected = json.loads(EXPECTED.read_text())
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    left.plot(range(len(values)), values, label="lamina")
    left.plot(range(len(expected["losses"])), expected["losses"], "--", label=f"JAX {expected['jax']}")
    left.set(xlabel="step", ylabel="cross entropy per character", title="losses")
    left.legend()
    count = min(len(values), len(expected["losses"]))
    differences = np.abs(np.subtract(values[:count], expected["losses"][:count]))
    right.semilogy(range(count), np.maximum(differences, 1e-9))
    right.set(xlabel="step", title="absolute difference")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    start = time.perf_counter()
    model, values = train(options.steps, threads=options.threads, checkpoint=options.checkpoint, progress=True)
    print(f"{len(values)} steps in {time.perf_counter() - start:.1f} s, compilation included")
    if options.plot is not None:
        plot(values, options.plot)
    print(continued(model, "A pass ", 200, Configuration()))


if __name__ == "__main__":
    main()
