"""Scores on MNRE as papers print them, and MNRE's class counts.

In percent, rounded to two decimals.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Figures(NamedTuple):
  """A printed row: accuracy over all rows, micro scores without None.

  Accuracy and F1 are None if they are not printed.
  """

  accuracy: float | None
  precision: float
  recall: float
  f1: float | None = None


class ClassCounts(NamedTuple):
  """The rows of a split, and those whose gold label is a relation, not None."""

  num_rows: int
  num_relations: int


class PublishedRow(NamedTuple):
  """A row of a table."""

  table: str  # "Table 1" or "Table 2" of the paper, or another name.
  name: str
  figures: Figures
  variants: tuple[str, ...]  # Those of configs/ that reproduce the row.
  reported_by: str  # The paper that printed these figures first.


# IFAformer's paper; MEGA's and those of later systems.
PAPER = "arXiv:2211.07504"
_PAPERS = {
  "": PAPER,
  "MEGA": "MEGA (ACM MM 2021)",
  "MKGformer": "MKGformer (arXiv:2205.02357)",
  "HVFormer": "HVFormer (AAAI 2024)",
  "HVPNeT": "HVPNeT (arXiv:2205.03521)",
}

# Protocol of the crops that `objects` and later systems were published with.
PROTOCOL = "released"

# MNRE as DeepKE publishes it.
TEST = ClassCounts(num_rows=1614, num_relations=640)
VAL = ClassCounts(num_rows=1624, num_relations=624)

LATER = "Later systems"

# Row | accuracy, precision, recall, F1 | variants | first printed by.
_PRINTED = {
  "Table 1": """
    MTB, standard             | 75.34 63.28 65.16 64.20 | mtb |
    MTB, shuffle(train)       | 75.34 63.28 65.16 64.20 | mtb |
    MTB, shuffle(test)        | 75.34 63.28 65.16 64.20 | mtb |
    MEGA, standard            | 76.15 64.51 68.44 66.41 | mega | MEGA
    MEGA, shuffle(train)      | 76.15 65.35 64.53 64.94 | mega |
    MEGA, shuffle(test)       | 75.40 63.30 66.56 64.89 | mega |
    IFAformer, standard       | 92.38 82.59 80.78 81.67 | objects |
    IFAformer, shuffle(train) | 74.23 60.84 67.97 64.21 | objects |
    IFAformer, shuffle(test)  | 47.71 29.82 29.22 29.52 | objects |
  """,
  "Table 2": """
    PCNN              | 73.36 69.14 43.75 53.59 | pcnn |
    BERT              | 71.13 58.51 60.16 59.32 | bert |
    MTB               | 75.34 63.28 65.16 64.20 | mtb |
    BERT+SG+Att.      | 74.59 60.97 66.56 63.64 | bert_sg_att | MEGA
    ViLBERT           | 74.89 64.50 61.86 63.61 | vilbert |
    MEGA              | 76.15 64.51 68.44 66.41 | mega mega_released | MEGA
    Vanilla IFAformer | 87.75 69.90 68.11 68.99 | vanilla |
    w/o Text Attn.    | 76.21 66.95 61.72 64.23 | no_text_attention |
    w/ Visual Objects | 92.38 82.59 80.78 81.67 | objects released |
  """,
  LATER: """
    MKGformer | - 82.67 81.25 81.95 | mkgformer mkgformer_released | MKGformer
    HVFormer  | - 84.14 82.65 83.39 | hvformer | HVFormer
    HVPNeT    | 92.52 83.64 80.78 81.85 | hvpnet hvpnet_released | HVPNeT
  """,
  # Table 2 leaves this row out.
  "MEGA's paper": "BERT+SG | 74.09 62.95 62.65 62.80 | bert_sg | MEGA",
}


def _read(table: str) -> Iterator[PublishedRow]:
  for line in _PRINTED[table].strip().splitlines():
    name, percents, variants, source = (x.strip() for x in line.split("|"))
    figures: Any = (None if x == "-" else float(x) for x in percents.split())
    yield PublishedRow(
      table, name, Figures(*figures), (*variants.split(),), _PAPERS[source]
    )


# The rows to audit, and those of all variants, in Table 2 rather than Table 1.
ROWS = tuple(row for x in ("Table 1", "Table 2", LATER) for row in _read(x))
VARIANTS = {
  name: row for x in _PRINTED for row in _read(x) for name in row.variants
}
# Table 1, by variant and condition.
SHUFFLED = {
  (name, row.name.split(", ")[1]): row.figures
  for row in _read("Table 1")
  for name in row.variants
}
# Variants that read the published crops, whose number reveals the label.
READ_CROPS = tuple(
  name
  for name, row in VARIANTS.items()
  if row.table == LATER or row.name == "w/ Visual Objects"
)


def of_table(table: str) -> list[str]:
  """Returns the variants that reproduce rows of a table, in its order."""
  return [*dict.fromkeys(x for row in _read(table) for x in row.variants)]


def other_rows(found: ClassCounts) -> list[str]:
  """Returns a line if test rows are not as many as the paper's, else none."""
  if found == TEST:
    return []
  return [
    f"these are other rows than the paper's: {found.num_rows} with"
    f" {found.num_relations} relations, not {TEST.num_rows} with"
    f" {TEST.num_relations}"
  ]
