"""The page of own posts: without gold relation, for one post, in a frame."""

import dataclasses
import html
import html.parser
import re

import aligned
import browser
import numpy as np
from PIL import Image

from ifa_jax.analyze.alignment import page as alignment_page
from ifa_jax.analyze.alignment.maps import Column, Shares
from ifa_jax.analyze.alignment.posts import PostSource
from ifa_jax.data.images import decode

OWN = PostSource("runs/objects", None, "clean", 375)


def own_posts(num):
  """Returns posts without a gold relation."""
  return [
    aligned.make_post(i, blanked=0.1 * i, gold=None) for i in range(1, 1 + num)
  ]


class Controls(html.parser.HTMLParser):
  """Collects the ids of selects, boxes and outputs that are not hidden."""

  _AROUND = ("form", "label", "output")

  def __init__(self, text):
    super().__init__()
    self.seen, self._hidden = [], []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    attributes = dict(attributes)
    if tag in self._AROUND:
      self._hidden.append("hidden" in attributes)
    if tag in ("select", "input", "output") and not any(self._hidden):
      self.seen.append(attributes["id"])

  def handle_endtag(self, tag):
    if tag in self._AROUND:
      self._hidden.pop()


def test_without_gold_only_the_prediction_is_shown():
  text = alignment_page.render(OWN, own_posts(2), shown=0)
  body = text[text.index("<body>") : text.index("<script>")]
  assert "your own posts, protocol clean" in body
  assert not re.search(r"\bgold\b(?!=)|>wrong<|>right<|[Ee]rrors first", body)
  assert body.count("predicted <b>a</b>") == 2
  assert Controls(text).seen == ["sort", "map", "count"]


def test_single_post_has_no_sort_control():
  text = alignment_page.render(OWN, own_posts(1), shown=0)
  assert Controls(text).seen == ["map"]
  both = [*own_posts(1), aligned.make_post(2, gold="b")]
  text = alignment_page.render(OWN, both, shown=0)
  assert Controls(text).seen == ["sort", "map", "wrong", "count"]


@browser.needs_browser
def test_unavailable_sort_key_keeps_the_order(tmp_path):
  path = tmp_path / "index.html"
  path.write_text(alignment_page.render(OWN, own_posts(3), shown=0))
  address = f"{path.as_uri()}#sort=error&map=0"
  shown = browser.chromium(tmp_path, address, "--dump-dom")
  ids = re.findall(r'data-id="([^"]*)"', shown)
  assert ids == ["test/1", "test/2", "test/3"]
  assert ">3 of 3 posts</output>" in shown


# Selects the second map and reports the result to the parent page.
_CHOOSE = """<script>
const problems = [];
addEventListener("error", (event) => problems.push(event.message));
addEventListener("load", () => {
  const map = document.getElementById("map");
  map.selectedIndex = 1;
  map.dispatchEvent(new Event("change", { bubbles: true }));
  const cells = [...document.querySelectorAll("td.picture")].slice(0, 4);
  const picture = document.querySelector("svg use").getBBox().width;
  const high = document.documentElement.scrollHeight;
  parent.postMessage([...cells.map((cell) => cell.textContent), picture,
    high <= innerHeight, origin, problems.length].join(" "), "*");
});
</script></body>"""
_AROUND = """<!doctype html><title>waiting</title><script>
addEventListener("message", (event) => { document.title = event.data; });
</script><iframe sandbox="allow-scripts" width="1100" height="800"
 srcdoc="PAGE"></iframe>"""


@browser.needs_browser
def test_page_works_in_a_sandboxed_frame(tmp_path):
  (post,) = own_posts(1)
  page = alignment_page.render(OWN, [post], shown=0)
  inside = html.escape(page.replace("</body>", _CHOOSE))
  path = tmp_path / "index.html"
  path.write_text(_AROUND.replace("PAGE", inside), encoding="utf-8")
  # In its own process, the frame might report after the page is dumped.
  together = "--disable-features=IsolateSandboxedIframes"
  shown = browser.chromium(tmp_path, path.as_uri(), together, "--dump-dom")
  title = re.search(r"<title>(.*?)</title>", shown)[1]
  cells = post.alignment.words.pictures[1].ravel()[:4]
  wanted = " ".join(f"{100 * cell:.1f}" for cell in cells)
  assert title == f"{wanted} 100 true null 0"


# Only the objects of the head, 400 pixels wide.
_PANEL = """<style>section:first-of-type figure svg { position: fixed;
  inset: 0; width: 400px; height: 400px; z-index: 9; }</style></body>"""


@browser.needs_browser
def test_overlapping_objects_show_the_largest_weight(tmp_path):
  """One object on the left; the same and four lesser ones on the right."""
  post = aligned.make_post(num_squares=(1, 0, 0))
  columns = [Column("object", i, i) for i in range(6)]
  left, right = (0.0, 0.0, 50.0, 100.0), (50.0, 0.0, 100.0, 100.0)
  grey = decode.encode_png(decode.grey(56))
  row = post.row._replace(
    picture_size=(100, 100),
    boxes={"object": [left, *[right] * 5]},
    squares={"image": [grey]},
    objects=columns,
  )
  weights = {"head": [0.2, 0.2, *[0.05] * 4], "tail": [0.4] * 6}
  patches = {
    name: [np.full((3, 1, 1), weight) for weight in each]
    for name, each in weights.items()
  }
  words, markers = (
    Shares(np.zeros((3, rows, 6)), np.zeros((3, rows, 3))) for rows in (3, 2)
  )
  alignment = post.alignment._replace(
    columns=columns, patches=patches, words=words, markers=markers
  )
  post = dataclasses.replace(post, row=row, alignment=alignment, gold=None)
  page = tmp_path / "index.html"
  text = alignment_page.render(OWN, [post], shown=0)
  page.write_text(text.replace("</body>", _PANEL), encoding="utf-8")
  path = tmp_path / "page.png"
  browser.chromium(
    tmp_path, page.as_uri(), f"--screenshot={path}", "--window-size=600,600"
  )
  pixels = np.asarray(Image.open(path).convert("RGB"), int)
  # Orange of alpha 0.75 / 2 over middle grey.
  wanted = [0.625 * 128 + 0.375 * c for c in (255, 107, 0)]
  for x in (100, 300):
    np.testing.assert_allclose(pixels[200, x], wanted, atol=4)
