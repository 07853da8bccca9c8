"""AdamW with linear warm-up and decay, and groups that cover every parameter.

A parameter belongs to exactly one group of `config.optim.groups`, by a regex
over its path ("text/layer_0/attention/query/kernel"). A group with a peak
learning rate of 0 is frozen: it is neither updated nor decayed.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax
from flax import traverse_util

Params = Mapping[str, Any]


def linear_schedule(num_steps: int, warmup_percent: float) -> optax.Schedule:
  """Returns step -> factor: linear up from 0, then linear down to 0.

  As transformers' `get_linear_schedule_with_warmup`, which the released code
  uses: the first update has factor 0. `warmup_percent` is a fraction in [0, 1]
  of the steps and need not come out whole.
  """
  warmup = warmup_percent * num_steps

  def factor(step):
    up = step / max(1.0, warmup)
    down = (num_steps - step) / max(1.0, num_steps - warmup)
    return jnp.clip(jnp.minimum(up, down) if warmup else down, 0.0, 1.0)

  return factor


def group_parameters(params: Params, groups: Mapping[str, str]) -> Params:
  """Returns the tree with each parameter's group in its place.

  Args:
    params: nested dict of arrays.
    groups: group -> regex that must match a parameter's whole path.

  Raises:
    ValueError: for parameters in no group or in several, and for groups
      without any; all are named.
  """
  labels, problems = {}, _broken_patterns(groups)
  if problems:
    raise ValueError(
      "\n  ".join(["optim.groups: want regexes, found", *problems])
    )
  for path in traverse_util.flatten_dict(params, sep="/"):
    hits = [name for name, regex in groups.items() if re.fullmatch(regex, path)]
    labels[path] = hits[0] if hits else None
    if len(hits) != 1:
      problems.append(f"{path}: in {' and '.join(hits) or 'no group'}")
  problems += [
    f"group {name!r}: matches no parameter"
    for name in groups.keys() - set(labels.values())
  ]
  if problems:
    raise ValueError(
      "optim.groups: want every parameter in exactly one group, found\n  "
      + "\n  ".join(problems)
    )
  return traverse_util.unflatten_dict(labels, sep="/")


def _broken_patterns(groups: Mapping[str, str]) -> list[str]:
  """Returns what is wrong with each regex that is none."""
  broken = []
  for name, regex in groups.items():
    try:
      re.compile(regex)
    except re.error as error:
      broken.append(f"group {name!r}: {regex!r} ({error})")
  return broken


def decay_mask(params: Params, exclude: str) -> Params:
  """Returns the tree with True where weight decay applies.

  Args:
    params: nested dict of arrays.
    exclude: regex over whole paths of what is not decayed; "" decays all.
  """
  flat = traverse_util.flatten_dict(params, sep="/")
  return traverse_util.unflatten_dict(
    {path: not re.fullmatch(exclude, path) for path in flat}, sep="/"
  )


def make_optimizer(
  optim: Mapping[str, Any], params: Params, num_steps: int
) -> optax.GradientTransformation:
  """Returns the optimizer that a config's `optim` section describes.

  Args:
    optim: `groups` (name -> `pattern`, `peak_lr`), `warmup_percent`, `b1`,
      `b2`, `epsilon`, `weight_decay`, `decay_exclude` and `clip_norm` (of all
      trained gradients together; 0 does not clip).
    params: the parameters, or their shapes.
    num_steps: updates in the whole run.

  Raises:
    ValueError: if the groups do not cover the parameters; see
      `group_parameters`.
  """
  rates = {name: group["peak_lr"] for name, group in optim["groups"].items()}
  patterns = {name: group["pattern"] for name, group in optim["groups"].items()}
  labels = group_parameters(params, patterns)
  factor = linear_schedule(num_steps, optim["warmup_percent"])
  decayed = decay_mask(params, optim["decay_exclude"])

  def adamw(rate: float) -> optax.GradientTransformation:
    return optax.adamw(
      lambda step: rate * factor(step),
      b1=optim["b1"],
      b2=optim["b2"],
      eps=optim["epsilon"],
      weight_decay=optim["weight_decay"],
      mask=decayed,
    )

  freeze = {
    name: optax.identity() if rate else optax.set_to_zero()
    for name, rate in rates.items()
  }
  parts = [optax.partition(freeze, labels)]
  if optim["clip_norm"]:
    parts.append(optax.clip_by_global_norm(optim["clip_norm"]))
  update = {
    name: adamw(rate) if rate else optax.set_to_zero()
    for name, rate in rates.items()
  }
  return optax.chain(*parts, optax.partition(update, labels))
