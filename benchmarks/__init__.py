"""Benchmarks, one command each; README.md has the figures."""
