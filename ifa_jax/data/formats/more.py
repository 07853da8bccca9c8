"""MORE and UMRE: relations of objects of a picture, see `objects`.

    {'token': ['Ann', 'joins', 'Acme'], 'img_id': 'a.jpg', 'relation': 'self',
     'h': {'name': 'Ann', 'pos': [0, 1]},
     't': {'name': '[OBJ0]', 'pos': [0.1, 0.2, 0.5, 0.9]}}

A line is a row: words and a picture, with a head and a tail, each of which is a
part of the text or an object of the picture. A list has the boxes of all
objects of each picture by name. Both formats are known from the loaders of
their authors, whose lines the classes cite; the files were not at hand.
"""

from collections.abc import Sequence
from typing import Any

from ifa_jax.data import schema
from ifa_jax.data.formats.objects import WithObjects
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import RowError
from ifa_jax.files.shown import shown


class More(WithObjects):
  """MORE (github.com/NJUNLP/MORE at f523eed).

  `txt/{train,valid,test}.txt`, `ent_{train,valid,test}_dict.pth`, `rel2id.json`
  and `img_org/{train,valid,test}/` (run.py:24-59) in Python literals
  (processor/dataset.py:34). The head is in the text, `pos` its words, the end
  exclusive (:98-101); the tail is an object, and only its name is read (:115).
  A box is (centre x, centre y, width, height) in fractions of the picture
  (:140-142), at most 10 of a picture (:78).
  """

  name = "more"

  def __init__(self, raw_dir: str):
    """Finds the files.

    Raises:
      ValueError: if one is missing.
    """
    names = dict(zip(schema.SPLITS, ("train", "valid", "test"), strict=True))
    super().__init__(
      raw_dir,
      {split: f"txt/{name}.txt" for split, name in names.items()},
      {split: f"ent_{name}_dict.pth" for split, name in names.items()},
      "rel2id.json",
      "img_org",
    )

  def is_object(self, where: str, key: str, entity: dict[str, Any]) -> bool:
    """Returns whether it is the tail."""
    return key == "t"

  def corners(self, box: Sequence[float]) -> Sequence[float]:
    """Returns the corners of a box of a centre and sizes."""
    x, y, width, height = box
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


class Umre(WithObjects):
  """UMRE (github.com/Nikol-coder/REMOTE at fc567a4).

  `umke_partner/{train,val,test}_set.json` and `pos_umke.json`, one list of all
  splits, `UMKE_IMG/` (ROMOTE_code/run_umke_best.py:30-48), and
  `rel2id_umke_partner.json` of the repository. The texts are Python literals
  despite their names (ROMOTE_code/processor/dataset_umke_best.py:36). A head or
  tail with a `pos` of two numbers is in the text (:115-124), and its name may
  be a list of words (:168); with four it is an object, and only its name is
  read (:148-156). A box is (x0, y0, x1, y1) in fractions (:219-222), at most 12
  of a picture (:92). Comments there show boxes of MORE's form (:55, :142): a
  file that has them ends with an error here.
  """

  name = "umre"

  def __init__(self, raw_dir: str):
    """Finds the files.

    Raises:
      ValueError: if one is missing.
    """
    super().__init__(
      raw_dir,
      {split: f"umke_partner/{split}_set.json" for split in schema.SPLITS},
      dict.fromkeys(schema.SPLITS, "umke_partner/pos_umke.json"),
      "rel2id_umke_partner.json",
      "UMKE_IMG",
    )

  def is_object(self, where: str, key: str, entity: dict[str, Any]) -> bool:
    """Returns whether an entity has four edges in place of two words."""
    pos, name = entity.get("pos"), entity.get("name")
    if not isinstance(pos, (list, tuple)) or len(pos) not in (2, 4):
      raise RowError(
        where,
        "wrong type",
        f"expected a pos of 2 words or of 4 edges in {key!r}, got"
        f" {shown(entity)}",
      )
    if isinstance(name, list) and all(map(rows.is_text, name)):
      entity["name"] = " ".join(name)
    return len(pos) == 4

  def corners(self, box: Sequence[float]) -> Sequence[float]:
    """Returns the box."""
    return box
