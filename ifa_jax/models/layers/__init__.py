"""Layers that every system is built of.

attention    multi-head attention, over own and lent tokens
matmul       matrix products, with their gradients written out
dropout      dropout
packing      texts without the padding between them
scan         equal layers, stacked and compiled as one
draws        initial values of equal layers, drawn together
"""
