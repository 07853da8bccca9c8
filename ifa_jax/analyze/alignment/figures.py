"""A post's maps as one PNG file: words x pictures, and parts of the picture.

matplotlib's objects alone, no pyplot: nothing is global, no display is needed.
"""

import io
import os
import textwrap
import warnings

import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from ifa_jax.analyze.alignment import boxes
from ifa_jax.analyze.alignment.maps import ENTITIES
from ifa_jax.analyze.alignment.posts import Panel, Post

HEAT = "#e8590c"
COLORS = {"image": "#495057", "grounded": "#1c7ed6", "detected": "#2b8a3e"}
COLORS["object"] = "#5f3dc4"

# Inches.
_WORD_HEIGHT = 0.22
_PANEL = 2.1
_MAP_WIDTH = 4.2
_COLUMN_WIDTH = 0.22

_NUM_RELATIONS = 4

# Boxes on a picture.
_FEW = 12


def save(post: Post, path: str | os.PathLike, shown: int, caption: str) -> None:
  """Draws a post.

  Args:
    post: with its maps.
    path: of the PNG file.
    shown: the map, 0 for the first.
    caption: named below the drawing.
  """
  panels = post.panels()
  num_rows = len(post.row.text.words) + len(ENTITIES)
  num_columns = len(post.alignment.columns)
  map_width = _MAP_WIDTH + _COLUMN_WIDTH * max(0, num_columns - 10)
  width = map_width + _PANEL * (1 + len(panels))
  height = 1.6 + max(_WORD_HEIGHT * num_rows, 2 * _PANEL)
  figure = Figure((width, height), dpi=100, layout="constrained")
  FigureCanvasAgg(figure)
  ((left, right),) = figure.subfigures(
    1, 2, squeeze=False, width_ratios=(map_width, width - map_width)
  )
  _draw_map(left, post, shown)
  _draw_panels(right, post, panels, shown)
  figure.suptitle(_title(post, width), fontsize=9, x=0.01, ha="left")
  figure.supxlabel(caption, fontsize=6, x=0.01, ha="left")
  for text in figure.findobj(Text):
    # A post may hold dollar signs.
    text.set_parse_math(False)
  with warnings.catch_warnings():
    # The font has no emoji; they are drawn as boxes.
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    figure.savefig(path, format="png")


def _title(post: Post, width: float) -> str:
  words = " ".join(post.row.text.words)
  text = textwrap.wrap(words, int(14 * width), max_lines=3)
  named = f"{post.row.text.id}: " if post.row.text.id else ""
  gold = f"gold {post.gold}, " if post.gold else ""
  verdict = f", {post.verdict}" if post.gold else ""
  facts = (
    f"{named}{gold}predicted {post.predicted}"
    f" ({post.probabilities[post.predicted]:.2f}{verdict}); without pictures"
    f" the probabilities change by {post.change:.2f}"
  )
  return "\n".join([*text, *textwrap.wrap(facts, int(14 * width))])


def _draw_map(figure: SubFigure, post: Post, shown: int) -> None:
  """Draws the heat map, markers below the words."""
  aligned = post.alignment
  axes = figure.subplots()
  cells = 100 * np.concatenate(
    [aligned.words.pictures[shown], aligned.markers.pictures[shown]]
  )
  if not cells.shape[1]:
    _say(axes, textwrap.fill(aligned.wording.nothing, 40))
    return
  heat = colors.LinearSegmentedColormap.from_list("heat", ["white", HEAT])
  heat = heat.with_extremes(bad="#dee2e6")
  image = axes.imshow(cells, heat, vmin=0, aspect="auto")
  axes.axhline(len(cells) - 2.5, color="black", linewidth=0.8)
  names = [column.name for column in aligned.columns]
  axes.set_xticks(range(len(names)), names, rotation=40, ha="left", fontsize=7)
  axes.xaxis.tick_top()
  words = [textwrap.shorten(w, 24) or w[:24] for w in post.row.text.words]
  axes.set_yticks(
    range(len(cells)), [*words, *(f"{name} marker" for name in ENTITIES)]
  )
  axes.tick_params(axis="both", length=0, labelsize=7)
  _mark_entities(axes, post)
  bar = figure.colorbar(image, ax=axes, location="bottom", aspect=40)
  title = [*aligned.maps.values()][shown]
  bar.set_label(f"{aligned.wording.unit}: {title}", fontsize=7)
  bar.ax.tick_params(labelsize=7)


def _mark_entities(axes: Axes, post: Post) -> None:
  """Sets the head's words in bold and the tail's in italics."""
  labels = axes.get_yticklabels()
  text, num_words = post.row.text, len(post.row.text.words)
  for word in [*range(*text.head), num_words]:
    labels[word].set_fontweight("bold")
  for word in [*range(*text.tail), num_words + 1]:
    labels[word].set_fontstyle("italic")


def _draw_panels(
  figure: SubFigure, post: Post, panels: list[Panel], shown: int
) -> None:
  """Draws the picture with its boxes, then each panel for head and tail."""
  grid = figure.add_gridspec(len(ENTITIES), 1 + len(panels))
  _draw_picture(figure.add_subplot(grid[0, 0]), post)
  _say(figure.add_subplot(grid[1, 0]), _relations(post))
  # One scale, so that all patches of a post compare.
  peak = max(
    (
      p[shown].max() for grids in post.alignment.patches.values() for p in grids
    ),
    default=0.0,
  )
  for row, entity in enumerate(ENTITIES):
    for i, panel in enumerate(panels):
      axes = figure.add_subplot(grid[row, 1 + i])
      span = slice(*getattr(post.row.text, entity))
      name = textwrap.shorten(" ".join(post.row.text.words[span]), 24)
      axes.set_title(f"{entity}: {name}\n{panel.title}", fontsize=7)
      _show(axes, panel.square, grey=True)
      heat = [
        (edges, post.alignment.patches[entity][number][shown] / (peak or 1.0))
        for number, edges in panel.grids
      ]
      _draw_patches(axes, boxes.lay_over(heat))
      for (edges, weights), (number, _) in zip(heat, panel.grids, strict=True):
        field = post.alignment.columns[number].field
        # Of many objects those count that something is given to.
        alpha = 0.15 + 0.85 * weights.item() if weights.size == 1 else 1.0
        _outline(axes, edges, COLORS[field], alpha=alpha)


def _relations(post: Post) -> str:
  """Returns lines with the likeliest relations, with pictures and without."""
  names = sorted(post.probabilities, key=lambda n: -post.probabilities[n])
  lines = [
    f"{post.probabilities[name]:.2f}  {post.blanked[name]:.2f}  {name}"
    for name in names[:_NUM_RELATIONS]
  ]
  return "\n".join(["with, without pictures", *lines])


def _draw_picture(axes: Axes, post: Post) -> None:
  if post.picture is None:
    _say(axes, "no picture of this post")
    return
  _show(axes, post.picture)
  axes.set_title(post.alignment.wording.picture, fontsize=7)
  # Of many objects, some must be seen through the lines of others.
  linewidth = 1.5 if len(post.alignment.columns) <= _FEW else 0.6
  for column in post.alignment.columns:
    place = post.place(column)
    if place and place.box:
      color = COLORS[column.field]
      _outline(axes, place.box, color, linewidth)
      axes.text(
        *place.box[:2],
        str(column.number),
        color="white",
        backgroundcolor=color,
        fontsize=6,
        va="top",
      )


def _show(axes: Axes, square: bytes, grey: bool = False) -> None:
  """Shows a PNG file as a square of side 1, y downwards."""
  pixels = Image.open(io.BytesIO(square)).convert("L" if grey else "RGB")
  axes.imshow(np.asarray(pixels), "gray", vmin=0, vmax=255, extent=(0, 1, 1, 0))
  axes.set_axis_off()


def _draw_patches(axes: Axes, heat: boxes.Heat) -> None:
  """Lays weights of [0, 1] over the square."""
  seen = [colors.to_rgba(HEAT, 0.0), colors.to_rgba(HEAT, 0.75)]
  see_through = colors.LinearSegmentedColormap.from_list("see_through", seen)
  axes.pcolormesh(*heat, cmap=see_through, vmin=0, vmax=1)
  # Or the last picture drawn would set the limits.
  axes.set(xlim=(0, 1), ylim=(1, 0))


def _outline(
  axes: Axes, edges, color: str, linewidth: float = 0.8, alpha: float = 1.0
) -> None:
  x0, y0, x1, y1 = edges
  style = {"color": color, "linewidth": linewidth, "alpha": alpha}
  axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **style))


def _say(axes: Axes, what: str) -> None:
  """Writes a line in place of a drawing."""
  axes.set_axis_off()
  axes.text(0, 0.95, what, va="top", fontsize=7)
