"""Training that survives interruptions and non-finite numbers.

preemption            SIGTERM and SIGINT
pending_checkpoint    a state that is saved once it is known to be finite
nonfinite             steps whose loss or gradient is not finite
nonfinite_search      the first array that was not finite
"""
