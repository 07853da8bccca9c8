"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax.cli import app

CONVERTERS = {
  "huggingface": "encoders of Hugging Face: BERT, ViT, CLIP, DINOv2",
  "deepke": "IFAformer's checkpoint of DeepKE",
  "vilbert": "pretrained weights of ViLBERT",
  "mkgformer": "MKGformer's checkpoint",
  "hvformer": "HVFormer's checkpoint",
}
_EXPORT = app.Verb("export", "a run's weights for DeepKE or Hugging Face")


def run() -> None:
  """Runs the conversion that the first argument names."""
  verbs = {
    verb: app.Verb(f"converters:{verb.upper()}", summary)
    for verb, summary in CONVERTERS.items()
  }
  app.run_verb("ifa_jax.convert.commands", verbs | {"export": _EXPORT})


if __name__ == "__main__":
  run()
