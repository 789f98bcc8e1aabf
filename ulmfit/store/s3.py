"""Access to S3: the client, its errors in plain words, and deletion.

Credentials and endpoint come from the usual variables: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL`` (another server than Amazon's) and ``AWS_CA_BUNDLE``; without
keys there, from the profile or role of the machine. Not safe in a forked child of a process that has used it.
"""

import errno
import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ulmfit.errors import UserError

SCHEME = "s3://"
CONNECT_TIMEOUT = 2.0  # seconds until the server must accept the connection
READ_TIMEOUT = 10.0  # seconds without a byte
ATTEMPTS = 3  # of a request, each after a longer wait; AWS_MAX_ATTEMPTS says otherwise: 8 bear a server that is away for half a minute
REQUESTS = 8  # at once
REDIRECTED = ("STATUS 301", "STATUS 307", "REDIRECT")
REFUSED = ("STATUS 400", "STATUS 401", "STATUS 403", "DENIED", "SIGNATURE", "ACCESSKEY", "TOKEN", "CREDENTIAL", "UNRECOGNIZEDCLIENT")
FAILED = ("STATUS 5", "INTERNALFAILURE", "INTERNALERROR", "SERVICEUNAVAILABLE", "SLOWDOWN", "STORAGEFULL")  # after all attempts
_lock = threading.Lock()  # several threads may want the client for deletion at once
_VARIABLES = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION", "PROFILE", "CA_BUNDLE", "MAX_ATTEMPTS")


def parts(location: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``; UserError where no bucket is named."""
    bucket, _, key = location.removeprefix(SCHEME).rstrip("/").partition("/")
    if not bucket:
        raise UserError(f"{location}: no bucket is named; write s3://BUCKET/FOLDER")
    return bucket, key


def path(location: str) -> str:
    """The location as the client names it: ``bucket/key``."""
    return "/".join(parts(location)).rstrip("/")


def client() -> Any:
    """The ``pyarrow.fs.S3FileSystem`` of this process for the variables as they stand; UserError where one makes no sense."""
    return _client(os.getpid(), endpoint(), _settings())


def _settings() -> tuple[str | None, ...]:
    return tuple(os.environ.get(f"AWS_{name}") for name in _VARIABLES)


@lru_cache(maxsize=4)
def _client(_process: int, address: str, _variables: tuple[str | None, ...]) -> Any:
    # The newer checksums are sent as trailers, which servers other than Amazon's answer with HTTP 411.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "WHEN_REQUIRED")
    os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "WHEN_REQUIRED")
    from pyarrow import fs  # late: it reads the two above

    split = urlsplit(address)
    where = {"scheme": split.scheme, "endpoint_override": split.netloc + split.path.rstrip("/")} if address else {}
    return fs.S3FileSystem(
        **where,
        connect_timeout=CONNECT_TIMEOUT,
        request_timeout=READ_TIMEOUT,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts()),
        tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE"),
        background_writes=False,  # no second copy of what is written
        allow_delayed_open=True,  # a small object is one request, and is there whole or not at all
    )


def attempts() -> int:
    """How many times a request is tried. UserError where the variable is no such number."""
    given = os.environ.get("AWS_MAX_ATTEMPTS") or str(ATTEMPTS)
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= 100):
        raise UserError(f"AWS_MAX_ATTEMPTS={given}: give a number from 1 to 100, or unset it")
    return int(given)


def endpoint() -> str:
    """The server's address; empty for Amazon's own."""
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if address and (urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc):
        raise UserError(f"AWS_ENDPOINT_URL={address}: this is no address of a server; write for example https://s3.example.org:9000")
    return address


@contextmanager
def talking(location: str) -> Iterator[None]:
    """Turn an error of the client into one that names the location: see :func:`explained`."""
    try:
        yield
    except OSError as error:
        clear = explained(location, error)
        if clear is error:
            raise
        raise clear from error


def explained(location: str, error: OSError) -> Exception:
    """The error as FileNotFoundError, as a UserError with its remedy, or as an OSError with an errno."""
    said = " ".join(str(error).split())
    code = _code(said)
    if isinstance(error, FileNotFoundError) or "NOSUCHKEY" in code:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location)
    if error.errno is not None:
        return error
    if "NOSUCHBUCKET" in code:
        return UserError(f"{location}: there is no bucket {parts(location)[0]!r}; create it, or correct the name")
    if "NETWORKCONNECTION" in code:
        reason = said.rpartition("Details: ")[2] or said
        return UserError(
            f"{location}: {endpoint() or 'the S3 service'} cannot be reached ({reason}); check AWS_ENDPOINT_URL and the network"
        )
    if any(sign in code for sign in REDIRECTED):
        return UserError(f"{location}: the bucket is in another region; name its region with AWS_REGION")
    if any(sign in code for sign in REFUSED):
        unset = "" if os.environ.get("AWS_ACCESS_KEY_ID") else " (they are not set)"
        names = f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY{unset}"
        return UserError(f"{location}: access is refused; check {names} and what these keys may read and write there")
    if any(sign in code for sign in FAILED):
        said = (
            f"the S3 server failed ({said}); its log has the reason, often a full disk: then run again, finished stages and parts are kept"
        )
    return OSError(errno.EIO, said, location)


def _code(said: str) -> str:
    """The code in the client's message, as ``NOSUCHKEY``. The rest may contain any word, since it has the key of the object."""
    found = re.findall(r"AWS Error (.*?) during|ExceptionName: (\w+)", said)
    return " ".join(map("".join, found)).replace("_", "").upper()


def has_bucket(location: str) -> bool:
    """Whether the bucket of that location exists."""
    from pyarrow import fs

    with talking(location):
        return client().get_file_info(parts(location)[0]).type != fs.FileType.NotFound


def delete(locations: Sequence[str]) -> None:
    """Delete objects; one that is not there is fine."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        list(pool.map(_delete, locations))


def _delete(location: str) -> None:
    """By botocore: pyarrow's deletion leaves an empty object in the name of the folder (apache/arrow#36275), and a server that
    keeps objects as files takes it for a file."""
    from botocore import exceptions

    bucket, key = parts(location)
    try:
        with _lock:
            remover = _remover(os.getpid(), endpoint(), _settings())
        remover.delete_object(Bucket=bucket, Key=key)
    except exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code != "NoSuchKey":
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
            raise explained(location, OSError(f"AWS Error {code} (HTTP status {status}) during deletion: {error}")) from error
    except exceptions.BotoCoreError as error:
        network = isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError)
        code = "NETWORK_CONNECTION" if network else type(error).__name__
        raise explained(location, OSError(f"AWS Error {code} during deletion: Details: {error}")) from error


@lru_cache(maxsize=4)
def _remover(_process: int, address: str, _variables: tuple[str | None, ...]) -> Any:
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": attempts()},
        s3={"addressing_style": "path" if address else "auto"},
    )
    return get_session().create_client("s3", region_name=client().region, endpoint_url=address or None, config=config)
