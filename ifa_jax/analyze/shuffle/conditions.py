"""What a run predicts when its pictures are changed: the columns of Table 1.

standard         the test split as it is
shuffle(test)    each row with the pictures of another, one permutation a seed
blank            every picture, crop and object absent
shuffle(train)   another run, that was trained on shuffled pictures
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.batch import blank_pictures
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.models import variants
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.statistics import bootstrap, metrics, predictions
from ifa_jax.training import evaluation, experiment, loop
from ifa_jax.training.config import run_record
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.epochs import pictures, shuffled_rows
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

_SPLIT = "test"


class Condition(NamedTuple):
  """A split's predictions under one condition.

  Attributes:
    name: as the table has it.
    seeds: of the permutations; none where nothing is permuted.
    predicted: int[S, n] relation ids, a line for each seed.
    own: share of rows that get their own picture, mean over the permutations;
      None where nothing is permuted.
  """

  name: str
  seeds: tuple[int, ...]
  predicted: np.ndarray
  own: float | None = None


def predict(
  built: Experiment,
  folder: RunFolder,
  shuffles: Sequence[Shuffle],
  num_seeds: int,
) -> tuple[np.ndarray, list[Condition]]:
  """Predicts a run's test split under each condition, standard first.

  Args:
    built: from the run's own config.
    folder: the run's.
    shuffles: kinds of shuffle(test).
    num_seeds: S, permutations of each kind; their seeds count from 0.

  Returns:
    The gold relations, int[n], and the conditions.

  Raises:
    ValueError: if the folder holds no checkpoint with dev scores.
  """
  split = built.data.split(_SPLIT)
  evaluator = evaluation.Evaluator(built)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    params = evaluation.load_best(built, checkpoints).params
  standard = evaluator.predict(params, split)
  found = [Condition("standard", (), standard.predicted[None])]
  seeds, names = tuple(range(num_seeds)), pictures(split)
  for shuffle in shuffles:
    orders = [shuffled_rows(built.data, split, seed, shuffle) for seed in seeds]
    rows = [evaluator.predict(params, split, rows) for rows in orders]
    predicted = np.stack([one.predicted for one in rows])
    own = [sampling.share_of_own(rows, names) for rows in orders]
    found.append(
      Condition(_name(shuffle), seeds, predicted, float(np.mean(own)))
    )
  blank = evaluator.predict(params, split, change=blank_pictures)
  found.append(Condition("blank", (), blank.predicted[None]))
  return standard.gold, found


def _name(shuffle: Shuffle) -> str:
  parts = ["shuffle(test)"]
  parts += ["by image"] if shuffle.unit == "image" else []
  parts += ["count kept"] if shuffle.keep == "count" else []
  return ", ".join(parts)


def train_shuffled(
  built: Experiment, folder: RunFolder, seed: int
) -> RunFolder:
  """Trains a run's config on shuffled pictures: shuffle(train).

  The new run lies inside the old one's folder, and goes on there if it was
  stopped.
  """
  data = dataclasses.replace(built.config.data, visual_shuffle_seed=seed)
  config = dataclasses.replace(built.config, data=data)
  inside = RunFolder(folder.file(f"shuffle_train_{seed}"))
  if inside.read_json(f"eval_{_SPLIT}.json") is None:
    loop.run(experiment.build(config, inside), inside.path)
  return inside


def beside(folder: RunFolder, built: Experiment, gold: np.ndarray) -> Condition:
  """Returns what another run predicted of the same rows.

  Raises:
    ValueError: if it is not finished, or was scored on other data.
  """
  record = folder.read_record()
  found = predictions.read(folder.path, _SPLIT)
  ids = {name: i for i, name in enumerate(built.prepared.relations) if i}
  ids[predictions.NONE] = metrics.NONE
  lines = found.lines.values()
  theirs = record["dataset"]["sources"], found.protocol
  ours = built.prepared.metadata["sources"], built.prepared.protocol
  if theirs != ours or [ids.get(x["gold"]) for x in lines] != [*gold]:
    raise ValueError(
      f"{folder.path}: expected a run on the data of {built.prepared.folder}"
      f" (protocol {built.prepared.protocol}), got one on other data (protocol"
      f" {found.protocol})"
    )
  # A relation that the dataset does not have is wrong for every row.
  predicted = np.array([[ids.get(line["pred"], -1) for line in lines]])
  name = _describe(run_record.read(folder), built.config.model)
  return Condition(name, (), predicted)


def _describe(config: RunConfig, ours: System) -> str:
  """Names another run: which model, if it is not ours, and its pictures."""
  theirs = config.model
  name = variants.name_of(theirs)
  same = theirs.system == ours.system == ModelConfig.system
  prefix = "" if same or name == variants.name_of(ours) else f"{name}, "
  if not theirs.sees_pictures:
    return f"{prefix}text only, another run"
  if config.data.visual_shuffle_seed is not None:
    return f"{prefix}shuffle(train)"
  return f"{prefix}standard, another run"


def summarise(
  gold: np.ndarray, found: Sequence[Condition], posts: np.ndarray
) -> list[dict[str, Any]]:
  """Returns each condition's scores with intervals, plain values for JSON.

  Args:
    gold: int[n].
    found: standard first; the others are compared with it on the same draws.
    posts: int[n], see `bootstrap.number_posts`.

  Returns:
    For each condition `condition`, `seeds`, `own_pictures` (share of rows that
    a permutation leaves with theirs, or None), `scores`, and `minus_standard`
    unless it is that. Both of these map a name of `bootstrap.SCORES` to `mean`
    over seeds, `low` and `high`; `scores` also to `by_seed`.
  """
  standard = bootstrap.row_counts(gold, found[0].predicted)
  rows = []
  for condition in found:
    counts = bootstrap.row_counts(gold, condition.predicted)
    row = {"condition": condition.name, "seeds": list(condition.seeds)}
    row["own_pictures"] = condition.own
    row["scores"] = _measure(
      lambda drawn, seeds=None, counts=counts: bootstrap.mean_scores(
        counts, drawn, seeds
      ),
      posts,
      [len(counts)],
    )
    for i, name in enumerate(bootstrap.SCORES):
      by_seed = [_score(one[None])[i] for one in counts]
      row["scores"][name]["by_seed"] = [float(value) for value in by_seed]
    if condition is not found[0]:
      row["minus_standard"] = _measure(
        lambda drawn, seeds=None, counts=counts: (
          bootstrap.mean_scores(counts, drawn, seeds)
          - bootstrap.mean_scores(standard, drawn)
        ),
        posts,
        [len(counts)],
      )
    rows.append(row)
  return rows


def _score(counts: np.ndarray) -> np.ndarray:
  return bootstrap.mean_scores(counts, np.ones(counts.shape[1]))


def _measure(
  statistic, posts: np.ndarray, num_seeds: Sequence[int]
) -> dict[str, dict[str, Any]]:
  """Returns a statistic of the rows as they are, and its interval."""
  low, high, _ = bootstrap.interval(statistic, posts, num_seeds)
  columns = (statistic(np.ones(len(posts))), low, high)
  return {
    name: {"mean": float(mean), "low": float(least), "high": float(most)}
    for name, mean, least, most in zip(bootstrap.SCORES, *columns, strict=True)
  }
