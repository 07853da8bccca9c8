"""Files of posts: records in order, an error for each invalid line."""

import json

import pytest
import tiny_run

from ifa_jax import predict

pytestmark = pytest.mark.usefixtures("fast_compilation")

POST = {"text": "Ann Lee joins Acme .", "head": "Ann Lee", "tail": "Acme"}


BAD_LINES = ['{"text": "Ann', '["Ann"]']
BAD_POSTS = [
  ({"head": "Ann", "tail": "Acme"}, "text: expected"),
  (POST | {"head": "Bob"}, "head: 'Bob' does not occur"),
  (POST | {"image": "nowhere.jpg"}, "nowhere.jpg: there is no such file"),
  (POST | {"image": "."}, ".: "),
  (POST | {"boxes": [{"box": [0, 0, 9], "score": 1}]}, "box 0"),
  (
    {"text": "x " * 200, "head_span": [0, 150], "tail_span": [150, 200]},
    "only 34 fit",
  ),
]


@pytest.fixture(name="write")
def write_posts_file(tmp_path):
  """Writes lines to a file; returns its path and one for the predictions."""

  def make(lines):
    source, target = tmp_path / "posts.jsonl", tmp_path / "predictions.jsonl"
    source.write_text("".join(f"{line}\n" for line in lines))
    return str(source), target

  return make


def test_bad_lines_become_errors_and_the_rest_goes_on_in_order(
  predictor, posts, write
):
  # Boxes are read with a picture only.
  bad = [
    post | {"image": posts[0]["image"]} if "boxes" in post else post
    for post, _ in BAD_POSTS
  ]
  bad_lines = [*BAD_LINES, *map(json.dumps, bad)]
  good = posts[: len(bad_lines) + 1]
  lines = [json.dumps(good[0]), ""]
  for line, post in zip(bad_lines, good[1:], strict=True):
    lines += [line, json.dumps(post)]
  source, target = write(lines)
  count = predict.predict_file(predictor, source, str(target), batch_size=4)
  assert count == (len(good) + len(bad_lines), len(bad_lines))
  records = tiny_run.read_lines(target)
  wanted = predictor.predict_all(good, 4)
  for found, expected in zip(records[::2], wanted, strict=True):
    # The last of six digits may be rounded to either side.
    assert found["probabilities"] == pytest.approx(
      expected["probabilities"], abs=1.5e-6
    )
    assert found["id"] == expected["id"]
  failed = records[1::2]
  assert all("relation" not in record for record in failed)
  assert (failed[0]["line"], failed[0]["not_json"]) == (3, BAD_LINES[0])
  for record in failed[:2]:
    assert record["error"].endswith(f": {record['not_json']!r}")
  for record, post, (_, message) in zip(
    failed[2:], bad, BAD_POSTS, strict=True
  ):
    assert message in record["error"]
    # An error's record is the whole post.
    assert record.items() >= post.items()


@pytest.mark.parametrize(
  "post",
  [
    POST | {"image": 5},
    POST | {"image": ["a.jpg"]},
    POST | {"image": "a\0b.jpg"},
    POST | {"text": "Ann Lee \ud83d joins Acme"},
    POST | {"boxes": 5, "image": "PICTURE"},
    POST | {"head_span": [0, 10**30]},
    {},
  ],
  ids=["number", "list", "NUL", "half a character", "boxes", "span", "empty"],
)
def test_no_line_of_json_stops_the_file(predictor, posts, write, post):
  picture = json.dumps(posts[0]["image"])
  line = json.dumps(post).replace('"PICTURE"', picture)
  source, target = write([json.dumps(POST), line, json.dumps(POST)])
  assert predict.predict_file(predictor, source, str(target), 3)[0] == 3
  first, second, third = tiny_run.read_lines(target)
  assert first == third
  assert "error" in second or "relation" in second


def test_a_file_that_is_not_there_leaves_nothing(predictor, tmp_path):
  target = tmp_path / "predictions.jsonl"
  with pytest.raises(FileNotFoundError):
    predict.predict_file(predictor, str(tmp_path / "none"), str(target), 1)
  assert list(tmp_path.iterdir()) == []


def test_the_likeliest_relations_are_printed_first(predictor, capsys):
  found = predictor.predict(POST)
  predict.print_prediction(found, most=3)
  shown = capsys.readouterr().out
  assert "Ann Lee -> Acme" in shown
  best = sorted(found["probabilities"].values(), reverse=True)[:3]
  rows = [line for line in shown.splitlines() if line.startswith("│")]
  assert [row.strip("│ ").split()[-1] for row in rows] == [
    f"{p:.4f}" for p in best
  ]
