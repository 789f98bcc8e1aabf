"""A small transformer decoder with random weights, in the form of the library ``transformers``."""

from collections.abc import Collection
from pathlib import Path

import pytest
import torch


def write_decoder(folder: Path, words: Collection[str]) -> Path:
    """A GPT-2 of two layers that knows ``words``, and its tokenizer; skips the test where the extra ``decoder`` is not installed."""
    transformers = pytest.importorskip("transformers", reason="the extra `decoder` is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = ["<end>", "<unk>", *words]
    tokenizer = Tokenizer(models.WordLevel({word: code for code, word in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>").save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
        config = transformers.GPT2Config(vocab_size=len(known), **sizes, eos_token_id=0, bos_token_id=0)
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder
