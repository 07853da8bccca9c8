"""Table 2: variants of one config file, next to the paper's scores."""
