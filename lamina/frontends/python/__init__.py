"""The Python front end: `trace` runs a function on traced values and gives the graph-level module of what it did."""

from lamina.frontends.python import nn, ops
from lamina.frontends.python.specs import Spec, spec
from lamina.frontends.python.trace import TracedModule, trace
from lamina.frontends.python.tracer import Traced

__all__ = ["Spec", "Traced", "TracedModule", "nn", "ops", "spec", "trace"]
