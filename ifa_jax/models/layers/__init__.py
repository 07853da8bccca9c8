"""Layers that every system is built of.

transformer  linear maps, norms, dropout; attention over own and lent tokens
matmul       matrix products, with their gradients written out
packing      texts without the padding between them
layer_layout layers apart, or stacked
scan         equal layers as one: run, and drawn
"""
