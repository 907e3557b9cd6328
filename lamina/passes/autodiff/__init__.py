"""Automatic differentiation: `differentiate` adds derivatives of a function to its module."""

from __future__ import annotations

from lamina.passes.autodiff.functions import KINDS, differentiate

__all__ = ["KINDS", "differentiate"]
