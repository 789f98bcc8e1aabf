"""Child processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys

PARENT = "ULMFIT_PARENT"  # environment variable: the id of the process without which this one ends
PR_SET_PDEATHSIG = 1  # of prctl(2)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends, however that happens. On Linux; elsewhere it does nothing.

    The parent sets the variable PARENT to its own id, and keeps the thread that started this process: the kernel watches that.
    """
    if sys.platform != "linux" or PARENT not in os.environ:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT]):  # it ended before that
        os._exit(1)
