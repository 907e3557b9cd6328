"""Automatic differentiation: the pass `differentiate`, rules by op family, and what they share."""
