"""Compares 8 simulated devices with one; prints JSON for `test_parallel`.

A process of its own, because the number of devices is fixed when JAX starts.
"""

import json
import os
import re

os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"
# Compiling takes most of the time otherwise.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import jax
import numpy as np
import optim_section
import tiny
import toy

from ifa_jax import models
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.models.layers.layer_layout import APART, LayerLayout
from ifa_jax.runtime import split_state
from ifa_jax.runtime.forms import FORMS, make_parallel
from ifa_jax.training import optimizer, steps

# Splits even the arrays of a tiny model.
split_state.LEAST = 1
STACKED = LayerLayout(stacked=True)
ROWS, NUM_STEPS = 16, 4
OPTIM = optim_section.read(
  {
    "groups": {"all": {"pattern": ".*", "peak_lr": 1e-3}},
    "warmup_percent": 0.0,
    "b1": 0.9,
    "b2": 0.999,
    # Gradients of keys' biases are rounding alone.
    "epsilon": 1e-6,
    "weight_decay": 0.01,
    "decay_exclude": r".*/(bias|scale)",
    "clip_norm": 1.0,
  }
)


def batches(config):
  """Returns a batch for each step; the second is full, others have filler.

  In the third, 6 of 8 devices have no valid row.
  """
  return [
    tiny.random_batch(config, ROWS, seed=i, num_filler=num)
    for i, num in enumerate((3, 0, 13, 5))
  ]


def start(config, num_slices=1, axis=None, layout=APART):
  """Returns a state before the first update, and the update."""
  params = tiny.perturbed_params(config)
  tx = optimizer.make_optimizer(OPTIM, params, NUM_STEPS, layout)
  state = steps.start_state(layout.convert(params), tx)
  state = jax.tree.map(np.asarray, state)
  return state, steps.TrainStep(models.build(config), tx, 0, num_slices, axis)


def train(config, form, num_slices=1, layout=APART):
  """Returns the final parameters and each step's metrics; None: one device."""
  parallel = make_parallel(form) if form else None
  axis = parallel.axis if form else None
  state, train_step = start(config, num_slices, axis, layout)
  run = parallel.compile_train(train_step) if form else jax.jit(train_step)
  copy, split, fetch = (
    (parallel.copy, parallel.split, parallel.fetch)
    if form
    else (lambda x: x,) * 3
  )
  state, metrics = copy(state), []
  for batch in batches(config):
    state, sums = run(state, split(batch))
    metrics.append(jax.tree.map(float, fetch(sums)))
  return jax.tree.map(np.asarray, fetch(state.params)), metrics


def gaps(found, wanted):
  """Returns the largest differences of two results of `train`."""
  params = jax.tree.map(lambda a, b: np.abs(a - b).max(), found[0], wanted[0])
  pairs = list(zip(found[1], wanted[1], strict=True))
  return {
    "params": float(max(jax.tree.leaves(params))),
    **{
      name: max(abs(a[name] - b[name]) for a, b in pairs)
      for name in pairs[0][0]
    },
  }


def predicted(form):
  """Returns the numbers of 21 rows as they come back from batches of 16."""
  parallel = make_parallel(form)
  run = parallel.compile_rows(
    lambda params, batch: params["one"] * batch["row"][:, None]
  )
  params = parallel.copy({"one": np.ones(3, np.float32)})
  order = parallel.own_columns(orders.evaluation_order(21, ROWS))
  results = [
    parallel.rows(run(params, parallel.split({"row": rows.astype(np.int32)})))
    for rows in order
  ]
  rows = parallel.all_columns(np.stack(results))
  return rows[rows[:, 0] >= 0].tolist()


def snapshot(form):
  """Returns the snapshot of a state that the next step donated.

  With the shape of each device's part, and its shape in the next state.
  """
  parallel = make_parallel(form)
  tree = {"even": np.arange(48.0).reshape(3, 16), "odd": np.arange(3.0)}
  state = parallel.copy(tree | {"step": np.int32(4)})
  add = lambda state, batch: (jax.tree.map(lambda x: x + 1, state), batch)  # noqa: E731
  kept = parallel.snapshot(state)
  after, _ = parallel.compile_train(add)(state, parallel.split(np.ones(8)))
  part = lambda x: x.addressable_shards[0].data.shape  # noqa: E731
  return {
    name: [np.asarray(x).tolist(), part(x), part(after[name])]
    for name, x in kept.items()
  } | {"given_up": state["even"].is_deleted()}


def bad_update(form):
  """Returns each device's result of an update that one device's row spoils.

  Whether it is finite, and whether parameters and step are as they were.
  """
  parallel = make_parallel(form)
  tx = optimizer.make_optimizer(OPTIM, toy.params(), NUM_STEPS)
  train_step = steps.TrainStep(toy.Toy(), tx, 0, axis=parallel.axis)
  before = jax.tree.map(np.asarray, steps.start_state(toy.params(), tx))
  batch = toy.batch(ROWS)
  batch.regions[5] = np.nan
  update = parallel.compile_train(train_step)
  after, sums = update(parallel.copy(before), parallel.split(batch))
  same = jax.tree.map(
    lambda a, b: all(
      np.array_equal(x.data, b[x.index]) for x in a.addressable_shards
    ),
    after.params,
    before.params,
  )
  return [
    *(bool(x.data.any()) for x in sums["finite"].addressable_shards),
    all(jax.tree.leaves(same)),
    int(after.step),
  ]


def shapes_on_a_device():
  """Returns the shapes of an fsdp update's program, and those it gathers.

  The model has 4 stacked layers.
  """
  parallel = make_parallel("fsdp")
  config = tiny.tiny_config(num_layers=5, vision=None)
  state, train_step = start(config, layout=STACKED)
  batch = parallel.split(batches(config)[0])
  update = parallel.compile_train(train_step)
  text = update.lower(parallel.copy(state), batch).compile().as_text()
  found = re.findall(r"f32\[([\d,]+)\]", text)
  gathered = re.findall(r"= f32\[([\d,]+)\]\S* all-gather\(", text)
  return sorted({*found}), sorted({*gathered})


def refusal(form):
  try:
    make_parallel(form).check(12, "train.batch_size")
  except ValueError as error:
    return str(error)


def main():
  still = tiny.tiny_config(num_layers=1)
  # Stacked layers, computed in slices.
  dropping = tiny.tiny_config(dropout=0.3, num_layers=3, vision=None)
  one, dropped = train(still, None), train(dropping, None, 2, STACKED)
  fresh = (tiny.perturbed_params(still), one[1])
  report = {
    "devices": jax.device_count(),
    "moved": gaps(one, fresh)["params"],
    "gaps": {form: gaps(train(still, form), one) for form in FORMS},
    "dropout": {
      form: gaps(dropped, train(dropping, form, 2, STACKED))
      for form in ("jit", "fsdp")
    },
    "shapes": shapes_on_a_device(),
    "rows": {form: predicted(form) for form in FORMS},
    "snapshots": {form: snapshot(form) for form in FORMS},
    "bad_updates": {form: bad_update(form) for form in FORMS},
    "refusals": {form: refusal(form) for form in FORMS},
  }
  print(json.dumps(report))


if __name__ == "__main__":
  main()
