"""The templates of the pages, and how they write figures."""

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined

Filter = Callable[..., str]


def environment(*filters: Filter) -> Environment:
    """Templates in which the ``filters`` go by their own names; text is escaped, and a name that is not given is an error."""
    made = Environment(
        loader=PackageLoader("ulmfit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {show.__name__: show for show in filters}
    return made
