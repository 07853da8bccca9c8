"""Do objects mislead? Repeated, missing, doubled and exchanged objects."""
