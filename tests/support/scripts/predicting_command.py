"""`ifa_jax.predict`; prints in the end its imports and compilations."""

import collections
import json
import runpy
import sys

import jax

events = collections.Counter()
jax.monitoring.register_event_listener(
  lambda name, **_: events.update([name.rpartition("/")[2]])
)
try:
  runpy.run_module("ifa_jax.predict", run_name="__main__", alter_sys=True)
finally:
  print(
    json.dumps(
      {
        "modules": sorted(sys.modules),
        "programs": events["compile_requests_use_cache"],
        "kept": events["cache_hits"],
      }
    )
  )
