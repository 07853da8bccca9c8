"""Templates: HTML escapes all values, Markdown none."""

import jinja2


def templates(package: str) -> jinja2.Environment:
  """Returns a package's templates, files `*.html.j2` or `*.md.j2`."""
  return jinja2.Environment(
    loader=jinja2.PackageLoader(package, "."),
    # The hub sanitises the Markdown when it renders it.
    autoescape=jinja2.select_autoescape((), ("md.j2",), default=True),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
