"""Layers that every system is built of.

attention    multi-head attention, over own and lent tokens
matmul       matrix products, with their gradients written out
dropout      dropout
packing      texts without the padding between them
layer_layout layers apart, or stacked
scan         equal layers as one: run, and drawn
"""
