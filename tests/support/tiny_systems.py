"""Tiny baselines, on the generated dataset of `conftest`."""

import dataclasses

import jax
import numpy as np
import scene_trees
import tiny_run
from flax import traverse_util

from ifa_jax.data import schema
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.models import TextConfig, VisionConfig, parameters, registry
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.models.ifaformer.caption import CaptionConfig
from ifa_jax.models.successors import mkgformer
from ifa_jax.models.successors.hvformer import HVFormerConfig
from ifa_jax.models.successors.mkgformer import MKGformerConfig
from ifa_jax.models.successors.pyramid import HVPNeTConfig

# M, below the maximum number of objects in a scene.
NUM_REGIONS, FEATURE_DIM = 3, 6
MOST_OBJECTS = 4

_SIZES = {"hidden_dim": 16, "num_heads": 2, "mlp_dim": 32}
_TEXT = TextConfig(vocab_size=813, max_len=40, num_layers=2, **_SIZES)
_BERT = {"text": _TEXT, "num_relations": 10}
_REGIONS = _BERT | {"regions": RegionConfig(NUM_REGIONS)}
_VISION = VisionConfig(num_layers=2, **tiny_run.GEOMETRY, **_SIZES)
_FUSION = mkgformer.FusionRules(fused_layers=1)
MODELS = {
  "pcnn": PCNNConfig(
    word_dim=4, position_dim=2, hidden_dim=6, num_relations=10
  ),
  "bert": BertConfig(pooling="cls", **_BERT),
  "mtb": BertConfig(**_BERT),
  "bert_sg": MEGAConfig(structural=False, semantic=False, **_REGIONS),
  "bert_sg_att": MEGAConfig(structural=False, **_REGIONS),
  "mega": MEGAConfig(**_REGIONS),
  "mega_released": MEGAConfig(variant="released", **_REGIONS),
  "vilbert": ViLBERTConfig(
    vision=RegionStreamConfig(num_layers=2, **_SIZES),
    connection=CoAttentionConfig(hidden_dim=8, num_layers=2, num_heads=2),
    **_REGIONS,
  ),
  "mkgformer": MKGformerConfig(vision=_VISION, fusion_rules=_FUSION, **_BERT),
  "mkgformer_released": MKGformerConfig(
    vision=_VISION,
    fusion_rules=dataclasses.replace(
      mkgformer.VARIANTS["released"], fused_layers=1
    ),
    **_BERT,
  ),
  "hvformer": HVFormerConfig(vision=_VISION, **_BERT),
  "caption": BertConfig(
    caption=True, **_BERT | {"text": dataclasses.replace(_TEXT, max_len=64)}
  ),
  "ifaformer_caption": CaptionConfig(caption=_TEXT, **_BERT),
  # Features of pixels are as wide as this pyramid, and can be read as one.
  "hvpnet": HVPNeTConfig(stage_dims=(8, 8, 16, 16), **_REGIONS),
  "hvpnet_released": HVPNeTConfig(
    stage_dims=(8, 8, 16, 16), variant="released", projection_dim=8, **_REGIONS
  ),
}
TEXT_ONLY = ("pcnn", "bert", "mtb")


def write_scenes(folder, data_dir):
  """Writes a scene of 0 to `MOST_OBJECTS` objects for each picture.

  Boxes are in pixels of 640 x 480. Returns split -> picture -> scene, and
  row id -> heads.
  """
  rng = np.random.default_rng(0)
  prepared = schema.read_metadata(data_dir)
  pictures, heads = {}, {}
  for name in schema.SPLITS:
    split = Split(prepared.folder, name)
    texts = [split.describe(row) for row in range(len(split))]
    ids = dict.fromkeys(text.img_id for text in texts)
    pictures[name] = {
      img_id: scene_trees.scene(rng, i % (MOST_OBJECTS + 1), FEATURE_DIM)
      for i, img_id in enumerate(ids)
    }
    trees = {x.id: scene_trees.heads(rng, len(x.words)) for x in texts}
    scene_trees.write(folder, pictures[name], trees, name)
    heads |= trees
  return pictures, heads


def build(name, data_dir, scenes=None, model=None, **data):
  """Returns the experiment of a system.

  Args:
    name: of `MODELS`.
    data_dir: of the generated dataset.
    scenes: their folder, or None.
    model: replaces that of `MODELS`.
    **data: settings of the section `data`.
  """
  data |= {"scenes": scenes and str(scenes)}
  config = tiny_run.tiny_run_config(data_dir, data=data)
  config["model"] = registry.to_dict(model or MODELS[name])
  return tiny_run.build(config)


def params(built, seed=0):
  """Returns random parameters, large enough for inputs to change results."""
  rng = np.random.default_rng(seed)
  shapes = parameters.param_shapes(built.config.model)
  drawn = {
    path: rng.normal(path.endswith("scale"), 0.4, shape).astype(np.float32)
    for path, shape in shapes.items()
  }
  return jax.device_put(traverse_util.unflatten_dict(drawn, sep="/"))
