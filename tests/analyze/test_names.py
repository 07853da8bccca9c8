"""A run's rows with other texts, from its checkpoint to its report."""

import json
import shutil
import types

import command_lines
import numpy as np
import pytest
import tiny_run

from ifa_jax.analyze.names import command, outside, predict, rewrite, rumie
from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.row_text import RowText
from ifa_jax.statistics import systems
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

ROWS = [5, 0, 11, 0]


def text_of(words, head, tail, row_id="test/1"):
  return RowText(
    row_id, "a.jpg", words.split(), head, tail, {}, Encoded([], [], 0, 0)
  )


@pytest.fixture(scope="module", name="run")
def opened_run(finished, fast_compilation):
  return predict.open_run(finished.experiment, RunFolder(finished.workdir))


def test_all_mentions_of_a_name_are_replaced():
  text = text_of("Ann Lee and ann lee of Ann join Acme , Acme", (3, 5), (8, 9))
  found = rewrite.replace(text, ("Bo",), ("The", "Club"))
  assert " ".join(found.words) == "Bo and Bo of Ann join The Club , The Club"
  assert found.words[slice(*found.head)] == ["Bo"]
  assert found.head == (2, 3)
  assert found.tail == (6, 8)


@pytest.mark.parametrize(
  ("head", "tail", "shared"),
  [((0, 2), (1, 3), True), ((0, 3), (1, 2), True), ((0, 1), (1, 2), False)],
)
def test_entities_that_share_words_overlap(head, tail, shared):
  assert rewrite.overlaps(text_of("a b c", head, tail)) == shared
  assert rewrite.overlaps(text_of("a b c", tail, head)) == shared


def test_unchanged_texts_have_the_runs_own_predictions(run):
  found = predict.predict(run, ROWS, [run.texts[row] for row in ROWS])
  np.testing.assert_array_equal(found.gold, run.original.gold[ROWS])
  wanted = run.original.probabilities[ROWS]
  np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)


def test_a_new_text_is_predicted_as_the_same_post(run, predictor, posts):
  # A longer text with the names, picture and boxes of the row.
  extra = ["hello", "there", "."]
  longer = [
    text._replace(
      words=[*extra, *text.words],
      head=(text.head[0] + 3, text.head[1] + 3),
      tail=(text.tail[0] + 3, text.tail[1] + 3),
    )
    for text in (run.texts[row] for row in ROWS)
  ]
  texts = [predict.rewritten(run, text) for text in longer]
  found = predict.predict(run, ROWS, texts).probabilities
  spans = [{"head_span": x.head, "tail_span": x.tail} for x in longer]
  own = [
    posts[row] | {"text": text.words} | span
    for row, text, span in zip(ROWS, longer, spans, strict=True)
  ]
  records = predictor.predict_all(own)
  wanted = [[*record["probabilities"].values()] for record in records]
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  assert np.abs(found - run.original.probabilities[ROWS]).max() > 1e-3


@pytest.fixture(name="command")
def command_on_a_run(finished, tmp_path, monkeypatch):
  """Runs the command; returns its folder of results."""

  def call(**values):
    given = {"names": "exchange", "num_seeds": 2, "types": None}
    given |= {"rewritten": None, "rumie": None, "out": str(tmp_path / "out")}
    given |= {"workdir": str(finished.workdir)} | values
    found = types.SimpleNamespace(FLAGS=types.SimpleNamespace(**given))
    monkeypatch.setattr(command, "flags", found)
    command.main([])
    return tmp_path / "out"

  return call


def test_the_command_writes_scores_and_predictions_of_draws(
  command, finished, capsys
):
  out = command()
  shown = capsys.readouterr().out
  assert shown.startswith("protocol: clean")
  result = json.loads((out / "names.json").read_text())
  written = json.loads((finished.workdir / "eval_test.json").read_text())
  files = [str(out / f"predictions_test_names_{i}.jsonl") for i in range(2)]
  read = systems.read([str(finished.workdir), ",".join(files)])
  for name, one in result["scores"].items():
    assert one["original"] == pytest.approx(written[name])
  for seed, accuracy in enumerate(result["scores"]["accuracy"]["by_seed"]):
    lines = read[1].seeds[seed].lines.values()
    right = [line["gold"] == line["pred"] for line in lines]
    assert accuracy == pytest.approx(np.mean(right))
  supports = [x["support"] for x in result["groups"].values()]
  assert sum(supports) == result["n"] == 17
  assert (out / "names.md").read_text().startswith("protocol: clean")


def test_draws_differ_from_the_original_in_their_names_only(
  command, finished, tmp_path
):
  (tmp_path / "out").mkdir()
  for name in ("1", "17", "of_others"):
    (tmp_path / "out" / f"predictions_test_names_{name}.jsonl").touch()
  out = command(names="invented", num_seeds=1)
  # An earlier command may have had more draws.
  assert {x.name for x in out.glob("predictions_*")} == {
    f"predictions_test_names_{name}.jsonl" for name in ("0", "of_others")
  }
  groups = json.loads((out / "names.json").read_text())["groups"]
  assert {*groups} - {"None"} <= {
    "relation, pair in training",
    "relation, pair not in training",
  }
  new = tiny_run.read_lines(out / "predictions_test_names_0.jsonl")
  old = tiny_run.read_lines(finished.workdir / "predictions_test.jsonl")
  for one, other in zip(new, old, strict=True):
    assert {one["head"], one["tail"]}.isdisjoint({other["head"], other["tail"]})
    text = other["text"].replace(other["head"], one["head"])
    assert text.replace(other["tail"], one["tail"]) == one["text"]
    kept = ("id", "gold", "img_id", "protocol")
    assert [one[key] for key in kept] == [other[key] for key in kept]


@pytest.mark.silent_input
def test_a_run_with_other_predictions_is_refused(finished, tmp_path):
  for name in ("eval_test.json", "predictions_test.jsonl"):
    shutil.copy(finished.workdir / name, tmp_path)
  (tmp_path / "checkpoints").symlink_to(finished.workdir / "checkpoints")
  path = tmp_path / "predictions_test.jsonl"
  lines = tiny_run.read_lines(path)
  wrong = [x for x in lines if x["gold"] != x["pred"]]
  names = finished.experiment.prepared.relations[1:]
  line = wrong[0]
  line["pred"] = next(x for x in names if x not in (line["gold"], line["pred"]))
  path.write_text("".join(json.dumps(x) + "\n" for x in lines))
  with pytest.raises(
    ValueError, match=f"in 1 rows, the first {line['id']}"
  ) as raised:
    predict.open_run(finished.experiment, RunFolder(tmp_path))
  assert str(raised.value).endswith(
    "; to write them again: python launch.py --mode=evaluate --split=test"
    f" --workdir={tmp_path}"
  )


def as_post(text, **changes):
  spans = {"head_span": text.head, "tail_span": text.tail}
  return {"id": text.id, "text": text.words} | spans | changes


def write_lines(path, posts):
  path.write_text("".join(json.dumps(post) + "\n" for post in posts))
  return str(path)


def test_rewritten_rows_are_scored_next_to_their_originals(run, tmp_path):
  rows = [3, 0, 7]
  posts = [as_post(run.texts[row]) for row in rows]
  posts[0] = {"id": "test/4", "text": "<s> Bo </s> of <o> Acme </o>"}
  found = outside.compare(run, write_lines(tmp_path / "rows.jsonl", posts))
  assert found.rows == rows
  ((texts, predicted),) = found.draws
  assert texts[0].words == ["Bo", "of", "Acme"]
  assert found.result["n"] == 3
  gold = run.original.gold[rows]
  np.testing.assert_array_equal(predicted.gold, gold)
  accuracy = np.mean(run.original.predicted[rows] == gold)
  scored = found.result["scores"]["accuracy"]
  assert scored["original"] == pytest.approx(accuracy)
  # The other two are unchanged.
  same = run.original.probabilities[[0, 7]]
  np.testing.assert_allclose(predicted.probabilities[1:], same, atol=1e-6)


@pytest.mark.silent_input
@pytest.mark.parametrize("ids", [["test/1", "test/1"], ["test/99"], [None], []])
def test_rows_without_an_original_of_their_own_are_refused(ids, run, tmp_path):
  posts = [as_post(run.texts[0], id=x) for x in ids]
  path = write_lines(tmp_path / "rows.jsonl", posts)
  with pytest.raises(ValueError, match=r"rows.jsonl.*: expected"):
    outside.read(run, path)


@pytest.mark.silent_input
def test_a_malformed_line_is_named_with_its_reason(run, tmp_path):
  path = tmp_path / "rows.jsonl"
  path.write_text(f'{json.dumps(as_post(run.texts[0]))}\n\n{{"id": 1,}}\n')
  with pytest.raises(
    ValueError, match=r"post 2: line 3: not JSON: .* column 10"
  ):
    outside.read(run, str(path))


@pytest.mark.silent_input
def test_flags_of_draws_are_refused_where_nothing_is_drawn():
  line = ["ifa_jax/analyze/__main__.py", "names", "--workdir=run"]
  cases = (
    ("names", "invented", "rewritten"),
    ("num_seeds", "5", "rumie"),
    ("types", "t.json", "rewritten"),
  )
  lines = {
    (own, file): [*line, f"--{own}={value}", f"--{file}=x"]
    for own, value, file in cases
  }
  for (own, file), found in command_lines.run_all(lines).items():
    assert (found.status, found.out) == (2, "")
    assert f"expected no --{own} with --{file}" in found.err


@pytest.mark.silent_input
def test_rewritten_rows_with_another_picture_are_refused(run, tmp_path):
  post = as_post(run.texts[0], image="b.jpg")
  path = write_lines(tmp_path / "rows.jsonl", [post])
  with pytest.raises(ValueError, match="post 1: expected no image"):
    outside.read(run, path)


def chat(run, row, text, head, tail, folder="datasets/MNRE-V2/img"):
  name = run.built.prepared.relations[run.original.gold[row]]
  relation = name.rsplit("/", 1)[-1].replace("_", " ").lower()
  question = f"Extract. <image> text: {text} Head entity: {head} ; Tail entity:"
  answer = f"{head} <spot> {relation} <spot> {tail}"
  messages = [f"{question} {tail}", answer]
  return {
    "messages": [{"content": content} for content in messages],
    "images": [f"{folder}/{run.texts[row].img_id}"],
  }


def test_rows_of_rumie_are_found_by_picture_relation_and_text(run, tmp_path):
  new = rewrite.replace(run.texts[4], ("Bo", "@x"), ("Acme", "#1"))
  # The file's words are split elsewhere, and its text goes on.
  text = " ".join(new.words).replace("@x", "@ x") + " today"
  chats = [chat(run, 4, text, "Bo @ x", "Acme #1")]
  chats += [chat(run, 5, "quite another", "Bo", "Acme"), chats[0]]
  chats.append(chat(run, 4, text, "Bo @ x", "Acme #1", "datasets/MNRE-V1"))
  path = tmp_path / "chats.json"
  path.write_text(json.dumps(chats))
  found = rumie.read(run, str(path))
  ((row, made),) = found.texts.items()
  assert row == 4
  assert made.words == text.split()
  assert made.words[slice(*made.head)] == ["Bo", "@", "x"]
  assert made.words[slice(*made.tail)] == ["Acme", "#1"]
  assert [*found.left_out.values()] == [1, 1, 1]


@pytest.mark.silent_input
def test_rows_with_other_pictures_are_refused(run, tmp_path):
  folder = "rumie/MNRE-V2/rule_vision_noise/x"
  given = chat(run, 0, " ".join(run.texts[0].words), "a", "b", folder)
  path = tmp_path / "chats.json"
  path.write_text(json.dumps([given]))
  with pytest.raises(ValueError, match=r"row 0: .* another picture"):
    rumie.read(run, str(path))
