"""The graph level as something that can be called: NumPy, op by op, with the checks of a compiled model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp

from lamina.artefact import TensorInfo
from lamina.interface import signature
from lamina.resources import ResourceStore
from lamina.targets.reference.evaluate import evaluate
from lamina.targets.signature import Signature


class ReferenceExecutable:
    """Calls `main` of a graph-level module by the NumPy reference of every op; slow, and the measure of all else.

    Takes and gives what a compiled model does, except that donated inputs are not written to.
    """

    threads = 1

    def __init__(self, module: ModuleOp, resources: ResourceStore):
        self._module = module
        self._resources = resources
        self._signature = Signature(*signature(module))

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of every input."""
        return self._signature.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of every output."""
        return self._signature.outputs

    def __call__(self, *arrays: object, **named: object) -> tuple[npt.NDArray[Any], ...]:
        """The outputs for one value per input; raises LaminaError for inputs that do not fit."""
        values = self._signature.order(arrays, named)
        inputs = [self._signature.array(index, value) for index, value in enumerate(values)]
        self._signature.check_shapes(tuple(array.shape for array in inputs))
        return tuple(np.asarray(output) for output in evaluate(self._module, inputs, self._resources))
