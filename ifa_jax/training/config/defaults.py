"""What all configs start from: data, optimisation and training settings."""

import dataclasses

from ml_collections import config_dict

from ifa_jax.models import ModelConfig
from ifa_jax.models import config_dict as settings
from ifa_jax.models.base import System
from ifa_jax.models.config import Exchange
from ifa_jax.training.config import precision

# Published encoders, by their hub ids.
BERT_BASE, BERT_LARGE = "bert-base-uncased", "bert-large-uncased"
CLIP_BASE = "openai/clip-vit-base-patch32"
CLIP_LARGE = "openai/clip-vit-large-patch14"

# Of bert-base-uncased's vocabulary; see Tokenizer.sha256. Set to nothing
# (--config.data.tokenizer_sha256=) to train on data that was prepared with
# another vocabulary of the same size.
BERT_UNCASED = (
  "436f74039a126c0ac82bb6415a69ab28f12bc33d712bdbd8552ac6d0619d2cf9"
)

# What no pretrained encoder brings: it starts fresh and learns faster.
NEW = r"relation_head/.*|visual/embed/(grounded|detected)_position"


def base() -> config_dict.ConfigDict:
  """Returns IFAformer with visual objects on MNRE, unlocked."""
  config = config_dict.ConfigDict()
  # DeepKE's seed (train.yaml).
  config.seed = 1234
  # Pretrained encoders: text=ID_OR_DIR,vision=ID_OR_DIR, a folder that `python
  # -m ifa_jax.convert` wrote, or "random"; see ifa_jax.convert.cache. Their
  # sizes win over those of config.model. Every config with encoders sets it.
  config.weights = config_dict.placeholder(str)

  config.data = config_dict.ConfigDict()
  config.data.data_dir = "data/mnre"
  config.data.protocol = "released"
  # Hub id or folder of the tokenizer that the dataset is prepared with, for
  # random weights: a pretrained text encoder brings its own.
  config.data.tokenizer = config_dict.placeholder(str)
  config.data.tokenizer_sha256 = BERT_UNCASED
  # 80 as DeepKE; with markers MNRE-2 has at most 57, 99 % have at most 46.
  config.data.text_len = 80
  # A batch is padded to the shortest that holds it. Each costs a compilation.
  config.data.text_buckets = (44, 48, 56)
  # One device computes a batch's tokens without the padding between them where
  # so many a row, on average, hold them; () pads. Each costs a compilation.
  config.data.packed_buckets = (33, 36)
  # Where decoded rows are kept after they are first read: "host" or "device"
  # memory, "none", or "auto": where all of them fit. See data.pipeline.cache.
  config.data.cache = "auto"
  # How a text's WordPieces are laid out, see ifa_jax.data.text.layouts.
  config.data.layout = "nested"
  # Folder of scenes (python -m data_prep.scenes) for models that read regions.
  config.data.scenes = config_dict.placeholder(str)
  # GloVe's text file for PCNN; None starts from random vectors.
  config.data.word_vectors = config_dict.placeholder(str)
  # Shuffle(train) of Table 1: a seed here gives training rows the pictures of
  # others, by one fixed permutation.
  config.data.visual_shuffle_seed = config_dict.placeholder(int)
  # "row", or "image": rows that share a picture go on sharing one.
  config.data.visual_shuffle_unit = "row"
  # "nothing", or "count": only among rows with as many pictures and crops.
  config.data.visual_shuffle_keep = "nothing"

  config.model = model_section(ModelConfig())

  # AdamW as PyTorch's default, rates and warm-up as DeepKE's run.py.
  config.optim = config_dict.ConfigDict()
  # "adamw" or "sgd".
  config.optim.algorithm = "adamw"
  config.optim.groups = {
    "new": {"pattern": NEW, "peak_lr": 1e-4},
    "encoder": {"pattern": rf"(?!{NEW}).*", "peak_lr": 1e-5},
  }
  config.optim.warmup_percent = 0.06
  # If not 0, in place of the percentage.
  config.optim.warmup_steps = 0
  # Whether the rate reaches 0 by the count of full batches alone.
  config.optim.whole_batches = False
  config.optim.b1 = 0.9
  config.optim.b2 = 0.999
  config.optim.epsilon = 1e-8
  config.optim.bias_correction = True
  config.optim.weight_decay = 0.01
  config.optim.decay_exclude = r".*/(bias|scale)"
  config.optim.clip_norm = 1.0

  config.train = config_dict.ConfigDict()
  config.train.batch_size = 32
  config.train.total_epochs = 12
  # 0 runs all epochs; else the run, its schedule included, ends earlier.
  config.train.max_steps = 0
  # Slices that a batch is worked through in, where memory is short.
  config.train.num_slices = 1
  # Whether equal layers are compiled as one: a start in half the time, and
  # updates that take an eighth longer on a CPU (benchmarks/README.md).
  config.train.scan_layers = True
  # Whether the backward pass computes scanned layers anew: less memory still, a
  # third more work.
  config.train.remat = False
  # "pmap", or "jit" over a one-axis mesh.
  config.train.parallel = "pmap"
  # What an update does to a run whose loss or gradient is not finite: it is not
  # made, and the run ends there ("stop") or goes on ("skip").
  config.train.on_bad_numbers = "stop"
  config.train.log_steps = 20
  # Beside those after each epoch.
  config.train.checkpoint_steps = 100
  config.train.progress = True

  config.eval = config_dict.ConfigDict()
  config.eval.batch_size = 64
  return config


def model_section(model: System) -> config_dict.ConfigDict:
  """Returns a model as a config section, every setting open to `--config.`."""
  section = config_dict.ConfigDict(settings.to_dict(model))
  if "dtype" in section:
    # "float32", "bfloat16", or the one that suits the device.
    section.dtype = precision.AUTO
  if not isinstance(model, ModelConfig):
    _open_sizes(section)
    return section
  # None takes the preset of `fusion`; a value departs from it.
  section.exchange = {
    field.name: config_dict.placeholder(field.type)
    for field in dataclasses.fields(Exchange)
  }
  return section


def _open_sizes(section: config_dict.ConfigDict) -> None:
  """Lets sizes that the data decides be set by `--config.` as well."""
  for name, value in section.items():
    if isinstance(value, config_dict.ConfigDict):
      _open_sizes(value)
    elif value is None:
      section[name] = config_dict.placeholder(int)
