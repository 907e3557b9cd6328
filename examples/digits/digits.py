"""A convolutional network learns scikit-learn's handwritten digits: 8 × 8 pixels, 1797 images, ten classes.

    python examples/digits/digits.py [--epochs 25] [--checkpoint digits.safetensors] [--threads 2]

Needs scikit-learn for the images. Prints the test accuracy, and 98 % or more within a minute on two cores. With a
checkpoint, training goes on from the file if there is one; Ctrl-C finishes the step, writes the file and ends.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lamina
import lamina.numpy as lnp
from lamina import losses, nn, ops, optimizers
from lamina.training import Progress, deferring_interrupts, load_checkpoint, save_checkpoint

BATCH = 64
TEST_IMAGES = 360


class Classifier(nn.Module):
    """Two convolutions, pooling, one hidden layer."""

    def __init__(self) -> None:
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.pool = nn.MaxPool(2)
        self.hidden = nn.Linear(32 * 4 * 4, 64)
        self.head = nn.Linear(64, 10)

    def __call__(self, images: Any) -> Any:
        x = ops.relu(self.first(images))
        x = self.pool(ops.relu(self.second(x)))
        return self.head(ops.relu(self.hidden(x.reshape(x.shape[0], -1))))


@dataclass
class Digits:
    """Images (count, 1, 8, 8) within [0, 1] and labels, to train with and to test with."""

    images: Any
    labels: Any
    test_images: Any
    test_labels: Any


def load_digits(seed: int = 0) -> Digits:
    """scikit-learn's digits, shuffled and split."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    images = (data.images[:, None] / 16).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(images))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return Digits(images[train], data.target[train], images[test], data.target[test])


def make_step(optimizer: optimizers.Optimizer, threads: int | None = None) -> Any:
    """(model, state, images, labels) → (model, state, loss), one compiled function that updates in place."""

    def loss(model: Classifier, images: Any, labels: Any) -> Any:
        return losses.softmax_cross_entropy(model(images), labels)

    def step(model: Classifier, state: Any, images: Any, labels: Any) -> Any:
        value, gradients = lamina.value_and_grad(loss)(model, images, labels)
        model, state = optimizer.update(model, gradients, state)
        return model, state, value

    return lamina.jit(step, donate_argnums=(0, 1), threads=threads)


@lamina.jit
def predict(model: Classifier, images: Any) -> Any:
    """The most likely digit of each image."""
    return lnp.argmax(model(images), -1)


def shifted(images: Any, generator: np.random.Generator) -> Any:
    """Each image moved by up to one pixel along both axes."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = generator.integers(0, 3, (2, len(images)))
    return np.stack([padded[i, :, r : r + 8, c : c + 8] for i, (r, c) in enumerate(zip(rows, columns, strict=True))])


def train(
    data: Digits, epochs: int, *, threads: int | None = None, checkpoint: Path | None = None, progress: bool = False
) -> Classifier:
    """The trained model; batches depend on the epoch only, so that a resumed run is the same run."""
    steps = len(data.images) // BATCH
    optimizer = optimizers.adam(optimizers.cosine(3e-3, epochs * steps))
    model = nn.initialize(Classifier(), seed=0)
    training = (model, optimizer.initialize(model))
    if checkpoint is not None and checkpoint.exists():
        training = load_checkpoint(checkpoint, training)
    step = make_step(optimizer, threads)
    shown = Progress(epochs * steps)
    with deferring_interrupts() as interrupts:
        for number in interrupts.until(range(int(training[1]["step"]), epochs * steps)):
            epoch, batch = divmod(number, steps)
            generator = np.random.default_rng([1, epoch])
            chosen = generator.permutation(len(data.images))[batch * BATCH : (batch + 1) * BATCH]
            images = shifted(data.images[chosen], np.random.default_rng([2, number]))
            *training, loss = step(*training, images, data.labels[chosen])
            if progress:
                shown.show(number + 1, loss=loss)
        if checkpoint is not None:
            save_checkpoint(checkpoint, tuple(training))
    shown.close()
    return training[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args()
    data = load_digits()
    start = time.perf_counter()
    model = train(data, options.epochs, threads=options.threads, checkpoint=options.checkpoint, progress=True)
    right = (predict(model, data.test_images) == data.test_labels).mean()
    print(f"test accuracy {100 * right:.2f} % after {time.perf_counter() - start:.1f} s, compilation included")


if __name__ == "__main__":
    main()
