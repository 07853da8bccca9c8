"""A TFRecord writer that gives the same records the same bytes.

Protobuf writes a map, as the fields of a `tf.train.Example` are, in an order
that differs from process to process unless it is told to sort it.
"""

from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer


class _SortedSerializer(ExampleSerializer):
  """TensorFlow Datasets' own, fields in order."""

  def serialize_example(self, example: Any) -> bytes:
    """Returns a `tf.train.Example`'s bytes."""
    return self.get_tf_example(example).SerializeToString(deterministic=True)


class SortedWriter(tfds.core.SequentialWriter):
  """TensorFlow Datasets' own, with records that sort their fields."""

  def __init__(self, info: tfds.core.DatasetInfo, max_rows: int):
    """Writes nothing yet.

    Args:
      info: of the dataset, with its folder.
      max_rows: of a shard.
    """
    super().__init__(info, max_rows)
    features: Any = info.features  # None before they are known.
    self._serializer = _SortedSerializer(features.get_serialized_info())
