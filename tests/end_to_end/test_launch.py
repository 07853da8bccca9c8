"""The commands' errors for mistakes about runs and datasets.

Mistakes in flags and configs: `test_command`.
"""

import pathlib
import shutil

import command_lines
import pytest
import tiny_run

PREDICT, ANALYZE = "ifa_jax/predict.py", "ifa_jax/analyze/__main__.py"
PRELOADED = (
  "ifa_jax.launch",
  "ifa_jax.training.config.baselines",
  "ifa_jax.training.loop",
  "ifa_jax.data.pipeline.dataset",
  "ifa_jax.inference.predictor",
  "ifa_jax.preparation.mnre.builder",
  "transformers.models.auto.tokenization_auto",
)
TEXT = ["--text=Ann joins Acme", "--head=Ann", "--tail=Acme"]


def cases(raw_dir, data_dir, workdir, folder):
  """Returns name -> command line.

  Args:
    raw_dir: of the tree that a dataset is prepared from.
    data_dir: of the dataset.
    workdir: of a finished run on it.
    folder: an empty one.
  """
  config = "--config=configs/quickstart.py"
  data = f"--config.data.data_dir={data_dir}"
  fresh = f"--workdir={folder / 'fresh'}"
  evaluate = ["launch.py", "--mode=evaluate"]
  first = [
    *("launch.py", config, f"--workdir={folder / 'first'}"),
    *(f"--raw_dir={raw_dir}", f"--boxes={raw_dir / 'boxes.json'}"),
    f"--config.data.data_dir={folder / 'prepared'}",
    f"--config.data.tokenizer={raw_dir / 'tokenizer'}",
    *command_lines.flags(tiny_run.SECTIONS),
    "--config.train.max_steps=1",
  ]
  return {
    "first": first,
    "again": first,
    "no dataset": [
      "launch.py", config, fresh, f"--config.data.data_dir={folder}/nowhere"
    ],
    "no encoder": [
      "launch.py", config, data, fresh, "--config.weights=text=no/such/folder"
    ],
    "other protocol": [
      "launch.py", config, data, fresh, "--config.data.protocol=released"
    ],
    "other pictures": ["launch.py", config, data, fresh],
    "long texts": [
      "launch.py", config, data, fresh, f"--raw_dir={folder}",
      "--config.data.text_len=41",
    ],
    "unknown fusion": ["launch.py", config, fresh, "--config.model.fusion=pap"],
    "no run": [*evaluate, fresh],
    "evaluate": [*evaluate, f"--workdir={workdir}", "--split=dev"],
    "predict without run": [PREDICT, fresh, *TEXT],
    "predict without text": [PREDICT, f"--workdir={workdir}"],
    "predict half a file": [PREDICT, fresh, "--input=posts.jsonl"],
    "bad span": [PREDICT, f"--workdir={workdir}", *TEXT, "--head_span=1-2"],
    "predict": [PREDICT, f"--workdir={workdir}", *TEXT],
    "no verb": [ANALYZE],
    "shuffle without run": [ANALYZE, "shuffle", fresh],
  }  # fmt: skip


@pytest.fixture(scope="module", name="workdir")
def copy_of_a_finished_run(finished, tmp_path_factory):
  copied = tmp_path_factory.mktemp("launch") / "run"
  shutil.copytree(finished.workdir, copied)
  return copied


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases(
  raw_dir, data_dir, workdir, compiled_dir, tmp_path_factory
):
  folder = tmp_path_factory.mktemp("folders")
  lines = cases(raw_dir, data_dir, workdir, folder)
  return command_lines.run_all(
    lines,
    loaded=PRELOADED,
    environment=tiny_run.fast_environment(compiled_dir),
  )


@pytest.mark.parametrize(
  ("case", "status", "named"),
  [
    (
      "no dataset",
      1,
      "/nowhere --protocol=clean --tokenizer=runs/quickstart/raw/tokenizer"
      " --text_len=40 --image_size=64 --patch_size=16 --num_crops=2"
      " --boxes=boxes.json",
    ),
    ("no encoder", 1, "no/such/folder: there is no such folder; name folders"),
    ("other protocol", 1, "expected protocol released, got "),
    ("other pictures", 1, "model.vision.image_size: expected 32, as "),
    # Before the data is prepared.
    ("long texts", 1, "data.text_len: expected at most model.text.max_len 40"),
    ("unknown fusion", 1, "model.fusion: expected one of paper, released, got"),
    ("no run", 1, "expected a run's folder with a config.json, got none"),
    ("predict without run", 1, "expected a run's folder with a config.json"),
    ("predict without text", 2, "error: expected either --text with its"),
    ("predict half a file", 2, "error: flags input=posts.jsonl: expected "),
    ("bad span", 2, "--head_span=1-2: expected BEGIN:END, whole numbers"),
    ("no verb", 2, "expected one of "),
    ("shuffle without run", 1, "expected a run's folder with a config.json"),
  ],
)
def test_a_mistake_gets_one_line_and_its_exit_status(
  outcomes, case, status, named
):
  found = outcomes[case]
  assert (found.status, found.out) == (status, "")
  (line,) = found.err.splitlines()
  assert line.startswith("error: ")
  assert named in line


def test_a_raw_tree_is_prepared_and_trained_on(outcomes):
  found = outcomes["first"]
  assert found.status == 0, found.err
  steps = [*map(found.err.find, ("\nPrepared ", "\nRun folder: "))]
  begun = "\nStarting from\n  relation head, text, vision: random\n"
  steps.append(found.err.find(begun))
  assert -1 not in steps
  assert steps == sorted(steps)
  assert "Test scores of" in found.out


def test_the_same_line_again_reports_the_finished_scores(outcomes):
  found, first = outcomes["again"], outcomes["first"]
  assert (found.status, found.out) == (0, first.out)
  assert "\nAlready prepared: " in found.err
  assert "\nRun folder: " in found.err
  assert "Starting from" not in found.err


def test_a_mistake_leaves_no_folder_behind(outcomes, tmp_path_factory):
  folders = pathlib.Path(tmp_path_factory.getbasetemp()).glob("folders*/fresh")
  assert list(folders) == []


def test_a_finished_run_is_evaluated_again(outcomes, workdir, finished):
  found = outcomes["evaluate"]
  assert (found.status, found.err) == (0, "")
  assert f"dev scores of {workdir}" in found.out
  assert "protocol: clean, 13 rows" in found.out
  name = "predictions_dev.jsonl"
  again, before = (
    tiny_run.read_lines(path / name) for path in (workdir, finished.workdir)
  )
  for row, wanted in zip(again, before, strict=True):
    assert row["probabilities"] == pytest.approx(
      wanted["probabilities"], abs=1e-5
    )


def test_a_post_is_predicted_and_shown(outcomes):
  found = outcomes["predict"]
  told = "no post has a picture; the run was trained with pictures\n"
  assert (found.status, found.err) == (0, told)
  shown = " ".join(found.out.split())
  assert shown.startswith("Ann -> Acme ")
  assert shown.endswith("(trained under protocol clean)")
  assert found.out.count("/per/") >= 4
