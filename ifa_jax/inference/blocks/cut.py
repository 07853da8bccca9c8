"""Cuts a file of posts into blocks that give the records of the whole file.

A probability depends, in its last digits, on the padded length of its batch. So
the batches of a block are those of one process that predicts the whole file:
where a block does not begin with a batch, it begins to read earlier, and the
first records are left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

# Posts whose pictures a detector may look at together, see
# `inference.completion`.
_TOGETHER = 4


class Block(NamedTuple):
  """Consecutive posts of a file.

  Attributes:
    number: of the block in its file, from 0.
    place: of the first post to read; its meaning is that of the file's kind.
    skip_questions: of the posts to read, that are in an earlier batch.
    skip_posts: records that belong to the block before.
    num_posts: of the block.
    num_read: posts to read, None for all that follow.
  """

  number: int
  place: Sequence[int]
  skip_questions: int
  skip_posts: int
  num_posts: int
  num_read: int | None


class _Start(NamedTuple):
  """Where to begin to read for a batch.

  Attributes:
    read: index of the first post to read.
    place: of that post.
    skip: questions before the batch.
    post: index of the post with the first question of the batch.
  """

  read: int
  place: Sequence[int]
  skip: int
  post: int


def cut(
  posts: Iterable[tuple[Sequence[int], int]], num_posts: int, batch_size: int
) -> Iterator[Block]:
  """Yields the blocks of a file.

  Args:
    posts: the place of each post, and the number of its questions.
    num_posts: of a block; the last one may have fewer.
    batch_size: questions of a batch.
  """
  total = number = first = 0
  together, batch, begin = (0, (), 0), _Start(0, (), 0, 0), None
  index = -1
  for index, (place, questions) in enumerate(posts):
    if index % _TOGETHER == 0:
      together = (index, place, total)
    read, place, before = together
    if total % batch_size == 0:
      batch = _Start(read, place, total - before, index)
    if index % num_posts == 0:
      if begin:
        is_whole = total % batch_size == 0 and index % _TOGETHER == 0
        yield _block(number, begin, first, index, is_whole)
        number += 1
      begin, first = batch, index
    total += questions
    # The last batch that begins within this post.
    since = total % batch_size
    if since and since < questions:
      batch = _Start(read, place, total - since - before, index)
  if begin:
    yield _block(number, begin, first, index + 1, is_whole=False)


def _block(
  number: int, begin: _Start, first: int, end: int, is_whole: bool
) -> Block:
  return Block(
    number,
    begin.place,
    begin.skip,
    first - begin.post,
    end - first,
    end - begin.read if is_whole else None,
  )
