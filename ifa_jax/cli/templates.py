"""Pages from templates, in which nothing of a post can become markup."""

import jinja2


def templates(package: str) -> jinja2.Environment:
  """Returns the templates in a package's folder; all filled in is escaped."""
  return jinja2.Environment(
    loader=jinja2.PackageLoader(package, "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
