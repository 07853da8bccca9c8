"""Scores on MNRE as papers print them, and MNRE's class counts.

In percent, rounded to two decimals.
"""

from typing import NamedTuple


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


# IFAformer's paper, and those that printed other rows first.
PAPER = "arXiv:2211.07504"
_MEGA = "MEGA (ACM MM 2021)"
_MKGFORMER = "MKGformer (arXiv:2205.02357)"
_HVFORMER = "HVFormer (AAAI 2024)"
_HVPNET = "HVPNeT (arXiv:2205.03521)"


class PublishedRow(NamedTuple):
  """A row of a table.

  Attributes:
    table: "Table 1" or "Table 2" of the paper, or another name.
    name: of the row.
    figures: as printed.
    variants: those of configs/ that reproduce the row.
    reported_by: the paper that printed these figures first.
  """

  table: str
  name: str
  figures: Figures
  variants: tuple[str, ...] = ()
  reported_by: str = PAPER


# Protocol of the crops that `objects` and later systems were published with.
PROTOCOL = "released"

# MNRE as DeepKE publishes it.
TEST = ClassCounts(num_rows=1614, num_relations=640)
VAL = ClassCounts(num_rows=1624, num_relations=624)

LATER = "Later systems"

_MTB_FIGURES = Figures(75.34, 63.28, 65.16, 64.20)
_MEGA_FIGURES = Figures(76.15, 64.51, 68.44, 66.41)
_OBJECTS_FIGURES = Figures(92.38, 82.59, 80.78, 81.67)

_TABLE_1 = [
  ("MTB, standard", _MTB_FIGURES),
  ("MTB, shuffle(train)", _MTB_FIGURES),
  ("MTB, shuffle(test)", _MTB_FIGURES),
  ("MEGA, standard", _MEGA_FIGURES, (), _MEGA),
  ("MEGA, shuffle(train)", Figures(76.15, 65.35, 64.53, 64.94)),
  ("MEGA, shuffle(test)", Figures(75.40, 63.30, 66.56, 64.89)),
  ("IFAformer, standard", _OBJECTS_FIGURES),
  ("IFAformer, shuffle(train)", Figures(74.23, 60.84, 67.97, 64.21)),
  ("IFAformer, shuffle(test)", Figures(47.71, 29.82, 29.22, 29.52)),
]
_SG_ATT_FIGURES = Figures(74.59, 60.97, 66.56, 63.64)
_NO_ATTENTION_FIGURES = Figures(76.21, 66.95, 61.72, 64.23)
_TABLE_2 = [
  ("PCNN", Figures(73.36, 69.14, 43.75, 53.59), ("pcnn",)),
  ("BERT", Figures(71.13, 58.51, 60.16, 59.32), ("bert",)),
  ("MTB", _MTB_FIGURES, ("mtb",)),
  ("BERT+SG+Att.", _SG_ATT_FIGURES, ("bert_sg_att",), _MEGA),
  ("ViLBERT", Figures(74.89, 64.50, 61.86, 63.61), ("vilbert",)),
  ("MEGA", _MEGA_FIGURES, ("mega", "mega_released"), _MEGA),
  ("Vanilla IFAformer", Figures(87.75, 69.90, 68.11, 68.99), ("vanilla",)),
  ("w/o Text Attn.", _NO_ATTENTION_FIGURES, ("no_text_attention",)),
  ("w/ Visual Objects", _OBJECTS_FIGURES, ("objects", "released")),
]
_LATER = [
  (
    "MKGformer",
    Figures(None, 82.67, 81.25, 81.95),
    ("mkgformer", "mkgformer_released"),
    _MKGFORMER,
  ),
  ("HVFormer", Figures(None, 84.14, 82.65, 83.39), ("hvformer",), _HVFORMER),
  (
    "HVPNeT",
    Figures(92.52, 83.64, 80.78, 81.85),
    ("hvpnet", "hvpnet_released"),
    _HVPNET,
  ),
]
ROWS = tuple(
  PublishedRow(table, *row)
  for table, rows in (
    ("Table 1", _TABLE_1),
    ("Table 2", _TABLE_2),
    (LATER, _LATER),
  )
  for row in rows
)

# Table 2 leaves out this row of MEGA's paper.
_BERT_SG = PublishedRow(
  "MEGA's paper",
  "BERT+SG",
  Figures(74.09, 62.95, 62.65, 62.80),
  ("bert_sg",),
  _MEGA,
)
VARIANTS = {name: row for row in (*ROWS, _BERT_SG) for name in row.variants}
# Variants that read the published crops, whose number reveals the label.
READ_CROPS = tuple(
  name
  for name, row in VARIANTS.items()
  if row.table == LATER or row.name == "w/ Visual Objects"
)
