r"""All systems in toy sizes on generated posts: what `make quickstart` trains.

    python launch.py --config=configs/quickstart.py --workdir=runs/objects
    python launch.py --config=configs/quickstart.py:text --workdir=runs/text

Variants: `objects`, `vanilla` and `text` as in configs/mnre.py, and
`shuffled`, which is `objects` trained on shuffled pictures. Neither the text
nor the picture determines the relation by itself: the test F1 of `objects` was
at least 98 with all eleven seeds that were tried, in float32 and in bfloat16,
and that of `text` at most 28. benchmarks/README.md, "The quickstart over
seeds", has the figures. All parameters start from random values. About
a minute each on 2 CPU cores. The data is prepared by

    python -m data_prep.quickstart --out=runs/quickstart/raw
    python -m data_prep.mnre --raw_dir=runs/quickstart/raw \
        --data_dir=runs/quickstart/data --protocol=clean \
        --boxes=runs/quickstart/raw/boxes.json \
        --tokenizer=runs/quickstart/raw/tokenizer \
        --image_size=64 --patch_size=16 --num_crops=2 --text_len=40

The systems of `ifa_jax.training.config.baselines` are variants too, all with
one budget. Those that read regions need their scenes:

    python -m data_prep.scenes --raw_dir=runs/quickstart/raw \
        --boxes=runs/quickstart/raw/boxes.json --out=runs/quickstart/scenes
"""

from typing import Any

from ml_collections import config_dict

from ifa_jax.models import ModelConfig, TextConfig, VisionConfig, variants
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.training.config import baselines
from ifa_jax.training.config.defaults import base, model_section
from ifa_jax.training.config.run_config import RANDOM

VARIANTS = ("objects", "vanilla", "text", "shuffled", *baselines.VARIANTS)

_SIZES: dict[str, Any] = {
  "hidden_dim": 64,
  "num_layers": 2,
  "num_heads": 4,
  "mlp_dim": 128,
}
_PEAK_LR = 2e-3


def get_config(variant: str = "objects") -> config_dict.ConfigDict:
  """Returns the config of a variant.

  Raises:
    ValueError: for an unknown variant.
  """
  if variant not in VARIANTS:
    raise ValueError(
      f"configs/quickstart.py: want one of {', '.join(VARIANTS)}, found"
      f" {variant!r}"
    )
  config = base()
  config.weights = RANDOM
  config.data.data_dir = "runs/quickstart/data"
  config.data.protocol = "clean"
  config.data.tokenizer = "runs/quickstart/raw/tokenizer"
  config.data.tokenizer_sha256 = None
  config.data.text_len = 40
  config.data.text_buckets = ()
  # The generated vocabulary's 809 pieces and the four markers.
  text = TextConfig(
    vocab_size=813,
    max_len=40,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    **_SIZES,
  )
  # 57 visual tokens. With patches of 8 pixels they are 110, each shows less of
  # an emblem, and some seeds do not learn to tell all emblems apart.
  vision = VisionConfig(image_size=64, patch_size=16, num_crops=2, **_SIZES)
  config.model = model_section(
    ModelConfig(
      text=text, vision=vision, num_relations=10, head_dropout_rate=0.1
    )
  )
  config.optim.groups.new.peak_lr = _PEAK_LR
  config.optim.groups.encoder.peak_lr = _PEAK_LR
  config.optim.b2 = 0.99
  config.train.batch_size = 16
  config.train.total_epochs = 5
  if variant in baselines.VARIANTS:
    _set_baseline(config, variant, text)
  if variant == "vanilla":
    config.model.use_objects = False
  if variant == "text":
    config.model.vision = None
  if variant == "shuffled":
    config.data.visual_shuffle_seed = 0
  config.lock()
  return config


def _set_baseline(
  config: config_dict.ConfigDict, variant: str, text: TextConfig
) -> None:
  """Makes a config that of another system in the same sizes."""
  sizes: dict[str, Any] = {}
  if variant == "vilbert":
    dropout: dict[str, Any] = {"attention_dropout_rate": 0.0}
    attention: dict[str, Any] = {
      k: v for k, v in _SIZES.items() if k != "mlp_dim"
    }
    sizes["connection"] = CoAttentionConfig(**attention, **dropout)
    dropout["dropout_rate"] = 0.0
    sizes["vision"] = RegionStreamConfig(**_SIZES, **dropout)
  shared = {"num_relations": 10, "head_dropout_rate": 0.1}
  model = variants.make(variant, text=text, **shared, **sizes)
  baselines.set_model(config, variant, model)
  # The generated vocabulary has no [unused0].
  config.data.layout = "nested"
  if model.regions is not None:
    config.data.scenes = "runs/quickstart/scenes"
  config.optim.groups = {"all": {"pattern": ".*", "peak_lr": _PEAK_LR}}
