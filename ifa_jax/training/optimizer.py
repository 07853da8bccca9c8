"""AdamW or SGD, linear warm-up and decay, groups that cover every parameter.

A parameter belongs to exactly one group of `config.optim.groups`, by a regex
over its path ("text/layer_0/attention/query/kernel"). A group with a peak
learning rate of 0 is frozen: it is neither updated nor decayed.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from ifa_jax.files.shown import first_of
from ifa_jax.models.layers.layer_layout import APART, LayerLayout
from ifa_jax.training.config.run_config import OptimConfig

Params = Mapping[str, Any]


def linear_schedule(num_steps: int, warmup_percent: float) -> optax.Schedule:
  """Returns step -> factor: linear up from 0, then linear down to 0.

  As transformers' `get_linear_schedule_with_warmup`, which the released code
  uses: the first update has factor 0. `warmup_percent` is a fraction in [0, 1]
  of the steps, which need not be a whole number of them.
  """
  warmup = warmup_percent * num_steps

  def factor(step):
    up = step / max(1.0, warmup)
    down = (num_steps - step) / max(1.0, num_steps - warmup)
    return jnp.clip(jnp.minimum(up, down) if warmup else down, 0.0, 1.0)

  return factor


def group_parameters(params: Params, groups: Mapping[str, str]) -> Params:
  """Returns the tree with each parameter's group in its place.

  `groups` has group -> regex that must match a parameter's whole path.

  Raises:
    ValueError: for parameters in no group or in several, for groups without
      parameters, and for broken regexes; all are named.
  """
  labels, problems = {}, []
  for name, regex in groups.items():
    try:
      re.compile(regex)
    except re.error as error:
      problems.append(f"group {name!r}: {regex!r} ({error})")
  if problems:
    raise ValueError(
      "\n  ".join(["optim.groups: expected regexes, got", *problems])
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
      "optim.groups: expected every parameter in exactly one group, got\n  "
      + "\n  ".join(first_of(problems))
    )
  return traverse_util.unflatten_dict(labels, sep="/")


def decay_mask(params: Params, exclude: str) -> Params:
  """Returns the tree with True where weight decay applies.

  `exclude` is a regex over whole paths of parameters without decay, or "".

  Raises:
    ValueError: for a broken regex, or one that matches no parameter.
  """
  flat = traverse_util.flatten_dict(params, sep="/")
  try:
    decayed = {path: not re.fullmatch(exclude, path) for path in flat}
  except re.error as error:
    raise ValueError(
      f"optim.decay_exclude: expected a regex, got {exclude!r} ({error})"
    ) from None
  if exclude and all(decayed.values()):
    raise ValueError(
      "optim.decay_exclude: expected a regex of whole paths such as"
      f" {next(iter(flat))}, got {exclude!r}, which matches none"
    )
  return traverse_util.unflatten_dict(decayed, sep="/")


class Moments(NamedTuple):
  """Running means of gradients and of their squares, as the parameters."""

  first: Params
  second: Params


def scale_by_uncorrected_adam(
  b1: float, b2: float, epsilon: float
) -> optax.GradientTransformation:
  """Returns Adam without bias correction, as BERT was trained.

  The `AdamW(correct_bias=False)` of older transformers, which OpenNRE, MEGA and
  ViLBERT use: the first values of the moments are too small, and so the ratio
  of the first update is (1 - b1) / sqrt(1 - b2) of the corrected one's.
  """

  def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return Moments(zeros, zeros)

  def update(updates, state, params=None):
    del params
    first = optax.tree.update_moment(updates, state.first, b1, 1)
    second = optax.tree.update_moment(updates, state.second, b2, 2)
    scaled = jax.tree.map(
      lambda m, v: m / (jnp.sqrt(v) + epsilon), first, second
    )
    return scaled, Moments(first, second)

  return optax.GradientTransformation(init, update)


def _direction(optim: OptimConfig) -> optax.GradientTransformation:
  """Returns an algorithm's transformation before weight decay and rate."""
  if optim.algorithm == "sgd":
    return optax.identity()
  moments = optim.b1, optim.b2, optim.epsilon
  if optim.bias_correction:
    return optax.scale_by_adam(*moments)
  return scale_by_uncorrected_adam(*moments)


def _clip_by_norm(limit: float) -> optax.GradientTransformation:
  def clip(grads, params):
    del params
    # A single product, which XLA fuses with the reader of the gradients; the
    # two steps of optax.clip_by_global_norm are written to memory.
    factor = jnp.minimum(1.0, limit / optax.tree.norm(grads))
    return jax.tree.map(lambda grad: factor * grad, grads)

  return optax.stateless(clip)


def _labels(optim: OptimConfig, params: Params) -> tuple[Params, Params]:
  """Returns each parameter's group, and whether weight decay applies."""
  return (
    group_parameters(params, optim.patterns),
    decay_mask(params, optim.decay_exclude),
  )


def choose_layout(
  scans: bool, optim: OptimConfig, params: Params
) -> LayerLayout:
  """Returns the layout to train in.

  With `scans`, layers with the same groups and decay are stacked. `params` are
  the parameters, or their shapes, layers apart.
  """
  return LayerLayout.choose(_labels(optim, params)) if scans else APART


def make_optimizer(
  optim: OptimConfig,
  params: Params,
  num_steps: int,
  layout: LayerLayout = APART,
) -> optax.GradientTransformation:
  """Returns the optimizer that a config's `optim` section describes.

  Args:
    optim: the settings.
    params: as for `choose_layout`.
    num_steps: updates until the rate is 0.
    layout: of the parameters to update.

  Raises:
    ValueError: as `group_parameters`.
  """
  rates = {name: group.peak_lr for name, group in optim.groups.items()}
  # Patterns match the paths of layers apart; stacked layers share their labels.
  labels, decayed = layout.convert_labels(_labels(optim, params))
  # warmup_steps wins unless it is 0.
  warmup_percent = optim.warmup_steps / num_steps or optim.warmup_percent
  factor = linear_schedule(num_steps, warmup_percent)

  def by_group(transform) -> optax.GradientTransformation:
    frozen = optax.set_to_zero()
    return optax.partition(
      {
        name: transform(rate) if rate else frozen
        for name, rate in rates.items()
      },
      labels,
    )

  def descent(rate: float) -> optax.GradientTransformation:
    return optax.chain(
      _direction(optim),
      optax.add_decayed_weights(optim.weight_decay, decayed),
      optax.scale_by_learning_rate(lambda step: rate * factor(step)),
    )

  # Frozen gradients are zeroed before the norm is computed: they must not
  # contribute to it.
  parts = [by_group(lambda _: optax.identity())]
  if optim.clip_norm:
    parts.append(_clip_by_norm(optim.clip_norm))
  return optax.chain(*parts, by_group(descent))
