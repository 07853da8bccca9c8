"""Predictions with other objects, computed plainly on the generated dataset."""

import jax
import numpy as np

from ifa_jax.analyze.objects import found
from ifa_jax.data.pipeline import sampling
from ifa_jax.statistics import predictions

NUM_ROWS = 17


def whole_split(built, visual_rows=None):
  order = sampling.evaluation_order(NUM_ROWS, NUM_ROWS)
  split = built.data.split("test")
  (batch,) = built.data.batches(split, order, visual_rows, on_host=True)
  return batch


def predict(built, params, batch):
  logits = jax.jit(built.model.apply)({"params": params}, batch).logits
  return np.asarray(jax.nn.softmax(logits))


def written(folder, name):
  """Returns float64[n, C], the probabilities in a condition's file."""
  lines = predictions.read(folder.file(f"objects/{name}"), "test").lines
  return np.array([[*x["probabilities"].values()] for x in lines.values()])


def apart(one, other):
  return np.abs(one - other).max()


def repeats_of(scene, num):
  """Returns whether each of the first objects repeats an earlier one."""
  flags = []
  for i in range(num):
    same = [scene.labels[i] == scene.labels[j] for j in range(i)]
    near = [found.iou(scene.boxes[i], scene.boxes[j]) > 0.7 for j in range(i)]
    flags.append(any(same) or any(near))
  return flags
