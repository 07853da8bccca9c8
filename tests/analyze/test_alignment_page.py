"""The page of alignments, read as text and opened in a headless Chromium."""

import dataclasses
import html.parser
import re

import aligned
import browser
import numpy as np
import pytest
from PIL import Image

from ifa_jax.analyze.alignment import page as alignment_page
from ifa_jax.analyze.alignment.posts import PostSource

SCRIPT = "<script>document.title='x'</script>"
LONG = "loooo" * 12
ARABIC = ("محمد", "يعمل", "في", "القاهرة")
SOURCE = PostSource("runs/<b>objects", "test", "clean", 375)


def odd_posts():
  """Returns posts with ids test/1 to test/6.

  2 and 5 are wrong, with gold probabilities 0.3 and 0.2. The change without
  pictures decreases in the order 3, 6, 1, 5, 4, 2.
  """
  make = aligned.make_post
  return [
    make(1, ("Ann", "joins", "Acme"), (1, 1, 2), probability=0.6, blanked=0.5),
    make(
      2,
      ("Ann", LONG, "Acme"),
      (0, 0, 0),
      probability=0.7,
      blanked=0.7,
      gold="b",
    ),
    make(3, ARABIC, (1, 3, 3), probability=0.9, blanked=0.4),
    make(4, ("Ann", SCRIPT, "&amp;"), (1, 0, 0), probability=0.8, blanked=0.78),
    make(
      5,
      ("A", "B"),
      (0, 2, 1),
      boxed=False,
      probability=0.8,
      blanked=0.75,
      gold="b",
    ),
    make(6, ("A", "B"), (1, 2, 3), boxed=False, probability=0.7, blanked=0.5),
  ]


@pytest.fixture(scope="module", name="text")
def page_as_text():
  return alignment_page.render(SOURCE, odd_posts(), shown=0)


@pytest.fixture(scope="module", name="page")
def page_in_a_file(text, tmp_path_factory):
  path = tmp_path_factory.mktemp("page") / "index.html"
  path.write_text(text, encoding="utf-8")
  return path


class Reader(html.parser.HTMLParser):
  """Collects posts, their words and all addresses of a page."""

  def __init__(self, text):
    super().__init__()
    self.posts, self.addresses, self.tags, self.data = [], [], [], []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    attributes = dict(attributes)
    self.tags.append(tag)
    for name in ("src", "href", "action", "data", "poster", "srcset"):
      if name in attributes:
        self.addresses.append(attributes[name])
    if tag == "article":
      self.posts.append(attributes)

  def handle_data(self, data):
    self.data.append(data)

  def ids(self):
    return [post["data-id"] for post in self.posts if "hidden" not in post]


def test_title_has_run_split_protocol_and_step(text):
  line = (
    "Alignment of runs/&lt;b&gt;objects, split test, protocol clean, checkpoint"
    " at step 375"
  )
  assert f"<title>{line}</title>" in text
  body = text[text.index("<body>") :]
  assert body.startswith(f"<body>\n<h1>{line}</h1>")


def test_the_inputs_that_are_masked_are_named():
  post = aligned.make_post()
  kind = post.alignment.kind._replace(inputs="captions")
  aligned_post = post.alignment._replace(kind=kind)
  post = dataclasses.replace(post, alignment=aligned_post)
  text = alignment_page.render(SOURCE, [post], shown=0)
  assert '<th scope="col">with captions</th>' in text
  assert "change without captions <b>" in text
  assert "with the captions and without any: half" in text
  assert "with pictures" not in text
  assert "without pictures" not in text


def test_page_loads_nothing_external(text):
  reader = Reader(text)
  assert reader.addresses
  for address in reader.addresses:
    assert re.match(r"data:(image/png;base64,|,$)|#", address), address[:60]
  assert "http://" not in text.replace("http://www.w3.org/", "")
  assert "https://" not in text
  assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttp|import\(", text)
  assert not {"iframe", "object", "embed"} & set(reader.tags)


def test_posts_are_escaped(text):
  reader = Reader(text)
  assert SCRIPT not in text
  # The script of the page itself.
  assert reader.tags.count("script") == 1
  assert reader.tags.count("b") == 3 * len(odd_posts())
  everything = "".join(reader.data)
  assert everything.count(SCRIPT) == 2
  assert LONG in everything
  # In the text, the map, and the title of the tail.
  assert "&amp;amp;" in text
  assert "&amp;" in everything


def test_each_picture_is_stored_once(text):
  stored = re.findall(r'href="(data:image/png[^"]+)"', text)
  assert len(stored) == len(set(stored))
  # Pictures, and crops of unknown position.
  assert len(stored) == 1 + 1 + 1 + (2 + 1) + (1 + 2 + 3)


def test_missing_pictures_are_reported(text):
  articles = text.split("<article")[1:]
  said = "There is no picture of this post."
  assert [said in article for article in articles] == [
    post.picture is None for post in odd_posts()
  ]
  nothing = "No picture and no crop: there is nothing to align."
  assert [nothing in article for article in articles] == [
    False,
    True,
    *[False] * 4,
  ]
  assert articles[2].count('<td class="picture"') == 7 * (len(ARABIC) + 2)


def test_cells_have_all_maps_and_show_the_first(text):
  post = odd_posts()[0]
  article = text.split("<article")[1]
  found = re.findall(
    r'<td class="picture" data-v="([^"]*)">([^<]*)</td>',
    article,
  )
  shares = post.alignment.words.pictures
  num_words, num_columns = shares.shape[1:]
  assert len(found) == (num_words + 2) * num_columns
  both = [shares[0], post.alignment.markers.pictures[0]]
  cells = np.concatenate(both).ravel()
  for (layers, percent), cell in zip(found, cells, strict=True):
    assert float(layers.split()[0]) == pytest.approx(cell, rel=0.01)
    assert float(percent) == pytest.approx(100 * cell, abs=0.051)


ORDERS = {
  "": ["1", "2", "3", "4", "5", "6"],
  "#sort=error": ["5", "2", "1", "6", "4", "3"],
  "#sort=change": ["3", "6", "1", "5", "4", "2"],
  "#sort=change&wrong=1": ["5", "2"],
  "#sort=nonsense&map=99": ["1", "2", "3", "4", "5", "6"],
}


@browser.needs_browser
@pytest.mark.parametrize("fragment", ORDERS)
def test_fragment_sorts_posts(page, tmp_path, fragment):
  shown = browser.chromium(tmp_path, page.as_uri() + fragment, "--dump-dom")
  reader = Reader(shown)
  wanted = [f"test/{number}" for number in ORDERS[fragment]]
  assert reader.ids() == wanted
  assert len(reader.posts) == 6
  assert f"{len(wanted)} of 6 posts" in "".join(reader.data)
  # Scripts in a post are not executed.
  assert "<title>Alignment of " in shown


@browser.needs_browser
@pytest.mark.parametrize(("fragment", "index"), [("", 0), ("#map=1", 2)])
def test_fragment_selects_the_map(page, tmp_path, fragment, index):
  shown = browser.chromium(tmp_path, page.as_uri() + fragment, "--dump-dom")
  post = odd_posts()[0]
  article = shown.split("<article")[1]
  found = re.findall(r'<td class="picture"[^>]*>([^<]*)</td>', article)
  shares = post.alignment
  both = [shares.words.pictures[index], shares.markers.pictures[index]]
  cells = np.concatenate(both).ravel()
  np.testing.assert_allclose([*map(float, found)], 100 * cells, atol=0.11)
  heats = re.findall(r'class="picture"[^>]*--v: ?([0-9.]+)', article)
  wanted = cells / cells.max()
  np.testing.assert_allclose([*map(float, heats)], wanted, atol=0.01)


@browser.needs_browser
@pytest.mark.parametrize("width", [1280, 500])
def test_page_is_rendered(page, tmp_path, width):
  path = tmp_path / "page.png"
  browser.chromium(
    tmp_path,
    page.as_uri(),
    f"--screenshot={path}",
    f"--window-size={width},4000",
  )
  pixels = np.asarray(Image.open(path).convert("RGB"), int)
  assert pixels.shape[1] == width
  first = pixels[:1500]
  assert first.std() > 10
  # Orange cells and patches.
  orange = (first[..., 0] > 200) & (first[..., 2] < 120)
  assert orange.sum() > 1000


# Chromium's window is never below 500 pixels; the page's root may be. The title
# lists the elements that need horizontal scrolling.
_NARROW = """<style>html { width: 360px; }</style><script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(
    (part) => !part.closest(".scroll > *, .store, svg *")
      && part.getBoundingClientRect().right > 361);
  document.title = "wide: " + wide.map((part) => part.outerHTML).join(" ");
});
</script></body>"""


@browser.needs_browser
def test_narrow_screens_need_no_scrolling(text, tmp_path):
  path = tmp_path / "index.html"
  path.write_text(text.replace("</body>", _NARROW), encoding="utf-8")
  shown = browser.chromium(tmp_path, path.as_uri(), "--dump-dom")
  title = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1]
  assert title == "wide: "


# Text directions; Arabic starts on the right.
_DIRECTIONS = """<script>
addEventListener("load", () => {
  document.title = [...document.querySelectorAll(".post-text")].map(
    (text) => getComputedStyle(text).direction).join(" ");
});
</script></body>"""


@browser.needs_browser
def test_right_to_left_text_starts_on_the_right(text, tmp_path):
  path = tmp_path / "index.html"
  path.write_text(text.replace("</body>", _DIRECTIONS), encoding="utf-8")
  shown = browser.chromium(tmp_path, path.as_uri(), "--dump-dom")
  assert "<title>ltr ltr rtl ltr ltr ltr</title>" in shown
