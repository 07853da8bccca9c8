"""Blocks have the batches of the whole file, whatever their posts ask."""

import io
import itertools
import json
import random

import pytest

from ifa_jax.inference import jsonl, questions
from ifa_jax.inference.blocks import lines
from ifa_jax.inference.blocks.cut import cut

POST = {"text": "Ann joins Acme", "head": "Ann", "tail": "Acme"}


def batches_of(counts, batch_size, skip=0):
  """Returns, of each post, the batches that its questions are in."""
  asked = [(post, i) for post, n in counts for i in range(n)][skip:]
  found = {}
  while some := tuple(asked[:batch_size]):
    asked = asked[batch_size:]
    for post, _ in some:
      found.setdefault(post, []).append(some)
  # A post is listed once for each of its questions; once a batch is enough.
  return {post: [*dict.fromkeys(every)] for post, every in found.items()}


@pytest.mark.parametrize("most", [1, 3, 40])
@pytest.mark.parametrize(("num_posts", "batch_size"), [(8, 4), (7, 5), (1, 3)])
def test_a_post_shares_its_batches_with_the_same_questions(
  num_posts, batch_size, most
):
  draw = random.Random(most)
  counts = [(i, draw.randint(1, most)) for i in range(60)]
  wanted = batches_of(counts, batch_size)
  blocks = [*cut((((i,), n) for i, n in counts), num_posts, batch_size)]
  done = []
  for number, block in enumerate(blocks):
    (place,) = block.place
    read = counts[place:][: block.num_read]
    found = batches_of(read, batch_size, block.skip_questions)
    own = [*found][block.skip_posts :][: block.num_posts]
    assert {post: found[post] for post in own} == {x: wanted[x] for x in own}
    assert block.number == number
    # A detector sees four pictures together, always the same.
    assert place % 4 == 0
    done += own
  assert done == [i for i, _ in counts]


def test_nothing_is_read_twice_where_blocks_begin_with_batches():
  blocks = [*cut((((i,), 1) for i in range(20)), 8, 4)]
  assert [block.num_read for block in blocks] == [8, 8, None]
  assert [block.place for block in blocks] == [(0,), (8,), (16,)]
  assert not any(x.skip_posts or x.skip_questions for x in blocks)


def test_a_place_in_a_file_of_lines_is_where_the_post_is(tmp_path):
  people = [{"start": 4 * i, "end": 4 * i + 3} for i in range(3)]
  pairs = {"text": "Ann Bob Eve", "entities": people}
  escaped = json.dumps(pairs).replace("entities", "\\u0065ntities")
  texts = [json.dumps(POST), "", "{", json.dumps(pairs), "  ", escaped]
  texts += [json.dumps({**POST, "note": "ü entities"}), '["entities"]']
  path = tmp_path / "posts.jsonl"
  path.write_text("\n".join(texts))
  places, counts = zip(*lines.places(str(path)), strict=True)
  assert counts == (1, 1, 6, 6, 1, 1)
  posts = [*jsonl.read(io.BytesIO(path.read_bytes()))]
  for i, place in enumerate(places):
    assert [*lines.read(str(path), place)] == posts[i:]
  asked = itertools.chain.from_iterable(map(questions.grouped, [[pairs]]))
  assert len([*itertools.chain.from_iterable(asked)]) == 6
