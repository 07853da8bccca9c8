"""Whole numbers of rows that can produce printed scores."""
