"""The machine: processes, devices, memory, compiled code. Knows no model.

distributed          joins the processes of a run (jax.distributed)
collectives          agreement between processes
data_parallel        a step over devices: pmap, or jit over a mesh
platforms            devices that JAX cannot start
compilation_cache    compiled code, kept for the next start
prefetch             batches, read while the device computes
malloc               memory, kept from one step to the next
xla_flags            flags of XLA that keep wrong sums out
optional_imports     imports without costly optional dependencies
tensorflow           TensorFlow without Keras
"""
