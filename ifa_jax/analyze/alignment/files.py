"""The folder of posts with their maps: figures, numbers and one page."""

import os
from collections.abc import Iterable

from ifa_jax.analyze.alignment import figures, page
from ifa_jax.analyze.alignment.posts import Post, Source
from ifa_jax.cli import progress
from ifa_jax.workdir.run_folder import RunFolder


def write(
  out: str | os.PathLike, source: Source, posts: Iterable[Post], shown: int
) -> None:
  """Writes `posts/ID.png` and `posts/ID.json` for each post, and the page.

  Args:
    out: a folder, made if need be; files of the same names are replaced.
    source: named in all of them.
    posts: with their maps.
    shown: the map to draw, 0 for the first.

  Raises:
    ValueError: if there is no post.
  """
  folder = RunFolder(out)
  kept, taken = [], set()
  for post in progress.bar(posts, "posts", unit=" posts"):
    os.makedirs(folder.file("posts"), exist_ok=True)
    stem = os.path.join("posts", _new_name(post.file_name, taken))
    folder.write_json(f"{stem}.json", source._asdict() | post.to_json())
    figures.save(post, folder.file(f"{stem}.png"), shown, str(source))
    kept.append(post)
  if not kept:
    raise ValueError(f"{source}: want posts to show, found none")
  folder.write_text("index.html", page.render(source, kept, shown))


def _new_name(stem: str, taken: set[str]) -> str:
  """Returns a name that no other post has, and takes it; 2 posts may be "a"."""
  name, number = stem, 1
  # Some file systems do not tell "a" from "A".
  while name.casefold() in taken:
    number += 1
    name = f"{stem}-{number}"
  taken.add(name.casefold())
  return name
