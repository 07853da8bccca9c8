"""`python -m ifa_jax.predict`: one post, a file, and every wrong use."""

import json

import command_lines
import own_runs
import pytest
import tiny_run
import tiny_systems
from entity_choices import ALLOWED, CHOICES, COUPLE, PAIRS

from ifa_jax.inference.choose import Choice

TEXT = ["--text=Ann Lee, of Acme.", "--head=Ann Lee", "--tail=Acme"]
FILE = ["--input=a.jsonl", "--output=b.jsonl"]
USAGE = {
  "two models": [*TEXT, "--model=shared"],
  "neither": [],
  "both": [*TEXT, *FILE],
  "no output": ["--input=a.jsonl"],
  "file with a head": [*FILE, "--head=Ann"],
  "file with a caption": ["--input=a", "--output=b", "--caption=a cat"],
  "span of letters": [*TEXT, "--head_span=a:b"],
  "span of one": [*TEXT, "--tail_span=3"],
  "batch of none": [*FILE, "--batch_size=0"],
  "none at most": [*FILE, "--top_k=0"],
  "other format": [*FILE, "--format=ann"],
  "text with flags of files": [*TEXT, "--format=brat", "--threshold=0.5"],
}


@pytest.fixture(scope="module", name="folder")
def folder_of_posts(tmp_path_factory, posts):
  folder = tmp_path_factory.mktemp("posts")
  bare = [{k: v for k, v in post.items() if k != "boxes"} for post in posts]
  lines = [json.dumps(post) for post in bare]
  lines.insert(1, "{")
  (folder / "posts.jsonl").write_text("\n".join(lines))
  (folder / "same.jsonl.partial").write_text("\n".join(lines))
  (folder / "taken").mkdir()
  (folder / "taken.d").mkdir()
  (folder / "taken.d" / "a.txt").touch()
  (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
  (folder / "allowed.json").write_text(json.dumps(ALLOWED))
  (folder / "wrong.json").write_text(json.dumps({COUPLE: ["per", "per"]}))
  return folder


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_command_lines(
  folder, raw_dir, data_dir, finished, predictor, compiled_dir
):
  run = ["ifa_jax/predict.py", f"--workdir={finished.workdir}"]
  (picture,) = sorted((raw_dir / "img_org" / "test").iterdir())[:1]
  boxes = f"--boxes={raw_dir / 'boxes.json'}"
  predictor.save_pretrained(folder / "shared")
  file, pairs = "--input=posts.jsonl", "--input=pairs.jsonl"
  built = tiny_systems.build("caption", data_dir)
  own_runs.write(built, tiny_systems.params(built), folder / "reader")
  listed = {"a.jpg": [{"box": [0, 0, 9, 9], "score": 0.5}]}
  (folder / "boxes.json").write_text(json.dumps(listed))
  (folder / "captions.json").write_text('{"a.jpg": "two cats"}')
  (folder / "others.json").write_text('{"a.jpg": "two dogs"}')
  reader = ["ifa_jax/predict.py", "--workdir=reader", *TEXT]
  shown = [*reader, "--image=img/a.jpg", "--captions=captions.json"]
  lines = {
    "help": ["ifa_jax/predict.py", "--help"],
    "no run": ["ifa_jax/predict.py", "--workdir=taken", *TEXT],
    "one": [*run, *TEXT, f"--image={picture}", boxes],
    "shared": ["ifa_jax/predict.py", "--model=shared", *TEXT],
    "shared workdir": ["ifa_jax/predict.py", "--workdir=shared", *TEXT],
    "own": [*run, *TEXT],
    "no model": ["ifa_jax/predict.py", *TEXT],
    "not fetched": ["ifa_jax/predict.py", "--model=me/gone", *TEXT],
    "span": [*run, *TEXT, "--head_span=0:2"],
    "name": [*run, TEXT[0], "--head=Bob", "--tail=Acme"],
    "file": [*run, file, "--output=out.jsonl", boxes],
    "same": [*run, file, "--output=./posts.jsonl"],
    "same partial": [*run, "--input=same.jsonl.partial", "--output=same.jsonl"],
    "folder": [*run, file, "--output=taken"],
    "no input": [*run, "--input=gone.jsonl", "--output=out2.jsonl"],
    "caption": [*reader, "--caption=two cats"],
    "captions": shown,
    "no caption": reader,
    "unread": [*shown, "--boxes=boxes.json", "--detector=gone"],
    "two captions": [*shown[:-1], "--captions=captions.json,others.json"],
    "no boxes": [*run, *TEXT, "--boxes=gone.json"],
    **{
      name: [*run, pairs, f"--output={name}.out", *flags]
      for name, (flags, _) in CHOICES.items()
    },
    "brat": [*run, pairs, "--output=brat", "--format=brat"],
    "brat taken": [*run, pairs, "--output=taken.d", "--format=brat"],
    "threshold of two": [*run, pairs, "--output=no", "--threshold=2"],
    "symmetric": [*run, pairs, "--output=no", "--symmetric=couple"],
    "allowed": [*run, pairs, "--output=no", "--allowed=wrong.json"],
    **{name: [*run, *flags] for name, flags in USAGE.items()},
  }
  return command_lines.run_all(
    lines,
    cwd=folder,
    loaded=["ifa_jax.inference.predictor"],
    environment=tiny_run.fast_environment(compiled_dir)
    | {"HF_HUB_OFFLINE": "1"},
  )


def test_one_post_is_printed_as_a_table(outcomes, predictor, raw_dir):
  found = outcomes["one"]
  assert (found.status, found.err) == (0, "")
  head, *table, last = found.out.splitlines()
  assert head == "Ann Lee -> Acme"
  assert last == "(trained under protocol clean)"
  (name,) = sorted((raw_dir / "img_org" / "test").iterdir())[:1]
  listed = json.loads((raw_dir / "boxes.json").read_text())[name.name]
  wanted = predictor.predict(
    {"text": "Ann Lee , of Acme .", "head": "Ann Lee", "tail": "Acme"}
    | {"image": str(name), "boxes": listed}
  )
  best = sorted(wanted["probabilities"].items(), key=lambda item: -item[1])[:5]
  rows = [line.strip("│ ").split() for line in table if line.startswith("│")]
  assert [row[0] for row in rows] == [name for name, _ in best]
  shown = [float(row[-1]) for row in rows]
  assert shown == pytest.approx([p for _, p in best], abs=1.01e-4)


def test_a_shared_model_predicts_as_its_run(outcomes):
  for name in ("shared", "shared workdir"):
    assert outcomes[name] == outcomes["own"]
    assert outcomes[name].status == 0


def test_a_post_without_what_the_run_saw_is_told_of_it(outcomes):
  found = outcomes["span"]
  assert found.status == 0
  assert found.out.startswith("Ann Lee -> Acme\n")
  assert found.err == (
    "no post has a picture; the run was trained with pictures\n"
  )


def test_a_caption_is_given_or_listed(outcomes):
  given, listed, without = (
    outcomes[name] for name in ("caption", "captions", "no caption")
  )
  assert given == listed
  assert (given.status, given.err, without.status) == (0, "", 0)
  assert given.out != without.out
  assert without.err == (
    "no post has a caption; the run was trained with captions: give them in"
    " the posts, or by --captions\n"
  )


@pytest.mark.silent_input
def test_inputs_that_the_run_does_not_read_get_a_line_each(outcomes):
  found, given = outcomes["unread"], outcomes["caption"]
  assert (found.status, found.out) == (0, given.out)
  finder, boxes = found.err.splitlines()
  assert finder.endswith(
    "reader: no objects are looked for, as the run was trained without any"
  )
  assert boxes == (
    "posts: 'boxes' has no effect: the run reads the text and the picture's"
    " caption"
  )


def test_a_file_of_posts_is_predicted(outcomes, folder, finished, posts):
  found = outcomes["file"]
  assert found.status == 0
  assert found.out == f"out.jsonl: {len(posts) + 1} posts, 1 of them invalid\n"
  assert "trained with" not in found.err
  records = tiny_run.read_lines(folder / "out.jsonl")
  bad = records.pop(1)
  assert bad["not_json"] == "{"
  rows = tiny_run.read_lines(finished.workdir / "predictions_test.jsonl")
  for record, row in zip(records, rows, strict=True):
    assert record["id"] == row["id"]
    assert record["probabilities"] == pytest.approx(
      row["probabilities"], abs=1e-5
    )


@pytest.mark.parametrize("name", CHOICES)
def test_flags_choose_the_relations_of_entities(
  outcomes, folder, predictor, name
):
  found, (_, settings) = outcomes[name], CHOICES[name]
  assert found.status == 0
  assert found.out == f"{name}.out: 2 posts, 0 of them invalid\n"
  wanted = [*predictor.predict_all(PAIRS, choice=Choice(**settings))]
  assert tiny_run.read_lines(folder / f"{name}.out") == wanted
  if settings:
    assert wanted != tiny_run.read_lines(folder / "pairs.out")


@pytest.mark.silent_input
def test_types_that_no_relation_allows_are_named_in_a_line(outcomes):
  for name, known in {"by name": "'loc', ", "by file": ""}.items():
    warned = [
      line
      for line in outcomes[f"pairs {name}"].err.splitlines()
      if line.startswith("allowed")
    ]
    assert warned == [
      f"allowed: expected entities of the types {known}'org', 'per', got 'GPE':"
      " none of the relations that it limits is listed for these"
    ]
  assert "allowed" not in outcomes["pairs"].err


def test_pairs_become_a_folder_for_brat(outcomes, folder):
  assert outcomes["brat"].status == 0
  names = sorted(path.name for path in (folder / "brat").iterdir())
  assert names == ["0.ann", "0.txt", "1.ann", "1.txt", "annotation.conf"]
  for record in tiny_run.read_lines(folder / "pairs.out"):
    lines = (folder / "brat" / f"{record['id']}.ann").read_text().splitlines()
    relations = [line.split("\t")[1] for line in lines if line[0] == "R"]
    assert relations == [
      f"{x['relation'].strip('/').replace('/', '_')} Arg1:T{x['head'] + 1}"
      f" Arg2:T{x['tail'] + 1}"
      for x in record["relations"]
    ]


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("no run", "taken: expected a run's folder with a config.json, got none"),
    ("not fetched", "me/gone: expected a folder, or a model that can be fetch"),
    ("name", "head: 'Bob' does not occur in the text"),
    ("same", "--output: expected another file than --input, got posts.jsonl"),
    (
      "same partial",
      "--output: expected another file than --input, got same.jsonl.",
    ),
    ("folder", "--output: expected a file, got the folder taken"),
    ("no input", "gone.jsonl"),
    ("no boxes", "gone.json"),
    (
      "two captions",
      "caption: expected one text, got ['two cats', 'two do",
    ),
    ("threshold of two", "threshold: expected a number from 0 to 1, got"),
    ("symmetric", "symmetric: expected relations of the model, such as"),
    ("allowed", "allowed: expected [[head types], [tail types]] for '/per/per"),
    ("brat taken", "--output: expected a new or empty folder, got taken.d"),
  ],
)
def test_a_mistake_gets_one_line(outcomes, folder, name, message):
  found = outcomes[name]
  assert (found.status, found.out) == (1, "")
  last = found.err.splitlines()[-1]
  assert last.startswith("error: ")
  assert message in last
  assert "Traceback" not in found.err
  assert (folder / "posts.jsonl").read_text().startswith("{")
  assert not (folder / "out2.jsonl").exists()


@pytest.mark.parametrize("name", [*USAGE, "no model"])
def test_wrong_use_is_refused_before_a_run_is_loaded(outcomes, name):
  found = outcomes[name]
  assert (found.status, found.out) == (2, "")
  assert found.err.startswith("error: ")
  assert found.err.count("\n") == 1


@pytest.mark.silent_input
def test_flags_of_files_are_refused_next_to_a_text(outcomes):
  found = outcomes["text with flags of files"].err
  assert "expected no --threshold, --format, which only --input reads" in found


def test_help_explains_every_flag(outcomes):
  found = outcomes["help"]
  assert found.status == 0
  for flag in (
    "workdir",
    "model",
    "head_span",
    "image",
    "caption",
    "captions",
    "boxes",
    "detector",
    "grounder",
    "input",
    "threshold",
    "top_k",
    "allowed",
    "symmetric",
    "[no]probabilities",
    "format",
  ):
    assert f"--{flag}:" in found.out
  assert "relative to the working directory" in " ".join(found.out.split())
