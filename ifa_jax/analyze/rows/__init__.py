"""Variants of one config file as trained runs, for Tables 1 and 2."""
