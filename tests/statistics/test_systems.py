"""Predictions of systems: what is read, and what is refused."""

import json
import subprocess
import sys

import predicted
import pytest

from ifa_jax.statistics import predictions, systems

GOLD = ["None", "/per/per/couple", "/per/per/couple", "None"]
PRED = ["None", "/per/per/couple", "None", "/loc/loc/contain"]


@pytest.fixture(name="file")
def good_file(tmp_path):
  return predicted.write(
    tmp_path / "good.jsonl", predicted.lines(GOLD, PRED, protocol="clean")
  )


@pytest.mark.parametrize(
  ("word", "name", "paths"),
  [
    ("runs/text", "text", ["runs/text"]),
    ("runs/text/", "text", ["runs/text/"]),
    ("out/bag.jsonl", "bag", ["out/bag.jsonl"]),
    ("runs/a,out/b.jsonl", "a,b", ["runs/a", "out/b.jsonl"]),
    ("bag of words=runs/a,runs/b", "bag of words", ["runs/a", "runs/b"]),
    ("runs/rate=1e-5", "rate=1e-5", ["runs/rate=1e-5"]),
    ("x=runs/rate=1e-5", "x", ["runs/rate=1e-5"]),
  ],
)
def test_a_word_names_a_system_and_its_paths(word, name, paths):
  assert systems.parse(word) == (name, paths)


@pytest.mark.parametrize("word", ["", "=a", "x=", "a,", "a,,b", "x=a,b,a"])
def test_a_word_that_names_no_system_is_refused(word):
  with pytest.raises(ValueError, match=r"want \[name=\]PATH"):
    systems.parse(word)


def test_a_file_is_read_with_all_that_it_carries(tmp_path):
  lines = predicted.lines(GOLD, PRED, probability=0.5, text="Ann")
  path = predicted.write(tmp_path / "x.jsonl", lines)
  (system,) = systems.read([f"mine={path}"])
  assert system.name == "mine"
  assert system.protocol == "unknown"
  (seed,) = system.seeds
  assert seed.path == path
  assert list(seed.lines.values()) == lines
  assert list(seed.lines) == ["test/0", "test/1", "test/2", "test/3"]


def test_no_relation_has_one_spelling(tmp_path, file):
  lower = [[name.lower() for name in names] for names in (GOLD, PRED)]
  path = predicted.write(tmp_path / "x.jsonl", predicted.lines(*lower))
  read = systems.read([file, path])
  line = read[1].seeds[0].lines["test/0"]
  assert (line["gold"], line["pred"]) == ("None", "None")


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path, file):
  text = "\n\n".join(map(json.dumps, predicted.lines(GOLD, PRED)))
  path = tmp_path / "x.jsonl"
  path.write_text(f"{text}\n\n", encoding="utf-8-sig")
  assert len(systems.read([file, str(path)])[1].seeds[0].lines) == 4


@pytest.mark.parametrize("per_line", [{}, {"protocol": "released"}])
def test_a_runs_protocol_is_that_of_its_scores(tmp_path, per_line):
  lines = predicted.lines(GOLD, PRED, **per_line)
  run = predicted.write_run(tmp_path / "run", lines, protocol="released")
  (system,) = systems.read([run])
  assert (system.name, system.protocol) == ("run", "released")


def test_a_run_is_read_of_the_split(tmp_path):
  lines = predicted.lines(GOLD, PRED)
  run = predicted.write_run(tmp_path / "run", lines, protocol="clean")
  again = f"--mode=evaluate --split=dev --workdir={run}$"
  with pytest.raises(ValueError, match=f"no dev predictions.*{again}"):
    systems.read([run], "dev")
  for name in ("predictions_{}.jsonl", "eval_{}.json"):
    (tmp_path / "run" / name.format("test")).rename(
      tmp_path / "run" / name.format("dev")
    )
  (system,) = systems.read([run], "dev")
  assert system.seeds[0].path.endswith("predictions_dev.jsonl")


@pytest.mark.parametrize("name", ["predictions_test.jsonl", "eval_test.json"])
def test_a_run_that_was_not_scored_says_what_to_run(tmp_path, name):
  lines = predicted.lines(GOLD, PRED)
  run = predicted.write_run(tmp_path / "run", lines, protocol="clean")
  (tmp_path / "run" / name).unlink()
  with pytest.raises(
    ValueError, match=r"python launch.py --mode=evaluate --split=test"
  ):
    systems.read([run])


@pytest.mark.parametrize(
  ("scores", "message"),
  [
    ({"protocol": "released"}, "want protocol='released' .*, found 'clean'"),
    ({"protocol": "clean", "n": 9}, "want n=9 .*, found 4"),
    ({"protocol": "clean", "accuracy": 0.7}, "want accuracy=0.7 .*, found 0.5"),
    ({}, "want protocol=None .*, found 'clean'"),
  ],
)
def test_scores_of_other_predictions_are_refused(tmp_path, scores, message):
  lines = predicted.lines(GOLD, PRED, protocol="clean")
  run = predicted.write_run(tmp_path / "run", lines, **scores)
  with pytest.raises(ValueError, match=message):
    systems.read([run])


def test_scores_that_are_no_json_are_named(tmp_path):
  lines = predicted.lines(GOLD, PRED)
  run = predicted.write_run(tmp_path / "run", lines, protocol="clean")
  (tmp_path / "run" / "eval_test.json").write_text("{")
  with pytest.raises(ValueError, match=r"eval_test.json: expected JSON"):
    systems.read([run])


def test_a_path_to_nothing_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"nowhere: want a run's .* nothing"):
    systems.read([str(tmp_path / "nowhere")])


LINE = '{"id": "a", "gold": "None", "pred": "None"}\n'


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", r"x.jsonl: want predictions, found an empty file"),
    (LINE + "{'id': 1}", r"x.jsonl, line 2: want a JSON object \("),
    (LINE + "\n\udcff", r"x.jsonl, line 3: want a JSON object \("),
    (LINE + "[" * 100_000, r"x.jsonl, line 2: want a JSON object \("),
    (LINE + "[1]", r"line 2: want a JSON object, found list"),
    ('{"id": 1, "id": 2}', r"line 1: want .* each key .*, got 'id' 2 times"),
    ('{"id": "a", "pred": "None"}', r"line 1: .* found no gold$"),
    ('{"gold": "None"}', r"line 1: .* found no id, pred$"),
    (LINE + LINE, r"line 2: .* every row once, found 'a' again .* line 1\)"),
    (LINE.replace('"a"', "[1]"), r"want id as text or a whole number, .*\[1\]"),
    (LINE.replace('"None"', "3"), r"line 1: want gold as text, found 3"),
    (LINE.replace('"pred": "None"', '"pred": null'), r"pred as text, found No"),
    (LINE.replace("}", ', "probability": "1"}'), r"want probability as a num"),
    (
      LINE.replace("}", ', "probability": NaN}'),
      r"a finite probability, .*nan",
    ),
    (LINE.replace("}", ', "protocol": 1}'), r"want protocol as text, found 1"),
    (
      LINE + LINE.replace('"a"', '"b", "protocol": "clean"'),
      r"x.jsonl: want one protocol in all lines, found clean, unknown",
    ),
  ],
)
def test_a_line_that_is_no_prediction_is_named(tmp_path, text, message):
  path = tmp_path / "x.jsonl"
  path.write_bytes(text.encode("utf-8", "surrogateescape"))
  with pytest.raises(ValueError, match=message):
    systems.read([str(path)])


def test_rows_that_differ_are_named_and_counted(tmp_path, file):
  lines = predicted.lines(GOLD * 3, PRED * 3)
  path = predicted.write(tmp_path / "x.jsonl", lines[1:2] + lines[4:])
  with pytest.raises(
    ValueError,
    match=r"x.jsonl: want the rows of .*good.jsonl, found"
    r" 3 \(test/0, test/2, test/3\) missing"
    r" and 8 \(test/4, test/5, test/6, \.\.\.\) that are not there",
  ):
    systems.read([file, path])


def test_gold_relations_that_differ_are_named(tmp_path, file):
  gold = ["None", "None", "/per/per/couple", "/x"]
  path = predicted.write(tmp_path / "x.jsonl", predicted.lines(gold, PRED))
  with pytest.raises(
    ValueError,
    match=r"x.jsonl: want the gold .*, found others in 2 \(test/1 is None, not"
    r" /per/per/couple, test/3 is /x, not None\)",
  ):
    systems.read([file, path])


def test_rows_of_every_seed_are_checked(tmp_path, file):
  lines = predicted.lines(GOLD, PRED, protocol="clean")
  path = predicted.write(tmp_path / "x.jsonl", lines[1:])
  with pytest.raises(ValueError, match=r"x.jsonl: want the rows of"):
    systems.read([f"a={file},{path}"])


def test_two_systems_of_one_name_are_refused(file):
  with pytest.raises(ValueError, match="found 'good' 2 times; name them"):
    systems.read([file, file])
  assert len(systems.read([file, f"again={file}"])) == 2


def test_seeds_of_several_protocols_are_refused(tmp_path, file):
  path = predicted.write(tmp_path / "x.jsonl", predicted.lines(GOLD, PRED))
  with pytest.raises(
    ValueError, match=r"^a: want seeds of one .* clean \(.* unknown \(.*x.jsonl"
  ):
    systems.read([f"a={file},{path}"])


@pytest.mark.parametrize(
  ("protocols", "described"),
  [
    (["clean", "clean"], "clean"),
    (["clean", "none"], "protocols differ: s0 clean, s1 none"),
    (["clean", "unknown"], "protocols differ: s0 clean, s1 unknown"),
    (["unknown", "unknown"], "protocols differ: s0 unknown, s1 unknown"),
  ],
)
def test_an_unknown_protocol_differs_from_all(protocols, described):
  compared = [
    systems.System(f"s{i}", (predictions.Seed("x", protocol, {}),))
    for i, protocol in enumerate(protocols)
  ]
  assert systems.describe_protocols(compared) == described


def test_comparing_needs_neither_jax_nor_tensorflow():
  # The package itself offers its models, so it is replaced by its folder.
  script = (
    "import sys, types\n"
    "package = sys.modules['ifa_jax'] = types.ModuleType('ifa_jax')\n"
    "package.__path__ = [sys.argv[1]]\n"
    "import ifa_jax.analyze.compare.command\n"
    "heavy = {'jax', 'flax', 'tensorflow', 'torch', 'transformers'}\n"
    "print(sorted(heavy & {*sys.modules}))\n"
  )
  package = systems.__file__.removesuffix("statistics/systems.py")
  found = subprocess.run(
    [sys.executable, "-c", script, package],
    capture_output=True,
    text=True,
    check=True,
  )
  assert found.stdout == "[]\n"


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("word", "name", "paths"),
  [
    ("a,b.jsonl", "a,b", ["a,b.jsonl"]),
    ("x=a,b.jsonl", "x", ["a,b.jsonl"]),
    ("x=a,b.jsonl,c", "x", ["a,b.jsonl", "c"]),
    ("c,a,b.jsonl", "c,a,b", ["c", "a,b.jsonl"]),
    ("lr=1,2", "lr=1,2", ["lr=1,2"]),
    ("lr=1,2,c", "lr=1,2,c", ["lr=1,2", "c"]),
    ("x=lr=1,2,c", "x", ["lr=1,2", "c"]),
    # What is not there is split as ever.
    ("x=gone,c", "x", ["gone", "c"]),
  ],
)
def test_a_path_that_is_there_may_have_commas_and_equals_signs(
  tmp_path, monkeypatch, word, name, paths
):
  monkeypatch.chdir(tmp_path)
  for path in ("a,b.jsonl", "c", "lr=1,2"):
    (tmp_path / path).touch()
  assert systems.parse(word) == (name, paths)
