"""Benchmarks, one command each; docs/benchmarks.md has the figures."""
