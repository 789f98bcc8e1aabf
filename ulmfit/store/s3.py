"""Talking to S3: the client, its errors in plain words, and deletion.

Credentials and endpoint come from the usual variables: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL`` (another server than Amazon's) and ``AWS_CA_BUNDLE``; without
keys there, from the profile or role that the machine has. Not safe in a forked child of a process that has used it.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import http.client
import os
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from ulmfit.errors import UserError

SCHEME = "s3://"
CONNECT_TIMEOUT = 2.0  # seconds until the server must have taken the connection
READ_TIMEOUT = 10.0  # seconds without a byte
ATTEMPTS = 3
REQUESTS = 8  # at once
REDIRECTED = ("STATUS 301", "STATUS 307", "REDIRECT")
REFUSED = ("STATUS 400", "STATUS 401", "STATUS 403", "DENIED", "SIGNATURE", "ACCESSKEY", "TOKEN", "CREDENTIAL", "UNRECOGNIZEDCLIENT")
DELETED = (200, 204, 404)
_VARIABLES = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION", "PROFILE", "CA_BUNDLE")


def parts(place: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``; UserError where no bucket is named."""
    bucket, _, key = place.removeprefix(SCHEME).rstrip("/").partition("/")
    if not bucket:
        raise UserError(f"{place}: no bucket is named; write s3://BUCKET/FOLDER")
    return bucket, key


def path(place: str) -> str:
    """What the client calls the place: ``bucket/key``."""
    return "/".join(parts(place)).rstrip("/")


def client() -> Any:
    """The ``pyarrow.fs.S3FileSystem`` of this process for the variables as they stand; UserError where one is senseless."""
    return _client(os.getpid(), endpoint(), tuple(os.environ.get(f"AWS_{name}") for name in _VARIABLES))


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
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE"),
        background_writes=False,  # no second copy of what is written
        allow_delayed_open=True,  # a small object is one request, and is there whole or not at all
    )


def endpoint() -> str:
    """The server's address; empty for Amazon's own."""
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if address and (urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc):
        raise UserError(f"AWS_ENDPOINT_URL={address}: this is no address of a server; write for example https://s3.example.org:9000")
    return address


@contextmanager
def talking(place: str) -> Iterator[None]:
    """Turn what goes wrong with S3 into an error that names the place: see :func:`explained`."""
    try:
        yield
    except OSError as error:
        clear = explained(place, error)
        if clear is error:
            raise
        raise clear from error


def explained(place: str, error: OSError) -> Exception:
    """FileNotFoundError, a UserError with its remedy, or an OSError that has an errno."""
    said = " ".join(str(error).split())
    code = _code(said)
    if isinstance(error, FileNotFoundError) or "NOSUCHKEY" in code:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
    if error.errno is not None:
        return error
    if "NOSUCHBUCKET" in code:
        return UserError(f"{place}: there is no bucket {parts(place)[0]!r}; create it, or correct the name")
    if "NETWORKCONNECTION" in code:
        reason = said.rpartition("Details: ")[2] or said
        return UserError(f"{place}: {endpoint() or 'the S3 service'} cannot be reached ({reason}); check AWS_ENDPOINT_URL and the network")
    if any(sign in code for sign in REDIRECTED):
        return UserError(f"{place}: the bucket is in another region; name its region with AWS_REGION")
    if any(sign in code for sign in REFUSED):
        return UserError(f"{place}: access is refused; check {_credentials()} and what these keys may read and write there")
    return OSError(errno.EIO, said, place)


def _code(said: str) -> str:
    """What kind of error the client names, without the key, which may hold any word: ``NOSUCHKEY``."""
    found = re.findall(r"AWS Error (.*?) during|ExceptionName: (\w+)", said)
    return " ".join(map("".join, found)).replace("_", "").upper()


def _credentials() -> str:
    names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return names if os.environ.get("AWS_ACCESS_KEY_ID") else f"{names} (they are not set)"


def has_bucket(place: str) -> bool:
    """Whether the bucket of that place is there."""
    from pyarrow import fs

    with talking(place):
        return client().get_file_info(parts(place)[0]).type != fs.FileType.NotFound


def delete(places: Sequence[str]) -> None:
    """Delete objects; one that is not there is fine.

    By requests of our own where the variables hold keys: the client's deletion leaves an empty object in the name of the
    folder, which a server that keeps objects as files takes for a file in the folder's stead.
    """
    remove = _delete_all if os.environ.get("AWS_ACCESS_KEY_ID") else _delete_by_client
    with ThreadPoolExecutor(REQUESTS) as pool:
        list(pool.map(remove, [places[start::REQUESTS] for start in range(min(REQUESTS, len(places)))]))


def _delete_by_client(places: Sequence[str]) -> None:
    for place in places:
        try:
            with talking(place):
                client().delete_file(path(place))
        except FileNotFoundError:
            continue


def _delete_all(places: Sequence[str]) -> None:
    connection = _connection()
    try:
        for place in places:
            _delete(connection, place)
    finally:
        connection.close()


def _connection() -> http.client.HTTPConnection:
    split = urlsplit(endpoint() or f"https://s3.{client().region}.amazonaws.com")
    if split.scheme == "http":
        return http.client.HTTPConnection(split.netloc, timeout=READ_TIMEOUT)
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
    return http.client.HTTPSConnection(split.netloc, timeout=READ_TIMEOUT, context=context)


def _delete(connection: http.client.HTTPConnection, place: str) -> None:
    base = urlsplit(endpoint()).path.rstrip("/")
    target = quote(f"{base}/{path(place)}", safe="/-_.~")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            connection.request("DELETE", target, headers=_signed("DELETE", connection, target))
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request opens it anew
            if attempt == ATTEMPTS:
                raise explained(place, OSError(f"AWS Error NETWORK_CONNECTION during deletion: Details: {error}")) from error
        else:
            if answer.status in DELETED and "NoSuchBucket" not in body:
                return
            if answer.status < 500 or attempt == ATTEMPTS:
                code = "NO_SUCH_BUCKET" if "NoSuchBucket" in body else f"(HTTP status {answer.status})"
                raise explained(place, OSError(f"AWS Error {code} during deletion: {body[:300]}"))
        time.sleep(0.1 * 4**attempt)


def _signed(method: str, connection: http.client.HTTPConnection, target: str) -> dict[str, str]:
    """The headers of a request without a body, signed as AWS Signature Version 4 prescribes."""
    standard = 443 if isinstance(connection, http.client.HTTPSConnection) else 80
    host = connection.host if connection.port == standard else f"{connection.host}:{connection.port}"
    empty = hashlib.sha256(b"").hexdigest()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": now}
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(headers)  # they stand in alphabetical order, as they must
    scope = f"{now[:8]}/{client().region}/s3/aws4_request"
    request = "\n".join([method, target, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, empty])
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + os.environ.get("AWS_SECRET_ACCESS_KEY", "").encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    return headers | {"Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"}
