"""The aliases of versions, and what a model may be called."""

from ulmfit.errors import UserError

# In a name, for MLflow: the registry refuses some of them, its logged models others, and the rest mean something in models:/NAME@ALIAS.
FORBIDDEN, LONGEST = frozenset("/:.%\"'@?#\\"), 250
CHAMPION, CHALLENGER = "champion", "challenger"


def check_model_name(name: str, option: str = "--model-name") -> None:
    """UserError for a name that the registry would refuse after the training."""
    if strange := sorted(FORBIDDEN & set(name)):
        raise UserError(f"{option} {name}: a model's name cannot hold {strange[0]}; use letters, digits, - and _")
    if not name or name != name.strip() or len(name) > LONGEST or not name.isprintable():
        raise UserError(f"{option} {name[:60]!r}: give a name of 1 to {LONGEST} printable letters, without spaces around it")
