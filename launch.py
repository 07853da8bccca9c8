"""Trains, resumes or evaluates a run: `ifa_jax.launch`."""

from ifa_jax import launch

if __name__ == "__main__":
  launch.run()
