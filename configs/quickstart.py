r"""All systems in toy sizes on generated posts, for `make quickstart`.

    python launch.py --config=configs/quickstart.py --workdir=runs/objects
    python launch.py --config=configs/quickstart.py:text --workdir=runs/text

Variants: `objects`, `vanilla` and `text` as in configs/mnre.py, and
`shuffled`, which is `objects` trained on shuffled pictures; more below. The
relation depends on both text and picture: over eleven seeds, the test F1 was
at least 98 for `objects`, in float32 and in bfloat16, and at most 28 for
`text`, in float32 (docs/benchmarks.md, "The quickstart over seeds"). All
parameters are randomly initialised. Each variant trains in about a minute on 2
CPU cores. The data is prepared by

    python -m data_prep.quickstart --out=runs/quickstart/raw
    python -m data_prep.mnre --raw_dir=runs/quickstart/raw \
        --data_dir=runs/quickstart/data --protocol=clean \
        --boxes=runs/quickstart/raw/boxes.json \
        --captions=runs/quickstart/raw/captions.json \
        --tokenizer=runs/quickstart/raw/tokenizer \
        --image_size=64 --patch_size=16 --num_crops=2 --text_len=40

The systems of `ifa_jax.training.config.baselines` and `successors`, and
`ifaformer_caption`, are variants too, with the same budget. Those that read
regions need scenes:

    python -m data_prep.scenes --raw_dir=runs/quickstart/raw \
        --boxes=runs/quickstart/raw/boxes.json --out=runs/quickstart/scenes

and `hvpnet` and `hvpnet_released` need those of a small, random ResNet, which
transformers makes with PyTorch:

    python -c "import transformers as t; t.ResNetModel(t.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1]
        )).save_pretrained('runs/quickstart/resnet')"
    python -m data_prep.scenes --raw_dir=runs/quickstart/raw \
        --boxes=runs/quickstart/raw/boxes.json \
        --encoder=pyramid:runs/quickstart/resnet --out=runs/quickstart/pyramids
"""

import dataclasses
from typing import Any

from ml_collections import config_dict

from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models import ModelConfig, TextConfig, VisionConfig, variants
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.models.ifaformer.caption import CaptionConfig
from ifa_jax.training.config import baselines
from ifa_jax.training.config.defaults import base, model_section
from ifa_jax.training.config.run_config import RANDOM

VARIANTS = (*variants.ROWS, "shuffled")

_SIZES: dict[str, Any] = {
  "hidden_dim": 64,
  "num_layers": 2,
  "num_heads": 4,
  "mlp_dim": 128,
}
_HEAD: dict[str, Any] = {"num_relations": 10, "head_dropout_rate": 0.1}
_PEAK_LR = 2e-3


def get_config(variant: str = "objects") -> config_dict.ConfigDict:
  """Returns the config of a variant.

  Raises:
    ValueError: for an unknown variant.
  """
  check_choice("configs/quickstart.py", variant, VARIANTS)
  config = base()
  config.weights = RANDOM
  config.data.data_dir = "runs/quickstart/data"
  config.data.protocol = "clean"
  config.data.tokenizer = "runs/quickstart/raw/tokenizer"
  config.data.tokenizer_sha256 = None
  config.data.text_len = 40
  config.data.text_buckets = ()
  # The generated vocabulary has 809 pieces and the four markers.
  text = TextConfig(
    vocab_size=813,
    max_len=40,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    **_SIZES,
  )
  # 57 visual tokens. With patches of 8 pixels there are 110, each shows less of
  # an emblem, and with some seeds not all emblems are learned.
  vision = VisionConfig(image_size=64, patch_size=16, num_crops=2, **_SIZES)
  config.model = model_section(ModelConfig(text=text, vision=vision, **_HEAD))
  config.optim.groups.new.peak_lr = _PEAK_LR
  config.optim.groups.encoder.peak_lr = _PEAK_LR
  config.optim.b2 = 0.99
  config.train.batch_size = 16
  config.train.total_epochs = 5
  if variant not in ("shuffled", *variants.IFAFORMERS):
    _set_other(config, variant, text, vision)
  if variant == "vanilla":
    config.model.use_objects = False
  if variant == "no_text_attention":
    config.model.use_objects = config.model.text_attention = False
  if variant == "text":
    config.model.vision = None
  if variant == "ifaformer_caption":
    model = CaptionConfig(text=text, caption=text, **_HEAD)
    config.model = model_section(model)
  config.data.caption_len = 24
  if variant == "shuffled":
    config.data.visual_shuffle_seed = 0
  config.lock()
  return config


def _set_other(
  config: config_dict.ConfigDict,
  variant: str,
  text: TextConfig,
  vision: VisionConfig,
) -> None:
  """Replaces the model by another system of the same size."""
  shared: dict[str, Any] = {**_HEAD, "vision": vision}
  if variant == "vilbert":
    shared["connection"] = CoAttentionConfig(
      hidden_dim=64, num_layers=2, num_heads=4, attention_dropout_rate=0.0
    )
    shared["vision"] = RegionStreamConfig(
      **_SIZES, dropout_rate=0.0, attention_dropout_rate=0.0
    )
  if variant.startswith("hvpnet"):
    stages = (16, 32, 64, 128)
    shared["stage_dims"] = stages
    # The picture and three objects, each of 2 x 2 places.
    shared["regions"] = RegionConfig(4, 4 * sum(stages))
  if variant == "caption":
    # A text with its caption.
    text = dataclasses.replace(text, max_len=64)
  model = variants.make(variant, text=text, **shared)
  baselines.set_model(config, variant, model)
  # The generated vocabulary has no [unused0].
  config.data.layout = "nested"
  if model.regions is not None:
    kind = "pyramids" if variant.startswith("hvpnet") else "scenes"
    config.data.scenes = f"runs/quickstart/{kind}"
  config.optim.groups = {"all": {"pattern": ".*", "peak_lr": _PEAK_LR}}
