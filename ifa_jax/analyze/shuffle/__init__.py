"""Table 1: scores with the pictures of other rows, and with none."""
