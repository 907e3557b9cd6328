"""Makes `gpt2_expected.json`: greedy continuations by transformers' GPT-2 on the weights of `support.weights`.

    python test/models/gpt2_expected.py        (needs torch 2.13.0, transformers, onnx)

Without a cache: every token from a pass over the whole text, so that the decode step and its cache are checked as well.
The smallest margin between the two largest logits is kept to show that rounding cannot change a token.
"""

import json
import sys
from pathlib import Path

import torch
from onnx import numpy_helper

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)
sys.path.append(str(HERE.parents[1] / "benchmarks"))

from models import GPT2_FULL, GPT2_SMALL, Gpt2Decode  # noqa: E402
from support.models import architecture  # noqa: E402

TOKENS = 64
PROMPT = [7, 101, 42, 180, 3, 66, 159, 12]


def with_kept_weights(name: str, configuration: tuple[int, ...]) -> torch.nn.Module:
    """transformers' model with the weights that the kept graph is filled with."""
    arrays = {one.name: numpy_helper.to_array(one) for one in architecture(name).graph.initializer}
    module = Gpt2Decode(*configuration).eval()
    with torch.no_grad():
        for parameter, value in module.named_parameters(remove_duplicate=False):
            tied = {"gpt2.transformer.wte.weight": "gpt2.lm_head.weight"}
            kept = next(one for one in (parameter, tied.get(parameter)) if one in arrays)
            value.copy_(torch.from_numpy(arrays[kept].copy()))
    return module.gpt2


def continuation(model: torch.nn.Module) -> dict[str, object]:
    """Prompt, tokens and the smallest margin."""
    tokens, margin = list(PROMPT), float("inf")
    for _ in range(TOKENS):
        with torch.no_grad():
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        best = torch.topk(logits, 2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        tokens.append(int(best.indices[0]))
    return {"prompt": PROMPT, "tokens": tokens[len(PROMPT) :], "smallest_margin": round(margin, 6)}


def main() -> None:
    result: dict[str, object] = {"torch": torch.__version__}
    for name, configuration in (("gpt2_decode_small", GPT2_SMALL), ("gpt2_decode", GPT2_FULL)):
        result[name] = continuation(with_kept_weights(name, configuration))
        print(name, len(set(result[name]["tokens"])), "different tokens", result[name])
    (HERE / "gpt2_expected.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
