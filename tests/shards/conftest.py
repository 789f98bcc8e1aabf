"""A tokenised part, for the tests of all steps after it."""

import pytest

from tests.shards.parts import LABELS, SPLITS, TEXTS, write_corpus
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part


@pytest.fixture
def tokens(tmp_path):
    folder = tmp_path / "tokens"
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "part-00000", TEXTS, LABELS, SPLITS), str(folder), "en", "default")
    return folder, spec, tokenize_part(spec)
