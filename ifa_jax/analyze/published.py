"""The scores that the paper prints (arXiv:2211.07504), and MNRE's class counts.

Percent, as printed: rounded to two decimals.
"""

from typing import NamedTuple


class Figures(NamedTuple):
  """A printed row, in percent.

  Attributes:
    accuracy: over all rows.
    precision: micro, without None.
    recall: micro, without None.
    f1: of these two; None if it is not printed.
  """

  accuracy: float
  precision: float
  recall: float
  f1: float | None = None


class ClassCounts(NamedTuple):
  """The rows of a split.

  Attributes:
    num_rows: all of them.
    num_relations: those whose gold label is a relation, not None.
  """

  num_rows: int
  num_relations: int


class PublishedRow(NamedTuple):
  """A row of one of the paper's tables."""

  table: str
  name: str
  figures: Figures


# MNRE as DeepKE publishes it.
TEST = ClassCounts(num_rows=1614, num_relations=640)
VAL = ClassCounts(num_rows=1624, num_relations=624)

_MTB = Figures(75.34, 63.28, 65.16, 64.20)
_MEGA = Figures(76.15, 64.51, 68.44, 66.41)
_OBJECTS = Figures(92.38, 82.59, 80.78, 81.67)

_TABLE_1 = {
  "MTB, standard": _MTB,
  "MTB, shuffle(train)": _MTB,
  "MTB, shuffle(test)": _MTB,
  "MEGA, standard": _MEGA,
  "MEGA, shuffle(train)": Figures(76.15, 65.35, 64.53, 64.94),
  "MEGA, shuffle(test)": Figures(75.40, 63.30, 66.56, 64.89),
  "IFAformer, standard": _OBJECTS,
  "IFAformer, shuffle(train)": Figures(74.23, 60.84, 67.97, 64.21),
  "IFAformer, shuffle(test)": Figures(47.71, 29.82, 29.22, 29.52),
}

_TABLE_2 = {
  "PCNN": Figures(73.36, 69.14, 43.75, 53.59),
  "BERT": Figures(71.13, 58.51, 60.16, 59.32),
  "MTB": _MTB,
  "BERT+SG+Att.": Figures(74.59, 60.97, 66.56, 63.64),
  "ViLBERT": Figures(74.89, 64.50, 61.86, 63.61),
  "MEGA": _MEGA,
  "Vanilla IFAformer": Figures(87.75, 69.90, 68.11, 68.99),
  "w/o Text Attn.": Figures(76.21, 66.95, 61.72, 64.23),
  "w/ Visual Objects": _OBJECTS,
}

ROWS = tuple(
  PublishedRow(table, name, figures)
  for table, rows in (("Table 1", _TABLE_1), ("Table 2", _TABLE_2))
  for name, figures in rows.items()
)

# What MEGA's own paper prints and this paper's Table 2 leaves out.
_BERT_SG = PublishedRow(
  "MEGA's paper", "BERT+SG", Figures(74.09, 62.95, 62.65, 62.80)
)

# The row that a variant of configs/ stands for.
VARIANTS = {
  variant: PublishedRow("Table 2", name, _TABLE_2[name])
  for variant, name in (
    ("pcnn", "PCNN"),
    ("bert", "BERT"),
    ("mtb", "MTB"),
    ("bert_sg_att", "BERT+SG+Att."),
    ("vilbert", "ViLBERT"),
    ("mega", "MEGA"),
    ("mega_released", "MEGA"),
    ("vanilla", "Vanilla IFAformer"),
    ("no_text_attention", "w/o Text Attn."),
    ("objects", "w/ Visual Objects"),
    ("released", "w/ Visual Objects"),
  )
} | {"bert_sg": _BERT_SG}
# Those that read the published crops, whose number tells the label.
READ_CROPS = ("objects", "released")
