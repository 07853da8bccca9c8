"""Building blocks of all systems.

transformer   linear maps, norms, dropout, attention over own and lent tokens
matmul        matrix products with explicit gradients
packing       texts without padding
layer_layout  the conversion between separate and stacked layers
scan          runs stacked layers; initialises equal layers together
"""
