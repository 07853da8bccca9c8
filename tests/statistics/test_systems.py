"""Reading predictions of systems, and errors for invalid files."""

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
def test_malformed_system_raises(word):
  with pytest.raises(ValueError, match=r"expected \[name=\]PATH"):
    systems.parse(word)


def test_all_fields_of_a_file_are_read(tmp_path):
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


def test_blank_lines_and_byte_order_mark_are_ignored(tmp_path, file):
  text = "\n\n".join(map(json.dumps, predicted.lines(GOLD, PRED)))
  path = tmp_path / "x.jsonl"
  path.write_text(f"{text}\n\n", encoding="utf-8-sig")
  assert len(systems.read([file, str(path)])[1].seeds[0].lines) == 4


@pytest.mark.parametrize("per_line", [{}, {"protocol": "released"}])
def test_protocol_of_a_run_is_that_of_its_scores(tmp_path, per_line):
  lines = predicted.lines(GOLD, PRED, **per_line)
  run = predicted.write_run(tmp_path / "run", lines, protocol="released")
  (system,) = systems.read([run])
  assert (system.name, system.protocol) == ("run", "released")


def test_split_selects_the_files_of_a_run(tmp_path):
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
def test_error_for_unscored_run_has_the_command(tmp_path, name):
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
    ({"protocol": "released"}, "expected protocol='released' .*, got 'clean'"),
    ({"protocol": "clean", "n": 9}, "expected n=9 .*, got 4"),
    (
      {"protocol": "clean", "accuracy": 0.7},
      "expected accuracy=0.7 .* got 0.5",
    ),
    ({}, "expected protocol=None .*, got 'clean'"),
  ],
)
def test_scores_of_other_predictions_raise(tmp_path, scores, message):
  lines = predicted.lines(GOLD, PRED, protocol="clean")
  run = predicted.write_run(tmp_path / "run", lines, **scores)
  with pytest.raises(ValueError, match=message):
    systems.read([run])


def test_invalid_scores_file_is_named(tmp_path):
  lines = predicted.lines(GOLD, PRED)
  run = predicted.write_run(tmp_path / "run", lines, protocol="clean")
  (tmp_path / "run" / "eval_test.json").write_text("{")
  with pytest.raises(ValueError, match=r"eval_test.json: not JSON"):
    systems.read([run])


def test_missing_path_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"nowhere: expected .* got neither"):
    systems.read([str(tmp_path / "nowhere")])


LINE = '{"id": "a", "gold": "None", "pred": "None"}\n'


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", r"x.jsonl: expected predictions of .*, got an empty file"),
    (LINE + "{'id': 1}", r"x.jsonl, line 2: not JSON: "),
    (LINE + "\n\udcff", r"x.jsonl, line 3: not JSON: "),
    (LINE + "[" * 100_000, r"x.jsonl, line 2: not JSON: "),
    (LINE + "[1]", r"line 2: expected a JSON object, got list"),
    ('{"id": 1, "id": 2}', r"line 1: expected each key .*, got 'id' 2 times"),
    ('{"id": "a", "pred": "None"}', r"line 1: .* got no gold$"),
    ('{"gold": "None"}', r"line 1: .* got no id, pred$"),
    (LINE + LINE, r"line 2: .* every row once, got 'a' again .* line 1\)"),
    (LINE.replace('"a"', "[1]"), r"expected id as text or an integer, .*\[1\]"),
    (LINE.replace('"None"', "3"), r"line 1: expected gold as text, got 3"),
    (LINE.replace('"pred": "None"', '"pred": null'), r"pred as text, got No"),
    (
      LINE.replace("}", ', "probability": "1"}'),
      r"expected probability as a n",
    ),
    (
      LINE.replace("}", ', "probability": NaN}'),
      r"a finite probability, .*nan",
    ),
    (
      LINE.replace("}", ', "protocol": 1}'),
      r"expected protocol as text, got 1",
    ),
    (
      LINE + LINE.replace('"a"', '"b", "protocol": "clean"'),
      r"x.jsonl: expected .* of one protocol, got clean, unknown",
    ),
  ],
)
def test_invalid_line_is_named(tmp_path, text, message):
  path = tmp_path / "x.jsonl"
  path.write_bytes(text.encode("utf-8", "surrogateescape"))
  with pytest.raises(ValueError, match=message):
    systems.read([str(path)])


def test_rows_that_differ_are_named_and_counted(tmp_path, file):
  lines = predicted.lines(GOLD * 3, PRED * 3)
  path = predicted.write(tmp_path / "x.jsonl", lines[1:2] + lines[4:])
  with pytest.raises(
    ValueError,
    match=r"x.jsonl: expected the rows of .*good.jsonl, got"
    r" 3 \(test/0, test/2, test/3\) missing"
    r" and 8 \(test/4, test/5, test/6, \.\.\.\) additional",
  ):
    systems.read([file, path])


def test_gold_relations_that_differ_are_named(tmp_path, file):
  gold = ["None", "None", "/per/per/couple", "/x"]
  path = predicted.write(tmp_path / "x.jsonl", predicted.lines(gold, PRED))
  with pytest.raises(
    ValueError,
    match=r"x.jsonl: expected the gold .* got others in 2 \(test/1 is None,"
    r" not /per/per/couple, test/3 is /x, not None\)",
  ):
    systems.read([file, path])


def test_rows_of_every_seed_are_checked(tmp_path, file):
  lines = predicted.lines(GOLD, PRED, protocol="clean")
  path = predicted.write(tmp_path / "x.jsonl", lines[1:])
  with pytest.raises(ValueError, match=r"x.jsonl: expected the rows of"):
    systems.read([f"a={file},{path}"])


def test_systems_of_the_same_name_raise(file):
  with pytest.raises(ValueError, match="got 'good' 2 times; use name="):
    systems.read([file, file])
  assert len(systems.read([file, f"again={file}"])) == 2


def test_seeds_of_several_protocols_raise(tmp_path, file):
  path = predicted.write(tmp_path / "x.jsonl", predicted.lines(GOLD, PRED))
  with pytest.raises(
    ValueError,
    match=r"^a: expected seeds .* clean \(.* unknown \(.*x.jsonl",
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
def test_unknown_protocols_differ(protocols, described):
  compared = [
    systems.PredictedSystem(f"s{i}", (predictions.Seed("x", protocol, {}),))
    for i, protocol in enumerate(protocols)
  ]
  assert systems.describe_protocols(compared) == described


def test_comparing_needs_neither_jax_nor_tensorflow():
  # Importing the package loads the models, so only its directory is used.
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
    # Missing paths are split at every comma.
    ("x=gone,c", "x", ["gone", "c"]),
  ],
)
def test_existing_paths_may_have_commas_and_equals_signs(
  tmp_path, monkeypatch, word, name, paths
):
  monkeypatch.chdir(tmp_path)
  for path in ("a,b.jsonl", "c", "lr=1,2"):
    (tmp_path / path).touch()
  assert systems.parse(word) == (name, paths)
