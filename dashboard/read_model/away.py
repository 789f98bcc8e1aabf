"""A source of the read model that does not answer."""


class Away(Exception):
    """Why it does not, in one line. ``expected``: there need not be one."""

    def __init__(self, says: str, expected: bool = False):
        super().__init__(says)
        self.expected = expected
