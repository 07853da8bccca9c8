"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax import command
from ifa_jax.convert import verb_deepke, verb_export, verb_huggingface

if __name__ == "__main__":
  command.run_verb(
    {
      "huggingface": verb_huggingface,
      "deepke": verb_deepke,
      "export": verb_export,
    }
  )
