"""Draws the output of a command as SVG, for the pages.

python docs/record.py docs/pictures/audit.svg python -m ifa_jax.analyze audit
"""

import io
import os
import pathlib
import re
import subprocess
import sys

from rich.console import Console
from rich.text import Text

_WIDTH = 110

out, *command = sys.argv[1:]
environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(_WIDTH)}
ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
# Paths are shown relative to this folder.
text = ran.stdout.decode().replace(f"{os.getcwd()}/", "")
console = Console(record=True, width=_WIDTH, file=io.StringIO())
console.print(Text.from_ansi(text))
svg = console.export_svg(title=" ".join(["$", *command]))
# Rich's fonts are on another server.
svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
pathlib.Path(out).write_text(svg)
