"""Settings that systems of a text stream and a stream of pixels share."""

import dataclasses

from ifa_jax.models.config import TextSystem, VisionConfig, check_vision
from ifa_jax.models.exchange import StreamRules


@dataclasses.dataclass(frozen=True)
class TwoStreamConfig(TextSystem):
  """Shapes of a text stream and a vision stream.

  Attributes:
    vision: the vision stream.
    use_image: the visual tokens include the whole picture.
    use_objects: the visual tokens include grounded and detected crops.
  """

  vision: VisionConfig = VisionConfig()  # noqa: RUF009
  use_image: bool = True
  use_objects: bool = True

  def __post_init__(self):
    """Raises ValueError for settings that no model can have."""
    super().__post_init__()
    check_vision(self.vision)
    if not self.picture_slots:
      raise ValueError(
        "model.use_objects: expected a system that sees crops or the picture,"
        " got one that sees neither"
      )

  @property
  def rules(self) -> StreamRules:
    """The rules in force."""
    return StreamRules()

  @property
  def picture_slots(self) -> tuple[tuple[str, int, int], ...]:
    """(field of a batch, pictures per row, pixels per side) of each input."""
    use_image = self.use_image and self.rules.image_tokens
    return self.vision.slots(use_image, self.use_objects)

  @property
  def sees_absent(self) -> bool:
    """Whether absent pictures and crops stay among the visual tokens."""
    return not self.rules.absent_masked
