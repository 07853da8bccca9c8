"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax import command

if __name__ == "__main__":
  command.run_verb(
    "ifa_jax.convert",
    {
      "huggingface": "verb_huggingface",
      "deepke": "verb_deepke",
      "vilbert": "verb_vilbert",
      "export": "verb_export",
    },
  )
