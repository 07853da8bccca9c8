"""Table 1: rows of one config file under shuffled pictures, over seeds."""
