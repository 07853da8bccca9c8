"""A run's folder as training leaves it, with parameters nobody trained."""

import jax
import numpy as np

from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.models.config import VisionConfig
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder
from ifa_jax.workdir.state import TrainState


def write(workdir: str, model: System, tokenizer: str) -> None:
  """Writes all that `Predictor` reads of a run.

  Args:
    workdir: a folder that is not there yet.
    model: that of the run, one that reads WordPieces and pixels or text alone.
    tokenizer: a hub id or a folder, kept as the run's.

  Raises:
    ValueError: if the tokenizer has more ids than the model.
  """
  folder, loaded = RunFolder(workdir), Tokenizer.load(tokenizer)
  if loaded.vocab_size > model.text.vocab_size:
    raise ValueError(
      f"{tokenizer}: want at most {model.text.vocab_size} ids, found"
      f" {loaded.vocab_size}"
    )
  others = (f"relation_{i}" for i in range(1, model.num_relations))
  folder.claim(
    RunConfig(model=model).to_dict(),
    {
      "relations": ["None", *others],
      "protocol": "clean",
      "tokenizer": {"sha256": loaded.sha256},
      "image_size": VisionConfig().image_size,
      "missing_pixels": "absent",
      "counts": {"train": {"pictures": 1, "grounded": 1, "detected": 1}},
    },
  )
  loaded.save(folder.file("tokenizer"))
  init = jax.jit(lambda key: parameters.init_params(model, key))
  params = jax.tree.map(np.asarray, init(jax.random.key(0)))
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    checkpoints.save(TrainState(np.int32(1), params, {}), {"f1": 0.0})
