"""Settings of a run: typed in `run_config`, and resolved once by `resolve`."""
