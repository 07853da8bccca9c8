r"""Table 2: variants of one config file, trained alike, next to the paper.

    python -m ifa_jax.analyze table2 --config=configs/mnre.py \
        --rows=bert,mtb,objects --seeds=1,49,1234 --workdir=runs/table2 \
        --against=mtb --set=data.protocol=clean,data.data_dir=data/mnre

Every variant is trained once with each seed, in WORKDIR/{variant}/seed_{seed},
as launch.py would: its folder is an ordinary run's. Finished runs are not
trained again, and a table that was stopped is resumed. `--set` changes settings
of all variants; a setting that a variant does not have is an error.

Later systems (mkgformer, hvformer, hvpnet) are rows if --rows names them, in a
table of their own.

Scores are means over seeds, with standard deviations; 95 % intervals are those
of `compare`, bootstrapped over test posts and paired for differences. Writes
`table2.md` and `table2.json` into WORKDIR.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from absl import flags

from ifa_jax.analyze import published
from ifa_jax.analyze.compare import command
from ifa_jax.analyze.rows import command_flags, configs, runs
from ifa_jax.analyze.rows.runs import Row
from ifa_jax.analyze.table2 import tables
from ifa_jax.statistics import predictions
from ifa_jax.statistics.systems import PredictedSystem
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  command_flags.define()
  flags.DEFINE_string(
    "against", None, "The row that the others' F1 is compared with."
  )


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  rows, changes = command_flags.plan(_choose)
  runs.train_all(rows)
  table = table2(rows, values.against)
  table |= {"config": values.config, "set": changes}
  tables.show(table)
  folder = RunFolder(values.workdir)
  folder.write_json("table2.json", table)
  folder.write_text("table2.md", tables.markdown(table))
  print(f"written to {folder.file('table2.md')} and table2.json")


def _choose(module: ModuleType) -> list[str]:
  values = flags.FLAGS
  names = configs.choose(module, values.rows, "Table 2")
  if values.against not in (None, *names):
    raise ValueError(
      f"--against: expected one of the rows {', '.join(names)}, got"
      f" {values.against!r}"
    )
  return names


def table2(rows: Sequence[Row], against: str | None = None) -> dict[str, Any]:
  """Collects the scores of finished runs and the published ones.

  Returns:
    Plain values: `protocol`, `split`, `n`, `num_relations` (test rows that have
    one), `bootstrap`, `against`, and `rows`. Each of these has `variant`,
    `protocol`, `visual_source`, `epochs`, `updates`, `runs`, `scores` as
    `compare.compare` describes a system's, `published` or None, and
    `differences` from `against` or None. `counts_only` is as in
    `compare.compare`. Fractions are in [0, 1].

  Raises:
    ValueError: if a run is not finished, or runs have other test rows or gold
      relations than the first one.
  """
  systems = {
    row.variant: PredictedSystem(
      row.variant,
      tuple(predictions.read(x.path, runs.SPLIT) for x in row.folders.values()),
    )
    for row in rows
  }
  reference = systems[against or rows[0].variant]
  others = [system for system in systems.values() if system is not reference]
  result = command.compare([reference, *others])
  scores = {system["name"]: system["scores"] for system in result["systems"]}
  apart = {pair["second"]: pair["differences"] for pair in result["pairs"]}
  lines = reference.seeds[0].lines.values()
  return {
    "protocol": result["protocol"],
    "split": runs.SPLIT,
    "n": result["n"],
    "num_relations": sum(x["gold"] != predictions.NONE for x in lines),
    "bootstrap": result["bootstrap"],
    "against": against,
    "counts_only": result["counts_only"],
    "rows": [
      {
        **_describe(row, systems[row.variant]),
        "scores": scores[row.variant],
        "published": _published(row.variant),
        "differences": apart.get(row.variant) if against else None,
      }
      for row in rows
    ],
  }


def _describe(row: Row, system: PredictedSystem) -> dict[str, Any]:
  """Describes a row's runs, each with the update that was selected on dev."""
  name = f"eval_{runs.SPLIT}.json"
  found: dict[int, Any] = {
    seed: folder.read_json(name) for seed, folder in row.folders.items()
  }
  # The scores of a model of regions name their source.
  sources = {x.get("visual_source", row.visual_source) for x in found.values()}
  return {
    "variant": row.variant,
    "protocol": system.protocol,
    "visual_source": "; ".join(sorted(sources)),
    "epochs": row.epochs,
    "updates": row.updates,
    "runs": [
      {"seed": seed, "folder": row.folders[seed].path, "step": x["step"]}
      for seed, x in found.items()
    ],
  }


def _published(variant: str) -> dict[str, Any] | None:
  """Returns a variant's printed row as fractions, if there is one."""
  if variant not in published.VARIANTS:
    return None
  row = published.VARIANTS[variant]
  figures = {
    name: None if value is None else round(value / 100, 4)
    for name, value in row.figures._asdict().items()
  }
  found = {"table": row.table, "name": row.name, "reported_by": row.reported_by}
  return found | figures
