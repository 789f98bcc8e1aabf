"""Parts of a corpus, read in batches."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.errors import UserError
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part


def test_a_part_that_is_none_is_named(tmp_path):
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"part-00000\.parquet: not a part of a corpus") as caught:
        tokenize_part(TokenizeSpec(str(path), str(tmp_path), "en", "default"))
    assert "\n" not in str(caught.value)
    pq.write_table(pa.table({"words": ["x"]}), path)
    with pytest.raises(UserError, match=r"part-00000\.parquet: not a part of a corpus"):
        tokenize_part(TokenizeSpec(str(path), str(tmp_path), "en", "default"))
