"""A config with its model, dataset and devices, checked against each other."""

import dataclasses
import functools

from flax import linen as nn

from ifa_jax import models
from ifa_jax.data import schema
from ifa_jax.runtime.data_parallel import Parallel, make_parallel
from ifa_jax.training import model_inputs
from ifa_jax.training.batch_source import BatchSource
from ifa_jax.training.config import checks, dataset_settings, resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.epochs import Epochs


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A model, its data and its devices.

  Attributes:
    config: resolved, with all sizes of the model.
    prepared: the dataset on disk.
    parallel: how steps are spread over devices.
  """

  config: RunConfig
  prepared: schema.Prepared
  parallel: Parallel

  @functools.cached_property
  def model(self) -> nn.Module:
    """The linen module."""
    return models.build(self.config.model, self.config.train.remat)

  @functools.cached_property
  def data(self) -> BatchSource:
    """The batches."""
    return BatchSource(self.config, self.prepared, self.parallel)

  @functools.cached_property
  def epochs(self) -> Epochs:
    """The course of training."""
    return Epochs(self.config, self.data.num_rows("train"))

  @property
  def scans(self) -> bool:
    """Whether the model's layers are stacked where it is trained."""
    return self.config.train.scan_layers and self.config.model.scans_layers


def build(config: RunConfig) -> Experiment:
  """Puts together what a config describes.

  Args:
    config: resolved, see `training.config.resolve`.

  Raises:
    ValueError: for a dataset that is missing or was prepared for another
      tokenizer, geometry or set of relations, a batch that the devices cannot
      split, or a config that is not resolved. Names both sides.
  """
  resolve.check_resolved(config)
  prepared = schema.read_metadata(
    config.data.data_dir,
    config.data.protocol,
    lambda: dataset_settings.command(config),
  )
  config = model_inputs.sized(config, prepared)
  checks.check_tokenizer(prepared, config)
  checks.check_dataset(prepared, config)
  parallel = make_parallel(config.train.parallel)
  checks.check_devices(config, parallel)
  return Experiment(config, prepared, parallel)
