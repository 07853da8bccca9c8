"""Systems on the same rows: differences, relations, disagreements."""
