"""Canonicalization patterns of the graph dialect, one file per family, loaded when first asked for."""
