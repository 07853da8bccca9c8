"""A command that compiles one function; prints how often it was loaded."""

import jax

from ifa_jax.cli import app

loaded = []


def main(_):
  jax.monitoring.register_event_listener(
    lambda name, **_: loaded.append(name.endswith("/cache_hits"))
  )
  jax.jit(lambda x: jax.numpy.sin(x) + 41)(1.0)
  print(sum(loaded))


if __name__ == "__main__":
  app.run(main, compiles=True)
