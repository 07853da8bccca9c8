"""Alignments of MNRE's real pictures."""

import io
import os
import pathlib
import re
import shutil

import browser
import jax
import numpy as np
import pytest
import tiny_run
from PIL import Image

from configs import mnre
from ifa_jax.analyze.alignment import boxes, command, page
from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.analyze.alignment.posts import PostSource
from ifa_jax.models import parameters

MNRE_DIR = os.environ.get("MNRE_DIR")
BERT_UNCASED_DIR = os.environ.get("BERT_UNCASED_DIR")

pytestmark = [
  pytest.mark.skipif(
    not (MNRE_DIR and BERT_UNCASED_DIR),
    reason="set MNRE_DIR to the published data/ folder and BERT_UNCASED_DIR",
  ),
  pytest.mark.usefixtures("fast_compilation"),
]


def write_rows_with_pictures(folder):
  """Writes MNRE's tree with the rows whose pictures exist, and ten more."""
  tree = pathlib.Path(MNRE_DIR)
  pictures = tree / "img_org"
  names = [f"'{path.name}'" for path in pictures.glob("*/*")]
  (folder / "txt").mkdir()
  for path in (tree / "txt").glob("ours_*.txt"):
    lines = path.read_text().splitlines(keepends=True)
    seen = [x for x in lines[10:] if any(name in x for name in names)]
    (folder / "txt" / path.name).write_text("".join(lines[:10] + seen))
  (folder / "img_org").symlink_to(pictures)
  shutil.copy(tree / "ours_rel2id.json", folder)
  return str(folder)


@pytest.fixture(scope="module", name="built")
def toy_model_on_mnre(tmp_path_factory, thorough):
  from ifa_jax.preparation.mnre import plan, prepare

  folder = str(tmp_path_factory.mktemp("prepared"))
  raw_dir = MNRE_DIR
  if not thorough:
    raw_dir = write_rows_with_pictures(tmp_path_factory.mktemp("raw"))
  settings = plan.Settings(
    raw_dir=raw_dir,
    data_dir=folder,
    protocol="none",
    boxes=os.path.join(MNRE_DIR, "boxes.json"),
    tokenizer=BERT_UNCASED_DIR,
    missing_pixels="absent",
    num_workers=1,
  )
  prepare.prepare(settings)
  config = mnre.get_config("tiny")
  config.data.data_dir = folder
  config.data.protocol = "none"
  return tiny_run.build(config.to_dict())


def with_pictures(built, name):
  split = built.data.split(name)
  seen = [any(counts) for counts in built.data.num_seen(split)]
  return split, command.choose(seen, len(split), "only", name)


def test_boxes_match_crops_of_real_pictures(built):
  """Cuts crops again at their positions on the square."""
  split, rows = with_pictures(built, "test")
  gaps = []
  for number in rows:
    row = alignment_split.read_row(split, number, split.describe(number))
    assert len(row.boxes["detected"]) == len(row.squares["detected"])
    for box, square in zip(
      row.boxes["detected"], row.squares["detected"], strict=True
    ):
      gaps += gap_to_crop(row, box, square)
  assert np.median(gaps) < 12
  assert len(gaps) > 30


def gap_to_crop(row, box, square):
  """Returns the mean difference of a crop inside the picture from its place."""
  place = boxes.place(box, row.picture_size, 224, 64)
  edges = [224 * edge for edge in place.grid]
  if min(edges) < 0 or max(edges) > 224:
    return []
  image = Image.open(io.BytesIO(row.squares["image"][0]))
  again = image.resize((64, 64), Image.Resampling.BICUBIC, box=tuple(edges))
  crop = Image.open(io.BytesIO(square))
  return [np.abs(np.asarray(again, int) - np.asarray(crop, int)).mean()]


# Counts posts, pictures, and pictures that decode.
_COUNTS = """<script>
const pictures = [...document.querySelectorAll("svg image")];
for (const picture of pictures) {
  const image = new Image();
  image.src = picture.getAttribute("href");
  document.body.append(image);
}
addEventListener("load", () => {
  const decoded = [...document.images].filter((image) => image.naturalWidth);
  document.title = document.querySelectorAll(".post-text").length
    + " posts, " + pictures.length + " pictures, "
    + decoded.length + " decoded";
});
</script></body>"""


@browser.needs_browser
def test_the_page_shows_every_real_picture(built, tmp_path):
  config = built.config.model
  params = jax.jit(lambda: parameters.init_params(config, jax.random.key(0)))()
  aligner = alignment_split.SplitAligner(built, params)
  posts, names = [], set()
  for name in ("train", "test"):
    split, rows = with_pictures(built, name)
    posts += aligner.posts(split, rows)
    names |= {split.describe(row).img_id for row in rows}
  assert (len(posts), len(names)) == (45 + 46, 39)
  source = PostSource("runs/toy", "test", "none", 0)
  text = page.render(source, posts, shown=0)
  path = tmp_path / "index.html"
  path.write_text(text.replace("</body>", _COUNTS), encoding="utf-8")
  shown = browser.chromium(tmp_path, path.as_uri(), "--dump-dom")
  title = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1]
  number, pictures, decoded = map(int, re.findall(r"\d+", title))
  assert number == 91
  # The whole picture of each post, and its crops of unknown position.
  assert pictures == decoded >= 91
