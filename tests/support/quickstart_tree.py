"""Reads a generated tree back: its rows, and the cells they were made from."""

import ast

from ifa_jax.preparation.quickstart import command


def rows_of(tree, split):
  """Returns the rows of a split, as its text file has them."""
  path = tree / "txt" / f"ours_{split}.txt"
  lines = path.read_text(encoding="utf-8").splitlines()
  return [ast.literal_eval(line) for line in lines]


def cells_of(settings, split):
  """Returns the (type of the tail, emblem) of every row of a split."""
  index = list(settings.splits).index(split)
  count = settings.splits[split]
  return command.split_cells([settings.seed, index], count)
