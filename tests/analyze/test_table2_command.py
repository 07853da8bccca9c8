"""The runs and the output of the command `table2`."""

import json
import shutil

import command_lines
import pytest
import tiny_run
import tiny_table

from ifa_jax.analyze.table2 import command as table2
from ifa_jax.analyze.table2 import tables

MISTAKES = {
  "no config": (["--config=nowhere.py"], "expected a file such as configs"),
  "a variant": (["--config=configs/mnre.py:mtb"], "'configs/mnre.py:mtb'"),
  "no variants": (
    ["--config=ifa_jax/training/config/defaults.py"],
    "expected a function get_config",
  ),
  "unknown row": (
    ["--rows=objcts"],
    "objects, vanilla, no_text_attention, text, ",
  ),
  "same row": (
    ["--rows=text,text"],
    "expected every row once, got 'text' again",
  ),
  "unknown reference": (
    ["--rows=objects,vanilla", "--against=text"],
    "expected one of the rows objects, vanilla, got 'text'",
  ),
  "unknown setting": (
    ["--rows=vanilla", "--set=train.total_epoch=1"],
    "vanilla has no setting train.total_epoch; did you mean train.total_epochs",
  ),
  "no vision": (
    ["--rows=objects,text", "--set=model.vision.num_crops=2"],
    "text has no setting model.vision.num_crops",
  ),
  "wrong type": (
    ["--rows=vanilla", "--set=train.total_epochs=many"],
    "vanilla: expected train.total_epochs as int, got 'many'",
  ),
  "no value": (["--set=seed"], "expected setting=value, got 'seed'"),
  "seed": (["--set=seed=3"], "expected seeds in --seeds"),
  "twice": (["--set=weights=a,weights=b"], "every setting once, got weights"),
  "a section": (
    ["--rows=vanilla", "--set=train=1"],
    "vanilla has no setting train",
  ),
  "no data": (
    ["--rows=vanilla", "--set=data.data_dir=nowhere"],
    "expected a prepared dataset",
  ),
  "no seed": (
    ["--seeds=one"],
    "different whole numbers, e.g. 1,49,1234",
  ),
  "same seed": (["--seeds=1,1"], "expected different whole numbers"),
}


@pytest.fixture(scope="module", name="workdir")
def folder_of_a_table_without_its_last_run(table_dir, tmp_path_factory):
  folder = tmp_path_factory.mktemp("command") / "table2"
  shutil.copytree(table_dir, folder)
  shutil.rmtree(folder / "vanilla" / "seed_49")
  return folder


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_commands(data_dir, workdir, compiled_dir):
  command = ["ifa_jax/analyze/__main__.py", "table2"]
  command += [f"--config={tiny_table.CONFIG}"]
  changes = ",".join(tiny_table.settings(data_dir))
  words = [f"--workdir={workdir}", f"--set={changes}", "--against=vanilla"]
  words += ["--rows=objects,vanilla", "--seeds=1,49"]
  fresh = workdir.parent / "fresh"
  lines = {name: [*command, *words] for name in ("trained", "again")} | {
    name: [*command, f"--workdir={fresh}", *line]
    for name, (line, _) in MISTAKES.items()
  }
  outcomes = command_lines.run_all(
    lines,
    loaded=[
      "ifa_jax.analyze.table2.command",
      "ifa_jax.data.pipeline.dataset",
      "transformers.models.auto.tokenization_auto",
    ],
    environment=tiny_run.fast_environment(compiled_dir),
  )
  assert not fresh.exists()
  return outcomes


@pytest.fixture(scope="module", name="wanted")
def table_of_the_runs(data_dir, workdir, outcomes):
  rows = tiny_table.plan(data_dir, workdir)
  return table2.table2(rows, "vanilla")


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gets_one_line(outcomes, case):
  status, out, err = outcomes[case]
  assert (status, out) == (2 if "seeds" in MISTAKES[case][0][0] else 1, "")
  (line,) = err.splitlines()
  assert line.startswith("error: ")
  assert MISTAKES[case][1] in line


RUNS = [
  "run 1 of 4: objects, seed 1",
  "run 2 of 4: objects, seed 49",
  "run 3 of 4: vanilla, seed 1",
  "run 4 of 4: vanilla, seed 49",
]


@pytest.mark.parametrize(("case", "epochs"), [("trained", 2), ("again", 0)])
def test_finished_runs_are_not_trained_again(outcomes, workdir, case, epochs):
  status, out, err = outcomes[case]
  assert status == 0, err
  lines = err.splitlines()
  runs = [line.split(", in ") for line in lines if line.startswith("run ")]
  assert [name for name, _ in runs] == RUNS
  assert runs[1][1] == str(workdir / "objects" / "seed_49")
  told = [line for line in lines if line.startswith("epoch ")]
  assert len(told) == epochs
  # The run that begins lists the origin of its parameters in two lines.
  assert len(lines) == 4 + epochs + 2 * bool(epochs)
  assert out == outcomes["trained"].out


def test_the_table_is_written(wanted, workdir):
  found = json.loads((workdir / "table2.json").read_text())
  assert found.pop("config") == tiny_table.CONFIG
  assert found.pop("set")["train.total_epochs"] == "2"
  assert found == wanted
  assert next(iter(found)) == "protocol"
  text = (workdir / "table2.md").read_text()
  assert text == tables.markdown(wanted)
  assert text.splitlines()[0] == "protocol: clean"


def test_the_table_and_the_json_agree(outcomes, wanted, workdir):
  out = outcomes["again"].out
  text = (workdir / "table2.md").read_text()
  assert "\nprotocol: clean\n" in out
  percent = lambda x: f"{100 * x:.2f}"  # noqa: E731
  score, apart = (
    wanted["rows"][0][key]["f1"] for key in ("scores", "differences")
  )
  mean = f"{percent(score['mean'])} ± {percent(score['deviation'])}"
  interval, other = (
    f"[{percent(x['low'])}, {percent(x['high'])}]" for x in (score, apart)
  )
  (first,) = [x for x in text.splitlines() if x.startswith("| objects | 2 see")]
  assert f"| {mean} |" in first
  assert first.endswith(f"{percent(apart['difference'])} |")
  assert f" {interval} | {other} |\n" in text
  for shown in (mean, interval, other, "81.67", "69.90", "F1 - vanilla"):
    assert shown in text
    assert shown in out
  assert "|  | paper | released | 92.38 | 82.59 | 80.78 | 81.67 |  |" in text
  line = "| objects | w/ Visual Objects (Table 2) | pixels | 1, 49 | 2 | 8 |"
  assert line in text
