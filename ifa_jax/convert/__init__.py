"""Weights of other programs to this model's parameters.

engine    one table of rules in, nested parameters out, strict both ways
deepke    the table of DeepKE's `best_model.pth`
"""

from ifa_jax.convert.deepke import from_deepke

__all__ = ["from_deepke"]
