"""Draws the output of a command as SVG, for the pages.

python docs/record.py docs/pictures/audit.svg python -m ifa_jax.analyze audit
"""

import io
import os
import subprocess
import sys

from rich.console import Console
from rich.text import Text

_WIDTH = 110

out, *command = sys.argv[1:]
environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(_WIDTH)}
shown = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
console = Console(record=True, width=_WIDTH, file=io.StringIO())
console.print(Text.from_ansi(shown.stdout.decode()))
console.save_svg(out, title=" ".join(["$", *command]))
