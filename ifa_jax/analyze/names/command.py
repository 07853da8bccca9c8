r"""Does a model read the post, or does it know the pair of names by heart?

    python -m ifa_jax.analyze names --workdir=runs/text
    python -m ifa_jax.analyze names --workdir=runs/text --names=invented
    python -m ifa_jax.analyze names --workdir=runs/text --rewritten=rows.jsonl

Both names of every test row are replaced, other mentions of them in its text as
well, and the label is kept. The run's best checkpoint scores the new rows with
their own pictures, boxes and captions, next to the original ones.

    --names=exchange   names of the same type from other rows of the dataset
    --names=invented   names of syllables, unknown to the training texts, with
                       the number of words of the original and capitals where
                       its words begin with one; punctuation is not kept

Types are those of the relation (/per/org/member_of: per, org), or of a file
{relation: [head type, tail type]}, `--types`. Names of a row without a relation
get the type that they have most often in other rows, or else one drawn by its
frequency among heads, or among tails. Names are drawn alike for all labels, a
post at a time, and no new pair is in any split. Pairs in training, in the
table, are of names in any order and case.

Limits. Most names of rows without a relation are in no row with one, so that
their type is drawn and may be wrong, which makes these rows easier or harder to
recognise; the table shows their number and accuracy. Recall and the accuracy of
rows with a relation do not depend on them, and invented names have no type.
Names that are only in rows without a relation are never drawn: they would
reveal the label. Exchanged names are known to the model, each with its own
relations in training. Other forms of a name in the text ("Trump's", a nickname)
remain, as do other entities, words that agree with the old name ("she"), and
pictures and captions, which show the old entities. Rows whose entities overlap
remain as they are. The label may be false of the new names; it remains the
meaning of the text.

`--rewritten=FILE` scores rows that others rewrote instead: posts as JSON lines
(docs/posts.md) with the `id` of their row. `--rumie=FILE` does so for the files
of RUMIE that rewrite the text of MNRE's rows.

Intervals are of bootstrap resamples of posts and draws, given the weights, and
paired. Writes `names.json`, `names.md` and the predictions of each draw,
`predictions_test_names_0.jsonl`, to the run's folder or `--out`; a later run of
the command replaces them.
"""

import itertools
import os

from absl import flags

from ifa_jax.analyze import outputs, tables
from ifa_jax.analyze.names import draw, draws, outside, predict, report, rumie
from ifa_jax.analyze.names.draws import Compared
from ifa_jax.training import evaluation, recorded_inputs
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

# Flags of names that are drawn.
_OF_DRAWS = ("names", "num_seeds", "types")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_enum(
    "names", "exchange", draw.WAYS, "Names of the dataset, or invented ones."
  )
  flags.DEFINE_integer("num_seeds", 5, "Draws of names.", lower_bound=1)
  flags.DEFINE_string(
    "types", None, "JSON file {relation: [head type, tail type]}."
  )
  flags.DEFINE_string("rewritten", None, "JSON lines of rewritten rows.")
  flags.DEFINE_string("rumie", None, "A file of RUMIE, for a run on MNRE.")
  flags.DEFINE_string("out", None, "Folder of the results; default: --workdir.")
  flags.mark_flag_as_required("workdir")
  for own, file in itertools.product(_OF_DRAWS, ("rewritten", "rumie")):
    flags.register_multi_flags_validator(
      [own, file],
      lambda values, own=own, file=file: (
        values[file] is None or not flags.FLAGS[own].present
      ),
      f"expected no --{own} with --{file}, which has the names",
    )


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  if values.rewritten and values.rumie:
    raise ValueError("--rumie: expected none with --rewritten, got both")
  folder = RunFolder(values.workdir)
  out = RunFolder(values.out or folder.path)
  os.makedirs(out.path, exist_ok=True)
  built = recorded_inputs.open_run(folder)
  run = predict.open_run(built, folder)
  compared = _compare(run)
  result = {"protocol": built.prepared.protocol, "run": folder.path}
  result |= compared.result
  head, shown = report.head(result), report.tables_of(result)
  tables.show(head, shown)
  out.write_json("names.json", result)
  out.write_text("names.md", tables.markdown(head, shown))
  _write_lines(run, out, compared)
  print(f"written to {out.file('names.md')}, names.json and predictions of it")


def _compare(run: predict.Run) -> Compared:
  values = flags.FLAGS
  if values.rewritten:
    return outside.compare(run, values.rewritten)
  if values.rumie:
    found = rumie.read(run, values.rumie)
    name = f"rows of {values.rumie}"
    return outside.compare_texts(run, found.texts, name, found.left_out)
  return draws.compare(run, values.names, values.num_seeds, values.types)


def _write_lines(run: predict.Run, out: RunFolder, compared: Compared) -> None:
  """Writes the predictions of each draw, in place of earlier ones."""
  name = "predictions_test_names"
  outputs.remove_draws(out, name)
  for seed, (texts, found) in enumerate(compared.draws):
    split = predict.RewrittenSplit(
      run.built.data.split("test"), compared.rows, texts
    )
    lines = evaluation.lines(run.built, split, found)
    out.write_lines(f"{name}_{seed}.jsonl", lines)
