"""Which version of a model is champion. The rule stands here alone."""

from collections.abc import Collection

CHAMPION, CHALLENGER = "champion", "challenger"


def aliases_of_new_version(taken: Collection[str]) -> tuple[str, ...]:
    """The aliases that a new version gets, where the model's versions have those ``taken``.

    A new version is the challenger; the first one is the champion too.
    """
    return (CHALLENGER,) if CHAMPION in taken else (CHALLENGER, CHAMPION)
