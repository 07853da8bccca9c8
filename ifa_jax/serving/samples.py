"""Generated posts that the page offers, with pictures and their boxes."""

from typing import Any, NamedTuple

import numpy as np

# Two relations that only the emblem distinguishes, one more, and none.
_CELLS = (("org", "house"), ("org", "heart"), ("loc", "star"), ("per", "star"))
# Unlike the seeds of datasets: no run has seen these posts.
_SEED = 221_107_504


class Sample(NamedTuple):
  """A post to click on.

  Attributes:
    text: words and spaces.
    head: its name, which occurs once.
    tail: its name, which occurs once.
    picture: the bytes of a JPEG file.
    boxes: as `ifa_jax.data.images.boxes` describes them.
    caption: the picture in words.
  """

  text: str
  head: str
  tail: str
  picture: bytes
  boxes: list[dict[str, Any]]
  caption: str


def make_samples() -> list[Sample]:
  """Returns four fixed posts like those of `data_prep.quickstart`."""
  # Imported here: answering posts does not need the preparation package.
  from ifa_jax.preparation.quickstart import command

  samples = []
  for number, cell in enumerate(_CELLS):
    rng = np.random.default_rng([_SEED, number])
    post = command.make_post(*cell, f"sample_{number}.jpg", rng)
    head, tail = (post.row[role]["name"] for role in "ht")
    text = " ".join(post.row["token"])
    picture = (post.image, post.boxes, post.caption)
    samples.append(Sample(text, head, tail, *picture))
  return samples
