"""HTML templates that escape all values."""

import jinja2


def templates(package: str) -> jinja2.Environment:
  """Returns the templates in a package's directory."""
  return jinja2.Environment(
    loader=jinja2.PackageLoader(package, "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
