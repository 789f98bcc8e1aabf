"""What is said of an S3 server that answers, and fails."""

from __future__ import annotations

import errno

import pytest

from ulmfit.errors import UserError
from ulmfit.store.s3 import explained

PLACE = "s3://bucket/artifacts/part"


@pytest.mark.parametrize("code", ["INTERNAL_FAILURE", "SLOW_DOWN", "UNKNOWN (HTTP status 507)", "UNKNOWN (HTTP status 500)"])
def test_a_server_that_fails_is_said_to_and_what_to_look_at(code: str) -> None:
    found = explained(PLACE, OSError(f"When uploading object: AWS Error {code} during PutObject operation: Internal Error"))
    assert isinstance(found, OSError) and (found.errno, found.filename) == (errno.EIO, PLACE)
    assert "often a full disk" in str(found.strerror) and code in str(found.strerror)


def test_words_in_the_name_of_an_object_say_nothing_of_the_server() -> None:
    found = explained(
        PLACE, OSError("When uploading 'internal_failure slow_down': AWS Error UNKNOWN (HTTP status 418) during PutObject: no")
    )
    assert isinstance(found, OSError) and "full disk" not in str(found)
    assert isinstance(explained(PLACE, OSError("AWS Error ACCESS_DENIED during PutObject: internal failure")), UserError)
