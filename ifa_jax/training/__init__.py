"""Settings of training runs: defaults, and those of the compared systems."""
