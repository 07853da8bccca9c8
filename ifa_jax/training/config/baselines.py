"""The systems that the paper's Table 2 compares IFAformer with.

    pcnn           PCNN, 53.59: word vectors and a convolution
    bert           BERT, 59.32: the pooled [CLS] state
    mtb            MTB, 64.20: the states of both entity markers
    bert_sg        BERT+SG: objects' features, summed (in MEGA's paper, 62.80)
    bert_sg_att    BERT+SG+Att., 63.64: objects attend to the text
    vilbert        ViLBERT, 63.61: two streams with co-attention
    mega           MEGA, 66.41: BERT+SG+Att. with a structural alignment
    mega_released  MEGA as its released code computes it
    caption        MTB on the text and the picture's caption; in no table

The paper prints no hyper-parameters for its own runs of them. These are the
ones of OpenNRE (PCNN), of MEGA's README (BERT to MEGA: one budget for all) and
of ViLBERT's fine-tuning.
"""

from ml_collections import config_dict

from ifa_jax.models import variants
from ifa_jax.models.base import System
from ifa_jax.training.config.defaults import model_section

VARIANTS = tuple(variants.BASELINES)


def set_published(config: config_dict.ConfigDict, variant: str) -> None:
  """Turns a config of `base` into a variant with its published settings."""
  set_model(config, variant, variants.make(variant))
  optim = config.optim
  optim.groups = {"all": {"pattern": ".*", "peak_lr": 2e-5}}
  optim.clip_norm = 0.0
  # OpenNRE's schedule: 300 updates up, then down to 0.
  optim.warmup_steps = 300
  optim.whole_batches = True
  if variant == "pcnn":
    # OpenNRE's example/train_supervised_cnn.py.
    optim.algorithm = "sgd"
    optim.groups["all"]["peak_lr"] = 0.1
    optim.weight_decay = 1e-5
    optim.decay_exclude = ""
    config.train.batch_size, config.train.total_epochs = 160, 100
  else:
    # thecharm/Mega, README.
    optim.bias_correction = False
    optim.epsilon = 1e-6
    config.train.batch_size, config.train.total_epochs = 32, 10
  if variant == "vilbert":
    head = "relation_head/.*"
    optim.groups = {
      "new": {"pattern": head, "peak_lr": 1e-4},
      "encoder": {"pattern": rf"(?!{head}).*", "peak_lr": 2e-5},
    }
    optim.warmup_steps = 0
    optim.warmup_percent = 0.1


def set_model(
  config: config_dict.ConfigDict, variant: str, described: System
) -> None:
  """Replaces a config's model, with texts in OpenNRE's layout."""
  config.model = model_section(described)
  config.data.layout = "opennre"
  if variant == "mega_released":
    # It gives padding weight, so the padded length is part of the model.
    config.data.text_buckets = ()
  if variant == "caption":
    # Of a text with its caption, together at most 143 tokens. The batches of
    # one captioner need two or three of the packed lengths.
    config.data.text_buckets = (48, 64, 80, 96, 112)
    config.data.packed_buckets = (40, 44, 48, 52, 56, 60, 64, 68, 72, 80, 96)
