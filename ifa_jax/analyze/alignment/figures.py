"""A post's maps as one PNG file: words x pictures, and the picture's patches.

Uses the classes of matplotlib without pyplot: no global state, no display.
"""

import io
import os
import textwrap
import warnings
from collections.abc import Sequence

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
from ifa_jax.analyze.alignment.posts import AlignedPost, Panel

HEAT = "#e8590c"
COLORS = {
  "image": "#495057",
  "grounded": "#1c7ed6",
  "detected": "#2b8a3e",
  "object": "#5f3dc4",
  "caption": "#5f3dc4",
}

# Inches.
_WORD_HEIGHT = 0.22
_PANEL = 2.1
_MAP_WIDTH = 4.2
_COLUMN_WIDTH = 0.22

_NUM_RELATIONS = 4
# With more boxes on a picture, their lines are thinner.
_FEW = 12
# Of the heat over a square, at least its side in the figure.
_PIXELS = 448


def save(
  post: AlignedPost, path: str | os.PathLike, shown: int, caption: str
) -> None:
  """Draws a post as a PNG file.

  Args:
    shown: number of the map.
    caption: below the drawing.
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
    # Dollar signs in a post are not formulas.
    text.set_parse_math(False)
  with warnings.catch_warnings():
    # The font has no emoji and draws them as boxes.
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    figure.savefig(path, format="png")


def _title(post: AlignedPost, width: float) -> str:
  text, max_characters = post.row.text, int(14 * width)
  name = f"{text.id}: " if text.id else ""
  gold = f"gold {post.gold}, " if post.gold else ""
  verdict = f", {post.verdict}" if post.gold else ""
  facts = (
    f"{name}{gold}predicted {post.predicted}"
    f" ({post.probabilities[post.predicted]:.2f}{verdict}); without"
    f" {post.alignment.kind.inputs} the probabilities change by"
    f" {post.change:.2f}"
  )
  words = textwrap.wrap(" ".join(text.words), max_characters, max_lines=3)
  return "\n".join([*words, *textwrap.wrap(facts, max_characters)])


def _draw_map(figure: SubFigure, post: AlignedPost, shown: int) -> None:
  """Draws the heat map, markers below the words."""
  aligned, text = post.alignment, post.row.text
  axes = figure.subplots()
  cells = 100 * np.concatenate(
    [aligned.words.pictures[shown], aligned.markers.pictures[shown]]
  )
  if not cells.shape[1]:
    _write(axes, textwrap.fill(aligned.kind.nothing, 40))
    return
  heat = colors.LinearSegmentedColormap.from_list("heat", ["white", HEAT])
  heat = heat.with_extremes(bad="#dee2e6")
  image = axes.imshow(cells, heat, vmin=0, aspect="auto")
  axes.axhline(len(cells) - 2.5, color="black", linewidth=0.8)
  names = [column.name for column in aligned.columns]
  axes.set_xticks(range(len(names)), names, rotation=40, ha="left", fontsize=7)
  axes.xaxis.tick_top()
  words = [textwrap.shorten(word, 24) or word[:24] for word in text.words]
  markers = [f"{name} marker" for name in ENTITIES]
  axes.set_yticks(range(len(cells)), [*words, *markers])
  axes.tick_params(axis="both", length=0, labelsize=7)
  labels = axes.get_yticklabels()
  for row in [*range(*text.head), len(words)]:
    labels[row].set_fontweight("bold")
  for row in [*range(*text.tail), len(words) + 1]:
    labels[row].set_fontstyle("italic")
  bar = figure.colorbar(image, ax=axes, location="bottom", aspect=40)
  title = [*aligned.kind.titles.values()][shown]
  bar.set_label(f"{aligned.kind.unit}: {title}", fontsize=7)
  bar.ax.tick_params(labelsize=7)


def _draw_panels(
  figure: SubFigure, post: AlignedPost, panels: Sequence[Panel], shown: int
) -> None:
  """Draws the picture with its boxes, then each panel for head and tail."""
  grid = figure.add_gridspec(len(ENTITIES), 1 + len(panels))
  _draw_picture(figure.add_subplot(grid[0, 0]), post)
  _write(figure.add_subplot(grid[1, 0]), _relations(post))
  patches = {
    entity: [weights[shown] for weights in grids]
    for entity, grids in post.alignment.patches.items()
  }
  # All patches of a post share one scale.
  peak = max((x.max() for each in patches.values() for x in each), default=0.0)
  for row, entity in enumerate(ENTITIES):
    name = textwrap.shorten(post.entity_words(entity), 24)
    for i, panel in enumerate(panels):
      axes = figure.add_subplot(grid[row, 1 + i])
      axes.set_title(f"{entity}: {name}\n{panel.title}", fontsize=7)
      _show(axes, panel.square, grey=True)
      heat = [
        (edges, patches[entity][number] / (peak or 1.0))
        for number, edges in panel.grids
      ]
      _draw_heat(axes, boxes.heat(heat, _PIXELS))
      for (edges, weights), (number, _) in zip(heat, panel.grids, strict=True):
        color = COLORS[post.alignment.columns[number].field]
        # Objects are many; only those with a weight should be noticed.
        alpha = 0.15 + 0.85 * weights.item() if weights.size == 1 else 1.0
        _outline(axes, edges, color, alpha=alpha)


def _relations(post: AlignedPost) -> str:
  """Returns lines of the most probable relations, with and without pictures."""
  lines = [
    f"{post.probabilities[name]:.2f}  {post.blanked[name]:.2f}  {name}"
    for name in post.ranked[:_NUM_RELATIONS]
  ]
  return "\n".join([f"with, without {post.alignment.kind.inputs}", *lines])


def _draw_picture(axes: Axes, post: AlignedPost) -> None:
  if post.picture is None:
    _write(axes, "no picture of this post")
    return
  _show(axes, post.picture)
  axes.set_title(post.alignment.kind.picture, fontsize=7)
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


def _draw_heat(axes: Axes, heat: np.ndarray) -> None:
  """Lays weights in [0, 1], float64[H, W], over a square."""
  ends = [colors.to_rgba(HEAT, 0.0), colors.to_rgba(HEAT, 0.75)]
  transparent = colors.LinearSegmentedColormap.from_list("transparent", ends)
  axes.imshow(heat, transparent, vmin=0, vmax=1, extent=(0, 1, 1, 0))


def _outline(
  axes: Axes,
  edges: boxes.Edges,
  color: str,
  linewidth: float = 0.8,
  alpha: float = 1.0,
) -> None:
  x0, y0, x1, y1 = edges
  style = {"color": color, "linewidth": linewidth, "alpha": alpha}
  axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **style))


def _write(axes: Axes, text: str) -> None:
  """Writes lines in place of a drawing."""
  axes.set_axis_off()
  axes.text(0, 0.95, text, va="top", fontsize=7)
