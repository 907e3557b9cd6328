"""The architectures of the benchmark, as PyTorch exports them, each in a full and a small configuration.

    python benchmarks/models.py --export [--only NAME]     (needs torch 2.13.0, transformers, onnx, onnxscript)

writes the graphs that `test/models` keeps: large float initializers lose their data and keep name, shape and type.
`test/support/weights.py` fills them again, seeded by name, so that neither the tests nor the benchmarks need PyTorch.
Nothing is downloaded: architectures come from configurations.
"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).parents[1]
# Without this folder: transformers asks for a package named `kernels`, which is a module here.
sys.path[:] = [str(ROOT / "test" / "models"), *(path for path in sys.path if path != str(ROOT / "benchmarks"))]

from export_models import name_transposed, without_weights  # noqa: E402

KEPT = ROOT / "test" / "models"


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions with batch norm around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet(nn.Module):
    """He et al. 2015, bottleneck blocks, stride on the 3×3 convolution."""

    def __init__(self, width: int, blocks: tuple[int, ...], classes: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, layers = width, []
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage and not block else 1
                layers.append(Bottleneck(channels, width << stage, stride))
                channels = 4 * (width << stage)
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, classes)

    def forward(self, image):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(image))))
        x = functional.adaptive_avg_pool2d(self.layers(x), 1)
        return self.fc(torch.flatten(x, 1))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection with ReLU6."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        width = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        layers += [nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        layers += [nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018: `settings` rows are expansion, channels, repetitions, stride."""

    def __init__(self, settings, first: int, last: int, classes: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU6()]
        channels = first
        for expansion, outputs, repetitions, stride in settings:
            for index in range(repetitions):
                layers.append(InvertedResidual(channels, outputs, stride if index == 0 else 1, expansion))
                channels = outputs
        layers += [nn.Conv2d(channels, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU6()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, image):
        return self.classifier(self.features(image).mean((2, 3)))


MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
MOBILENET_SMALL = ((1, 8, 1, 1), (6, 12, 2, 2), (6, 20, 2, 2))


class DoubleConvolution(nn.Module):
    """Two 3×3 convolutions: with batch norm and ReLU, or with group norm and SiLU."""

    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm1 = nn.GroupNorm(groups, outputs) if groups else nn.BatchNorm2d(outputs)
        self.norm2 = nn.GroupNorm(groups, outputs) if groups else nn.BatchNorm2d(outputs)
        self.activation = nn.SiLU() if groups else nn.ReLU()

    def forward(self, x):
        x = self.activation(self.norm1(self.conv1(x)))
        return self.activation(self.norm2(self.conv2(x)))


class UNet(nn.Module):
    """Ronneberger et al. 2015; up-sampling by Resize and a 1×1 convolution, or by a transposed convolution."""

    def __init__(self, width: int, levels: int, resize: bool):
        super().__init__()
        groups = 4 if resize else 0
        widths = [width << level for level in range(levels)]
        inputs = [3, *widths[:-1]]
        self.down = nn.ModuleList(DoubleConvolution(a, b, groups) for a, b in zip(inputs, widths, strict=True))
        pairs = list(zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True))
        self.up = nn.ModuleList(self.upsampling(wide, narrow, resize) for narrow, wide in pairs)
        self.merge = nn.ModuleList(DoubleConvolution(2 * narrow, narrow, groups) for narrow, _ in pairs)
        self.head = nn.Conv2d(width, 2, 1)

    @staticmethod
    def upsampling(wide: int, narrow: int, resize: bool) -> nn.Module:
        if not resize:
            return nn.ConvTranspose2d(wide, narrow, 2, 2)
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Conv2d(wide, narrow, 1)
        )

    def forward(self, image):
        kept, x = [], image
        for index, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if index else x)
            kept.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(kept[:-1]), strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        return self.head(x)


def bert(layers: int, hidden: int, heads: int, vocabulary: int) -> nn.Module:
    """Devlin et al. 2018, as transformers builds it, without the pooler."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )  # fmt: skip

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = BertModel(config, add_pooling_layer=False)

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state

    return Encoder()


def gpt2_config(layers: int, hidden: int, heads: int, vocabulary: int, positions: int):
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=vocabulary, n_embd=hidden, n_layer=layers, n_head=heads, n_positions=positions,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip


def gpt2(*configuration: int) -> nn.Module:
    """Radford et al. 2019, as transformers builds it: logits of every position."""
    from transformers import GPT2LMHeadModel

    class Prefill(nn.Module):
        def __init__(self):
            super().__init__()
            self.gpt2 = GPT2LMHeadModel(gpt2_config(*configuration))

        def forward(self, input_ids):
            return self.gpt2(input_ids, use_cache=False).logits

    return Prefill()


class Gpt2Decode(nn.Module):
    """One step of GPT-2 over a cache of fixed length.

    token [1, 1] i64, position [1] i64, past_keys and past_values [layers, heads, positions, hidden / heads] → logits
    [1, vocabulary] and the caches with the step's keys and values at `position`. Parameters have the names of `gpt2`.
    """

    def __init__(self, *configuration: int):
        super().__init__()
        from transformers import GPT2LMHeadModel

        self.gpt2 = GPT2LMHeadModel(gpt2_config(*configuration))
        self.heads = configuration[2]

    def forward(self, token, position, past_keys, past_values):
        body = self.gpt2.transformer
        slots = torch.arange(past_keys.shape[2])
        written = (slots == position)[None, :, None]
        visible = (slots <= position)[None, None, :]
        hidden = body.wte(token[0]) + body.wpe(position)
        all_keys, all_values = [], []
        for index, block in enumerate(body.h):
            query, key, value = (
                part.reshape(self.heads, 1, -1) for part in block.attn.c_attn(block.ln_1(hidden)).chunk(3, dim=-1)
            )
            keys = torch.where(written, key, past_keys[index])
            values = torch.where(written, value, past_values[index])
            scores = query @ keys.transpose(1, 2) * query.shape[-1] ** -0.5
            weights = torch.softmax(scores.masked_fill(~visible, -torch.inf), -1)
            hidden = hidden + block.attn.c_proj((weights @ values).reshape(1, -1))
            hidden = hidden + block.mlp(block.ln_2(hidden))
            all_keys.append(keys)
            all_values.append(values)
        return self.gpt2.lm_head(body.ln_f(hidden)), torch.stack(all_keys), torch.stack(all_values)


def vit(layers: int, hidden: int, heads: int, image: int, patch: int, classes: int) -> nn.Module:
    """Dosovitskiy et al. 2020, as transformers builds it."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden,
        image_size=image, patch_size=patch, num_labels=classes,
    )  # fmt: skip

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = ViTForImageClassification(config)

        def forward(self, image):
            return self.vit(image).logits

    return Classifier()


def llama(hidden: int, intermediate: int, heads: int, key_heads: int) -> nn.Module:
    """One Llama decoder layer as transformers builds it: RMSNorm, RoPE, grouped queries, SwiGLU, causal mask."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

    config = LlamaConfig(
        hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=heads, num_key_value_heads=key_heads,
        num_hidden_layers=1,
    )  # fmt: skip
    config._attn_implementation = "sdpa"

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.rotary = LlamaDecoderLayer(config, 0), LlamaRotaryEmbedding(config)

        def forward(self, hidden):
            length = hidden.shape[1]
            positions = torch.arange(length)[None]
            allowed = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
            output = self.layer(hidden, attention_mask=allowed, position_embeddings=self.rotary(hidden, positions))
            return output[0] if isinstance(output, tuple) else output

    return Block()


class Lstm(nn.Module):
    """Two LSTM layers, the outputs of all steps and the last states."""

    def __init__(self, inputs: int, hidden: int, classes: int):
        super().__init__()
        self.lstm, self.head = nn.LSTM(inputs, hidden, 2, batch_first=True), nn.Linear(hidden, classes)

    def forward(self, sequence):
        outputs, (hidden, cell) = self.lstm(sequence)
        return self.head(outputs), hidden, cell


Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Configuration:
    """One size of an architecture: how it is built, and the shapes of its inputs."""

    build: Callable[[], nn.Module]
    inputs: Shapes
    integers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Architecture:
    """The two sizes, the symbolic axes of each input (empty: static only), and which exporter is used."""

    full: Configuration
    small: Configuration
    outputs: tuple[str, ...]
    symbolic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    torchscript: bool = False


def _image(size: int, batch: int = 1) -> Shapes:
    return {"image": (batch, 3, size, size)}


BATCH = {"image": {0: "batch"}}
BERT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
BATCH_AND_SEQUENCE = {0: "batch", 1: "sequence"}
GPT2_SMALL = (2, 48, 4, 211, 96)
GPT2_FULL = (12, 768, 12, 50257, 1024)
DECODE_LENGTH = 128


def _cache(layers: int, hidden: int, heads: int, length: int) -> Shapes:
    shape = (layers, heads, length, hidden // heads)
    return {"token": (1, 1), "position": (1,), "past_keys": shape, "past_values": shape}


def _bert(shape: tuple[int, int]) -> Shapes:
    return dict.fromkeys(BERT_INPUTS, shape)


ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet50": Architecture(
        Configuration(lambda: ResNet(64, (3, 4, 6, 3), 1000), _image(224)),
        Configuration(lambda: ResNet(8, (2, 1, 1, 1), 10), _image(48, 2)),
        ("logits",),
        BATCH,
    ),
    "mobilenet_v2": Architecture(
        Configuration(lambda: MobileNetV2(MOBILENET, 32, 1280, 1000), _image(224)),
        Configuration(lambda: MobileNetV2(MOBILENET_SMALL, 8, 40, 10), _image(40, 2)),
        ("logits",),
        BATCH,
    ),
    "unet_resize": Architecture(
        Configuration(lambda: UNet(32, 4, True), _image(128)),
        Configuration(lambda: UNet(8, 3, True), _image(24, 2)),
        ("mask",),
        BATCH,
    ),
    "unet_transposed": Architecture(
        Configuration(lambda: UNet(32, 4, False), _image(128)),
        Configuration(lambda: UNet(8, 3, False), _image(24, 2)),
        ("mask",),
        BATCH,
    ),
    "bert_base": Architecture(
        Configuration(lambda: bert(12, 768, 12, 30522), _bert((1, 128)), frozenset(BERT_INPUTS)),
        Configuration(lambda: bert(2, 48, 4, 211), _bert((2, 21)), frozenset(BERT_INPUTS)),
        ("last_hidden_state",),
        dict.fromkeys(BERT_INPUTS, BATCH_AND_SEQUENCE),
    ),
    "gpt2": Architecture(
        Configuration(lambda: gpt2(*GPT2_FULL), {"input_ids": (1, 128)}, frozenset({"input_ids"})),
        Configuration(lambda: gpt2(*GPT2_SMALL), {"input_ids": (2, 21)}, frozenset({"input_ids"})),
        ("logits",),
        {"input_ids": BATCH_AND_SEQUENCE},
    ),
    "gpt2_decode": Architecture(
        Configuration(
            lambda: Gpt2Decode(*GPT2_FULL), _cache(12, 768, 12, DECODE_LENGTH), frozenset({"token", "position"})
        ),
        Configuration(lambda: Gpt2Decode(*GPT2_SMALL), _cache(2, 48, 4, 96), frozenset({"token", "position"})),
        ("logits", "keys", "values"),
    ),
    "vit_b16": Architecture(
        Configuration(lambda: vit(12, 768, 12, 224, 16, 1000), _image(224)),
        Configuration(lambda: vit(2, 48, 4, 24, 8, 10), _image(24, 2)),
        ("logits",),
        BATCH,
    ),
    "llama_block": Architecture(
        Configuration(lambda: llama(1024, 4096, 16, 4), {"hidden": (1, 128, 1024)}),
        Configuration(lambda: llama(64, 112, 8, 2), {"hidden": (2, 21, 64)}),
        ("output",),
        {"hidden": BATCH_AND_SEQUENCE},
    ),
    "lstm": Architecture(
        Configuration(lambda: Lstm(128, 256, 32), {"sequence": (1, 64, 128)}),
        Configuration(lambda: Lstm(12, 20, 5), {"sequence": (2, 9, 12)}),
        ("outputs", "hidden", "cell"),
        {"sequence": BATCH_AND_SEQUENCE},
        torchscript=True,
    ),
}


def _example(configuration: Configuration) -> tuple[torch.Tensor, ...]:
    """Inputs of the right shapes; each a tensor of its own, since the exporter merges arguments that are one object."""
    return tuple(
        torch.ones(shape, dtype=torch.int64) if name in configuration.integers else torch.randn(shape)
        for name, shape in configuration.inputs.items()
    )


def is_parameter(name: str) -> bool:
    """Whether an initializer is a weight, as opposed to a mask or a table that the exporter evaluated."""
    return name.endswith((".weight", "bias", ".transposed", "_embeddings"))


def export(architecture: Architecture, configuration: Configuration, symbolic: bool) -> onnx.ModelProto:
    """The ONNX graph without its large weights."""
    torch.manual_seed(0)
    module, names = configuration.build().eval(), list(configuration.inputs)
    for name, parameter in module.named_parameters():
        # The exporter merges parameters of equal value, such as the zeros that biases begin with; small ones are kept.
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        nn.init.normal_(parameter, float(parameter.ndim == 1 and name.endswith("weight")), scale)
    options: dict[str, Any] = {"input_names": names, "output_names": list(architecture.outputs)}
    if architecture.torchscript:
        axes = {**architecture.symbolic, **dict.fromkeys(architecture.outputs[:1], BATCH_AND_SEQUENCE)}
        axes |= {name: {1: "batch"} for name in architecture.outputs[1:]}
        file = io.BytesIO()
        torch.onnx.export(
            module, _example(configuration), file, dynamo=False, dynamic_axes=axes if symbolic else None, **options
        )
        return without_weights(onnx.load_model_from_string(file.getvalue()))
    if symbolic:
        dims = {label: torch.export.Dim(label) for axes in architecture.symbolic.values() for label in axes.values()}
        options["dynamic_shapes"] = tuple(
            {axis: dims[label] for axis, label in architecture.symbolic[name].items()} for name in names
        )
    program = torch.onnx.export(module, _example(configuration), dynamo=True, verbose=False, **options)
    assert program is not None
    return without_weights(name_transposed(program.model_proto, dict(module.state_dict())), is_parameter)


def export_all(only: str | None) -> None:
    """Write the kept graphs: `NAME.onnx` at full size, `NAME_small.onnx` and `NAME_small_symbolic.onnx`."""
    for name, architecture in ARCHITECTURES.items():
        if only not in (None, name):
            continue
        variants = [("", architecture.full, False), ("_small", architecture.small, False)]
        if architecture.symbolic:
            variants.append(("_small_symbolic", architecture.small, True))
        for suffix, configuration, symbolic in variants:
            path = KEPT / f"{name}{suffix}.onnx"
            model = export(architecture, configuration, symbolic)
            onnx.save(model, path)
            print(f"{path.stem}: {len(model.graph.node)} nodes, {path.stat().st_size} bytes", flush=True)


def main() -> None:
    """Export what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", action="store_true", required=True, help="write the kept graphs")
    parser.add_argument("--only", choices=ARCHITECTURES, help="one architecture")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    export_all(options.only)


if __name__ == "__main__":
    main()
