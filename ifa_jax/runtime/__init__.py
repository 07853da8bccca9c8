"""Processes, devices, memory and compiled code. Knows nothing of models."""
