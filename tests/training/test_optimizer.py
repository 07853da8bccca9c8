"""The optimizer against PyTorch's, and which parameters it reaches."""

import re

import jax
import numpy as np
import optim_section
import pytest
import torch
import transformers

from ifa_jax.training import optimizer

NUM_STEPS = 20
SECTION = {
  "groups": {
    "new": {"pattern": "head/.*", "peak_lr": 1e-2},
    "encoder": {"pattern": "text/.*", "peak_lr": 1e-3},
  },
  "warmup_percent": 0.2,
  "b1": 0.9,
  "b2": 0.999,
  "epsilon": 1e-8,
  "weight_decay": 0.1,
  "decay_exclude": r".*/(bias|scale)",
  "clip_norm": 1.0,
}


def tree(seed, size=1.0):
  rng = np.random.default_rng(seed)
  array = lambda *shape: rng.normal(0, size, shape).astype(np.float32)  # noqa: E731
  return {
    "text": {
      "dense": {"kernel": array(3, 4), "bias": array(4)},
      "norm": {"scale": array(4)},
    },
    "head": {"kernel": array(4, 2), "bias": array(2)},
  }


def updated(section, params, gradients):
  """Returns the parameters after each gradient."""
  tx = optimizer.make_optimizer(optim_section.read(section), params, NUM_STEPS)
  opt_state, states = tx.init(params), []
  for grads in gradients:
    updates, opt_state = tx.update(grads, opt_state, params)
    params = jax.tree.map(np.add, params, updates)
    states.append(params)
  return states


def flat(params):
  paths = jax.tree_util.tree_flatten_with_path(params)[0]
  return {"/".join(k.key for k in keys): np.asarray(x) for keys, x in paths}


def torch_updated(section, params, gradients):
  """As `updated`, by torch.optim.AdamW with groups, clipping and schedule."""
  weights = {
    k: torch.tensor(v, requires_grad=True) for k, v in flat(params).items()
  }
  kinds = [
    {
      "params": [weight],
      "lr": next(
        group["peak_lr"]
        for group in section["groups"].values()
        if re.fullmatch(group["pattern"], path)
      ),
      "weight_decay": 0.0
      if re.fullmatch(section["decay_exclude"], path)
      else section["weight_decay"],
    }
    for path, weight in weights.items()
  ]
  adamw = torch.optim.AdamW(
    kinds, betas=(section["b1"], section["b2"]), eps=section["epsilon"]
  )
  schedule = transformers.get_linear_schedule_with_warmup(
    adamw, section["warmup_percent"] * NUM_STEPS, NUM_STEPS
  )
  states = []
  for grads in gradients:
    for path, grad in flat(grads).items():
      weights[path].grad = torch.tensor(grad)
    if section["clip_norm"]:
      torch.nn.utils.clip_grad_norm_(weights.values(), section["clip_norm"])
    adamw.step()
    schedule.step()
    states.append({k: v.detach().numpy().copy() for k, v in weights.items()})
  return states


@pytest.mark.parametrize(
  "changes",
  [
    {},
    {"clip_norm": 0.0},
    {"decay_exclude": ""},
    {"warmup_percent": 0.0},
    {"warmup_percent": 0.033, "epsilon": 1e-3},
  ],
  ids=str,
)
def test_updates_equal_those_of_torch(changes):
  section = SECTION | changes
  # Norms of about 0.3 and of 6: some are clipped, some are not.
  gradients = [tree(seed, 0.05 if seed % 3 else 1.0) for seed in range(1, 21)]
  found = updated(section, tree(0), gradients)
  wanted = torch_updated(section, tree(0), gradients)
  for ours, theirs in zip(found, wanted, strict=True):
    for path, value in flat(ours).items():
      np.testing.assert_allclose(value, theirs[path], atol=1e-6, rtol=0)
  moved = np.abs(flat(found[-1])["head/kernel"] - tree(0)["head"]["kernel"])
  assert moved.min() > 1e-3


def test_sgd_is_that_of_torch():
  section = SECTION | {"algorithm": "sgd", "clip_norm": 0.0}
  section |= {"warmup_percent": 0.0, "decay_exclude": ""}
  gradients = [tree(seed) for seed in range(1, 6)]
  found = updated(section, tree(0), gradients)[-1]
  rates = {"head": 1e-2, "text": 1e-3}
  weights = {
    k: torch.tensor(v, requires_grad=True) for k, v in flat(tree(0)).items()
  }
  sgd = torch.optim.SGD(
    [{"params": [w], "lr": rates[k[:4]]} for k, w in weights.items()],
    lr=1.0,
    weight_decay=0.1,
  )
  schedule = transformers.get_linear_schedule_with_warmup(sgd, 0, NUM_STEPS)
  for grads in gradients:
    for path, grad in flat(grads).items():
      weights[path].grad = torch.tensor(grad)
    sgd.step()
    schedule.step()
  for path, value in flat(found).items():
    theirs = weights[path].detach().numpy()
    np.testing.assert_allclose(value, theirs, atol=1e-6, rtol=0)


def test_adam_without_bias_correction_is_that_of_its_formula():
  section = SECTION | {"bias_correction": False, "clip_norm": 0.0}
  section |= {"warmup_percent": 0.0, "epsilon": 1e-6}
  gradients = [tree(seed) for seed in range(1, 6)]
  found = flat(updated(section, tree(0), gradients)[-1])
  path = "text/dense/kernel"
  weight, m, v = flat(tree(0))[path].astype(np.float64), 0.0, 0.0
  for step, grads in enumerate(gradients):
    grad, rate = flat(grads)[path], 1e-3 * (1 - step / NUM_STEPS)
    m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
    weight -= rate * (m / (np.sqrt(v) + 1e-6) + 0.1 * weight)
  np.testing.assert_allclose(found[path], weight, atol=1e-6, rtol=0)
  # The first update is (1 - b1) / sqrt(1 - b2) of the corrected one's.
  first = optimizer.scale_by_uncorrected_adam(0.9, 0.999, 0.0)
  step, _ = first.update(tree(1), first.init(tree(0)))
  np.testing.assert_allclose(
    np.abs(step["head"]["kernel"]), 0.1 / np.sqrt(0.001), rtol=1e-4
  )


def test_warm_up_may_be_given_in_updates():
  section = SECTION | {"warmup_percent": 0.5, "warmup_steps": 4}
  same = SECTION | {"warmup_percent": 0.2}
  gradients = [tree(seed) for seed in range(1, 10)]
  found, wanted = (updated(s, tree(0), gradients)[-1] for s in (section, same))
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_an_unknown_algorithm_is_refused():
  with pytest.raises(ValueError, match="one of adamw, sgd, got 'adam'"):
    updated(SECTION | {"algorithm": "adam"}, tree(0), [])


@pytest.mark.parametrize("percent", [0.0, 0.01, 0.06, 0.5, 1.0])
def test_schedule_is_that_of_transformers(percent):
  weight = torch.nn.Parameter(torch.zeros(()))
  sgd = torch.optim.SGD([weight], lr=1.0)
  schedule = transformers.get_linear_schedule_with_warmup(
    sgd, percent * NUM_STEPS, NUM_STEPS
  )
  factor = optimizer.linear_schedule(NUM_STEPS, percent)
  for step in range(NUM_STEPS + 3):
    assert float(factor(step)) == pytest.approx(
      schedule.get_last_lr()[0], abs=1e-6
    ), step
    sgd.step()
    schedule.step()


@pytest.fixture(name="frozen")
def frozen_section():
  groups = SECTION["groups"]
  still = groups | {"new": groups["new"] | {"peak_lr": 0.0}}
  return SECTION | {"groups": still}


def test_a_frozen_group_stays_and_does_not_count_in_the_clip_norm(frozen):
  gradients = [tree(seed) for seed in range(1, 6)]
  huge = [g | {"head": tree(9, 1e6)["head"]} for g in gradients]
  none = [g | {"head": tree(9, 0.0)["head"]} for g in gradients]
  found, wanted = (updated(frozen, tree(0), g)[-1] for g in (huge, none))
  jax.tree.map(np.testing.assert_array_equal, found, wanted)
  jax.tree.map(np.testing.assert_array_equal, found["head"], tree(0)["head"])
  kernel = found["text"]["dense"]["kernel"]
  assert np.abs(kernel - tree(0)["text"]["dense"]["kernel"]).min() > 1e-5


def test_a_frozen_group_costs_no_memory(frozen):
  size = lambda section: sum(  # noqa: E731
    np.size(x)
    for x in jax.tree.leaves(
      optimizer.make_optimizer(
        optim_section.read(section), tree(0), NUM_STEPS
      ).init(tree(0))
    )
    if np.ndim(x)
  )
  head = sum(x.size for x in jax.tree.leaves(tree(0)["head"]))
  assert size(SECTION) - size(frozen) == 2 * head


def test_parameters_in_no_group_or_two_are_all_named():
  groups = {"a": r"text/.*", "b": r".*/kernel"}
  with pytest.raises(ValueError, match=r"optim\.groups") as error:
    optimizer.group_parameters(tree(0), groups)
  assert str(error.value).splitlines()[1:] == [
    "  text/dense/kernel: in a and b",
    "  head/bias: in no group",
  ]


def test_a_pattern_must_match_the_whole_path():
  with pytest.raises(ValueError, match="head/kernel: in no group"):
    optimizer.group_parameters(tree(0), {"a": "text/.*", "b": "head"})


def test_decay_mask_reads_whole_paths():
  mask = optimizer.decay_mask(tree(0), r".*/(bias|scale)")
  assert mask["text"] == {
    "dense": {"kernel": True, "bias": False},
    "norm": {"scale": False},
  }
  assert all(jax.tree.leaves(optimizer.decay_mask(tree(0), "")))


@pytest.mark.parametrize(
  ("exclude", "message"),
  [
    ("(", r"optim\.decay_exclude: expected a regex, got '\('"),
    # Part of every path, but the whole of none.
    (
      "bias|scale",
      r"whole paths such as \S+, got 'bias\|scale', which matches",
    ),
  ],
)
def test_an_exclusion_without_effect_is_refused(exclude, message):
  with pytest.raises(ValueError, match=message):
    optimizer.decay_mask(tree(0), exclude)


def test_of_many_unfit_parameters_the_first_are_named():
  params = {str(i): np.zeros(1) for i in range(30)}
  with pytest.raises(ValueError, match=r"optim\.groups") as error:
    optimizer.group_parameters(params, {"a": "0"})
  lines = str(error.value).splitlines()
  assert lines[1] == "  1: in no group"
  assert lines[11:] == ["  and 19 more"]
