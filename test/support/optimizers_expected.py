"""Writes optimizers_expected.json: parameters after steps of PyTorch's optimizers, for test_optimizers.py."""

from __future__ import annotations

import json
from pathlib import Path

import torch

STEPS = 7
CASES = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "sgd_decay": (torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.05}),
    "adam_decay": (torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.1}),
}


def loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return ((first**2).sum(1) * second + torch.sin(second)).sum()


def parameters() -> list[torch.Tensor]:
    first = torch.linspace(-1, 1.5, 6, dtype=torch.float64).reshape(3, 2)
    second = torch.linspace(0.5, 2, 3, dtype=torch.float64)
    return [first.requires_grad_(), second.requires_grad_()]


def main() -> None:
    expected: dict[str, object] = {"torch": torch.__version__.split("+")[0], "steps": STEPS}
    for name, (kind, options) in CASES.items():
        values = parameters()
        optimizer = kind(values, **options)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(*values).backward()
            optimizer.step()
        expected[name] = [value.detach().ravel().tolist() for value in values]
    values = parameters()
    loss(*values).backward()
    norm = torch.nn.utils.clip_grad_norm_(values, 0.75)
    expected["clip"] = [float(norm), *(value.grad.ravel().tolist() for value in values)]
    logits = torch.linspace(-3, 3, 15, dtype=torch.float64).reshape(3, 5)
    labels = torch.tensor([4, 0, 2])
    targets = torch.linspace(0, 1, 15, dtype=torch.float64).reshape(3, 5)
    functional = torch.nn.functional
    expected["losses"] = {
        "softmax_cross_entropy": float(functional.cross_entropy(logits, labels)),
        "softmax_cross_entropy_probabilities": float(functional.cross_entropy(logits, targets)),
        "sigmoid_cross_entropy": float(functional.binary_cross_entropy_with_logits(logits, targets)),
        "mean_squared_error": float(functional.mse_loss(logits, targets)),
        "mean_absolute_error": float(functional.l1_loss(logits, targets)),
        "huber_loss": float(functional.huber_loss(logits, targets, delta=0.7)),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(expected, indent=1) + "\n")


main()
