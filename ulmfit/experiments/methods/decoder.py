"""A transformer decoder, fine-tuned with its language model as auxiliary loss (Radford et al. 2018, "Improving language understanding").

The model comes from a folder that the user gives, in the form of the library ``transformers`` (extra ``decoder``). Only safetensors are
loaded, and no code from the folder is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.training.regression import Codes, Probabilities, check_classes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NOT_INSTALLED = "the decoder needs the library transformers; install it with: pip install 'ulmfit[decoder]'"
NO_TARGET = -100  # of positions that the loss leaves out
CLIP, WARM_UP, DECAY, HEAD_SCALE = 1.0, 0.002, 0.01, 0.02  # as in the paper


@dataclass(frozen=True)
class Decoder:
    """The method, with the paper's settings. ``lm_weight``: of the auxiliary loss; ``max_tokens``: a longer text keeps its beginning."""

    folder: Path
    seed: int = 0
    epochs: int = 3
    batch: int = 32
    rate: float = 6.25e-5
    lm_weight: float = 0.5
    max_tokens: int = 512
    device: str = "cpu"

    def fit(self, texts: Sequence[str], labels: Codes, n_labels: int) -> FittedDecoder:
        """Fine-tune. UserError where ``transformers`` is not installed, the folder holds no model to load, or all texts have one class."""
        import torch

        check_classes(labels)
        with torch.random.fork_rng(devices=[self.device] if self.device != "cpu" else []):  # the library draws from the global generator
            torch.manual_seed(self.seed)
            body, tokenizer = load(self.folder)
            fitted = FittedDecoder(body.to(self.device), tokenizer, _head(body, n_labels).to(self.device), self, np.unique(labels))
            _train(fitted, fitted.encode(texts), torch.as_tensor(np.asarray(labels, dtype=np.int64)))
        return fitted


@dataclass(frozen=True, eq=False)
class FittedDecoder:
    """``body``: the language model; ``head``: from the state at a text's end token to the classes, of which ``classes`` were seen."""

    body: Any
    tokenizer: Any
    head: torch.nn.Linear
    settings: Decoder
    classes: Codes

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, and the end token, whose state is classified."""
        limit = self.settings.max_tokens - 1
        found = self.tokenizer(list(texts), add_special_tokens=False, truncation=True, max_length=limit)["input_ids"]
        return [[*ids, self.tokenizer.eos_token_id] for ids in found]

    def read(self, documents: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Logits of the classes [B, L], and the language model's loss, a mean over the next tokens."""
        import torch

        longest = max(map(len, documents))
        ids = torch.full((len(documents), longest), self.tokenizer.eos_token_id)
        targets = torch.full((len(documents), longest), NO_TARGET)
        for row, document in enumerate(documents):
            ids[row, : len(document)] = targets[row, : len(document)] = torch.tensor(document)
        device = self.settings.device
        lengths = torch.tensor([len(document) for document in documents], device=device)
        # Padding stands at the end, where no real position sees it.
        out = self.body(input_ids=ids.to(device), output_hidden_states=True)
        last = out.hidden_states[-1][torch.arange(len(documents), device=device), lengths - 1]
        scores, next_tokens = out.logits[:, :-1].flatten(0, 1), targets[:, 1:].to(device).flatten()
        loss = torch.nn.functional.cross_entropy(scores, next_tokens, ignore_index=NO_TARGET, reduction="sum")
        return self.head(last), loss / max(1, int((next_tokens != NO_TARGET).sum()))

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        import torch

        documents = self.encode(texts)
        found = np.zeros((len(documents), self.head.out_features))
        order = np.argsort([len(document) for document in documents], kind="stable")
        with torch.no_grad():
            self.body.eval()
            for start in range(0, len(order), self.settings.batch):
                rows = order[start : start + self.settings.batch]
                logits, _ = self.read([documents[row] for row in rows])
                known = logits.double().softmax(1).cpu().numpy()[:, self.classes]
                found[rows[:, None], self.classes] = known / known.sum(axis=1, keepdims=True)
        return found


def check_decoder(folder: Path) -> None:
    """UserError for what can be found before the decoder is loaded."""
    try:
        found = find_spec("transformers")
    except ValueError:
        found = None
    if found is None:
        raise UserError(NOT_INSTALLED)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: holds no transformer to load; give a folder with config.json, *.safetensors and its tokenizer")


def digest_of(folder: Path) -> str:
    """SHA-256 over the files of a decoder: its identity, wherever it lies."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            whole.update(f"{path.name} {filesystem.sha256(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def load(folder: Path) -> tuple[Any, Any]:
    """The language model and its tokenizer. UserError where there is none, or it is not in safetensors."""
    check_decoder(folder)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        body = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: the transformer cannot be loaded: {str(error).splitlines()[0]}") from error
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{folder}: its tokenizer has no end token (eos_token), whose state is classified; name one in tokenizer_config.json"
        )
    return body, tokenizer


def _head(body: Any, n_labels: int) -> torch.nn.Linear:
    import torch

    head = torch.nn.Linear(body.config.hidden_size, n_labels)
    torch.nn.init.normal_(head.weight, std=HEAD_SCALE)
    torch.nn.init.zeros_(head.bias)
    return head


def _train(fitted: FittedDecoder, documents: list[list[int]], labels: Tensor) -> None:
    """Adam with a linear warm-up and fall; the loss is that of the classes + ``lm_weight`` times that of the language model."""
    import torch

    settings = fitted.settings
    parameters = [*fitted.body.parameters(), *fitted.head.parameters()]
    steps = settings.epochs * -(-len(documents) // settings.batch)
    warm = max(1, round(WARM_UP * steps))
    optimizer = torch.optim.AdamW(parameters, settings.rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm)))
    fitted.body.train()
    for rows in _batches(len(documents), settings):
        logits, lm_loss = fitted.read([documents[row] for row in rows])
        loss = torch.nn.functional.cross_entropy(logits, labels[rows].to(settings.device)) + settings.lm_weight * lm_loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        schedule.step()


def _batches(documents: int, settings: Decoder) -> Iterator[list[int]]:
    """Rows of each step: every epoch in an order of its own."""
    random = np.random.default_rng(settings.seed)
    for _ in range(settings.epochs):
        order = random.permutation(documents).tolist()
        yield from (order[start : start + settings.batch] for start in range(0, documents, settings.batch))
