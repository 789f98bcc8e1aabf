"""The errors that one line is enough for: what the user can mend, and what the machines did."""


class UserError(ValueError):
    """The user's input or setting is at fault.

    The message is one line that names the file, row or option and the remedy; the command line prints it
    without a traceback and exits with code 2.
    """


class RunFailed(RuntimeError):
    """Workers, a scheduler or a server failed for good, through nobody's input.

    The message is one line; the command line prints it without a traceback and exits with code 1.
    """
