"""A headless Chromium, where there is one."""

import shutil
import subprocess

import pytest

CHROMIUM = next(
  filter(
    None,
    map(
      shutil.which,
      ("chromium", "chromium-browser", "google-chrome", "chrome"),
    ),
  ),
  None,
)
needs_browser = pytest.mark.skipif(
  CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome"
)


def chromium(folder, url, *flags):
  """Opens a page without a network and returns the console's output."""
  done = subprocess.run(
    [
      CHROMIUM,
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--hide-scrollbars",
      "--host-resolver-rules=MAP * ~NOTFOUND",
      f"--user-data-dir={folder / 'profile'}",
      "--virtual-time-budget=5000",
      *flags,
      url,
    ],
    capture_output=True,
    timeout=300,
    check=True,
  )
  return done.stdout.decode()
