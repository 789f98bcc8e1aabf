"""The one error type that is the user's to mend."""


class UserError(ValueError):
    """The user's input or setting is at fault.

    The message is one line that names the file, row or option and the remedy; the command line prints it
    without a traceback and exits with code 2.
    """
