"""Layers and models: modules are trees of their parameters, named and shaped as PyTorch's."""

from lamina.frontends.python.nn.attention import KeyValueCache, MultiHeadAttention
from lamina.frontends.python.nn.containers import Sequential
from lamina.frontends.python.nn.convolution import (
    AvgPool,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    MaxPool,
    Upsample,
)
from lamina.frontends.python.nn.files import load, save
from lamina.frontends.python.nn.layers import Dropout, Embedding, Linear
from lamina.frontends.python.nn.module import (
    Module,
    Parameter,
    cast,
    count_parameters,
    initialize,
    is_training,
    merge,
    named_parameters,
    parameter,
    split,
    training,
)
from lamina.frontends.python.nn.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from lamina.frontends.python.nn.recurrent import GRU, LSTM

__all__ = [
    "GRU",
    "LSTM",
    "AvgPool",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Embedding",
    "GroupNorm",
    "KeyValueCache",
    "LayerNorm",
    "Linear",
    "MaxPool",
    "Module",
    "MultiHeadAttention",
    "Parameter",
    "RMSNorm",
    "Sequential",
    "Upsample",
    "cast",
    "count_parameters",
    "initialize",
    "is_training",
    "load",
    "merge",
    "named_parameters",
    "parameter",
    "save",
    "split",
    "training",
]
