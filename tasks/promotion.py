"""Which version of a model is champion. The rule stands here alone."""

from collections.abc import Collection

CHAMPION, CHALLENGER = "champion", "challenger"


def aliases_of_new_version(taken: Collection[str]) -> tuple[str, ...]:
    """The aliases of a new version, where others have those ``taken``: it is the challenger, and the first one is the champion too."""
    return (CHALLENGER,) if CHAMPION in taken else (CHALLENGER, CHAMPION)
