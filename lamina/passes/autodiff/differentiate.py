"""`differentiate`: derivatives of a function as further functions of the module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr

from lamina.context import resources_of
from lamina.diagnostics import LaminaError
from lamina.passes.autodiff.functions import DERIVATIVE, KINDS, differentiate
from lamina.passes.base import LaminaPass

MODES = {"forward": "jvp", "reverse": "vjp"}
"""The kind that a mode stands for."""


@dataclass(frozen=True)
class DifferentiatePass(LaminaPass):
    """Add derivatives of functions to the module.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<f32> {      →      func.func @f …  and
      %y = graph.multiply %x, %x : …                             func.func @f.grad(%x: …) -> tensor<4xf32> {
      %s = graph.reduce add %y, [0] : …                            … plain graph ops
    ```

    `function` names them, by default all that are neither private nor derivatives. `kind` is `jvp` (also
    `mode=forward`), `vjp` (the default, also `mode=reverse`), `pullback`, `gradient` or `value-and-gradient`; `wrt` are
    indices of arguments and `outputs` of results, all floats by default (for gradients the first result). `into` names
    the new function, `max_iterations` bounds loops that are differentiated backward. Derivatives can be differentiated
    again.
    """

    name = "differentiate"
    ensures: ClassVar[frozenset[str]] = frozenset()

    function: tuple[str, ...] | None = None
    mode: str | None = None
    kind: str | None = None
    wrt: tuple[int, ...] | None = None
    outputs: tuple[int, ...] | None = None
    into: str | None = None
    max_iterations: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.mode is not None and self.mode not in MODES:
            raise LaminaError(
                f"differentiate: unknown mode '{self.mode}'", hints=(f"the modes are {', '.join(MODES)}",)
            )
        kind = self.kind or MODES[self.mode or "reverse"]
        if self.mode is not None and kind in KINDS and KINDS[kind].mode != self.mode:
            raise LaminaError(f"differentiate: kind {kind} has mode {KINDS[kind].mode}, found mode={self.mode}")
        for function in public_functions(op) if self.function is None else self.function:
            differentiate(
                op,
                function,
                kind=kind,
                wrt=self.wrt,
                outputs=self.outputs,
                name=self.into,
                max_iterations=self.max_iterations,
                resources=resources_of(ctx),
            )


def public_functions(module: ModuleOp) -> list[str]:
    """The functions of a module that are neither private nor derivatives."""
    return [
        function.sym_name.data
        for function in module.ops
        if isinstance(function, func.FuncOp)
        and function.sym_visibility != StringAttr("private")
        and DERIVATIVE not in function.attributes
    ]
