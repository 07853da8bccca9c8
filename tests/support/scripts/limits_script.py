"""Does one large thing in a process of its own and prints its peak memory.

    python limits_script.py picture FILE
    python limits_script.py prepare OUT TOKENIZER RAW_DIR...

Prints a line of JSON: result, seconds, peak_mb, and start_mb, the peak before
it began.
"""

import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any


def picture(path: str) -> Callable[[], str]:
  """Opens a picture and cuts it to a square."""
  from ifa_jax.data.images import decode

  def run():
    try:
      return str(decode.fit(decode.open_picture(path), 224).shape)
    except ValueError as error:
      return str(error)

  return run


def prepare(out: str, tokenizer: str, *raw_dirs: str) -> Callable[[], Any]:
  """Prepares trees without pictures; returns rows and peak after each."""
  from ifa_jax.preparation.mnre import plan
  from ifa_jax.preparation.mnre.prepare import prepare

  def run():
    found = []
    for number, raw_dir in enumerate(raw_dirs):
      settings = plan.Settings(
        raw_dir=raw_dir,
        data_dir=f"{out}/{number}",
        protocol="none",
        tokenizer=tokenizer,
        missing_pixels="absent",
        num_workers=1,
        image_size=8,
        patch_size=2,
      )
      prepared, _ = prepare(settings)
      found.append((prepared.num_rows["train"], _peak_mb()))
    return found

  return run


def _peak_mb() -> float:
  # `resource` counts from the peak of the process that started this one.
  status = pathlib.Path("/proc/self/status").read_text()
  (line,) = [x for x in status.splitlines() if x.startswith("VmHWM:")]
  return round(int(line.split()[1]) / 1024, 1)


def main() -> None:
  """Runs one of the functions above."""
  name, *options = sys.argv[1:]
  run = {"picture": picture, "prepare": prepare}[name](*options)
  start_mb, start = _peak_mb(), time.monotonic()
  result = run()
  print(
    json.dumps(
      {
        "result": result,
        "seconds": round(time.monotonic() - start, 1),
        "start_mb": start_mb,
        "peak_mb": _peak_mb(),
      }
    )
  )


if __name__ == "__main__":
  main()
