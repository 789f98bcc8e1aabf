"""Concat pooling, what a document's logits may depend on, and back-propagation through time for classification. fp32."""

import pytest
import torch
import torch.nn.functional as F

from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, WORDS, encode, lively, pool, text
from ulmfit.config import Dropouts
from ulmfit.models.classifier import Classifier, HeadConfig, Pooling, gradient_start

SAME = 1e-5  # what logits of one document may differ by
ALL = 10**9


def model_of(dropouts: Dropouts = NO_DROPOUT, head_dropouts=(0.0, 0.0)) -> Classifier:
    model = Classifier(WORDS, 3, SMALL, dropouts, head=HeadConfig(7, head_dropouts), seed=2)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():  # as after training: statistics and weights that are none of 0 and 1
        for norm in (model.head.norm1, model.head.norm2):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.1)
    return lively(model)


def batch_of(documents: list[torch.Tensor], longest: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(document) for document in documents])
    ids = torch.ones(max(longest, int(lengths.max())), len(documents), dtype=torch.int64)
    for column, document in enumerate(documents):
        ids[: len(document), column] = document
    return ids, lengths


DOCUMENTS = [text((length,), seed=length) for length in (1, 2, 5, 20, 21, 33, 40)]


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_pooling_is_that_of_each_document_alone(chunk):
    lengths = [1, 4, 7, 12]
    states = torch.randn(12, 4, 5, generator=torch.Generator().manual_seed(0)) - 2  # a padded position's 0 would be the maximum
    pooling = Pooling(torch.tensor(lengths))
    for start in range(0, 12, chunk):
        pooling.add(states[start : start + chunk], start)
    assert torch.allclose(pooling.result(), pool(states, lengths), atol=1e-6)


def test_the_mean_of_a_long_document_bears_half_precision():
    states = torch.rand(3000, 1, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    pooling = Pooling(torch.tensor([3000]))
    for start in range(0, 3000, 50):
        pooling.add(states[start : start + 50], start)
    assert torch.allclose(pooling.result()[0, 8:], states[:, 0].float().mean(0), rtol=1e-5)


def test_logits_are_the_formula_written_out():
    model = model_of(Dropouts(), (0.4, 0.1)).eval()
    ids, lengths = batch_of(DOCUMENTS)
    head = model.head

    def norm(x, layer):
        return (x - layer.running_mean) / (layer.running_var + 1e-5).sqrt() * layer.weight + layer.bias

    x = norm(pool(encode(model.encoder, ids), lengths.tolist()), head.norm1) @ head.linear1.weight.T
    expected = norm(x.clamp(min=0), head.norm2) @ head.linear2.weight.T + head.linear2.bias
    assert torch.allclose(model(ids, lengths, bptt=9), expected, atol=SAME)


def test_a_document_alone_has_the_logits_it_has_in_company():
    model = model_of().eval()
    together = model(*batch_of(DOCUMENTS))
    for place, document in enumerate(DOCUMENTS):
        assert torch.allclose(model(*batch_of([document]))[0], together[place], atol=SAME)


def test_logits_know_nothing_of_padding_order_and_chunks():
    model = model_of().eval()
    ids, lengths = batch_of(DOCUMENTS)
    expected = model(ids, lengths)
    padded, _ = batch_of(DOCUMENTS, longest=95)
    assert torch.allclose(model(padded, lengths), expected, atol=SAME)
    padded[torch.arange(95)[:, None] >= lengths] = 11  # whatever stands behind the end
    assert torch.allclose(model(padded, lengths), expected, atol=SAME)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    assert torch.allclose(model(ids[:, order], lengths[order]), expected[order], atol=SAME)
    for bptt in (1, 5, 8, 40, 1000):
        assert torch.allclose(model(ids, lengths, bptt=bptt), expected, atol=SAME)
    for reach in (1, 10):
        assert torch.allclose(model(ids, lengths, bptt=5, max_gradient_tokens=reach), expected, atol=SAME)


def gradients(model: Classifier, ids, lengths, bptt: int, reach: int) -> dict[str, torch.Tensor]:
    model.zero_grad()
    F.cross_entropy(model(ids, lengths, bptt, reach), torch.arange(len(lengths)) % 3).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def unrolled(model: Classifier, ids, lengths, cut: int) -> dict[str, torch.Tensor]:
    model.zero_grad()
    logits = model.head(pool(encode(model.encoder, ids, cut=cut), lengths.tolist()), model.encoder.generator)
    F.cross_entropy(logits, torch.arange(len(lengths)) % 3).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("bptt", "reach", "cut"), [(5, ALL, 0), (5, 12, 15), (7, 12, 14), (4, 30, 0), (5, 1, 25)])
def test_gradients_are_those_of_the_unrolled_network_up_to_the_cut(bptt, reach, cut):
    model = model_of().train()
    model.head.eval()  # normalising four documents by their own spread would multiply the rounding of both
    ids, lengths = batch_of([text((length,), seed=length) for length in (30, 28, 33, 31)])
    found, expected = gradients(model, ids, lengths, bptt, reach), unrolled(model, ids, lengths, cut)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=SAME), name


def test_words_before_the_cut_get_no_gradient():
    model = model_of().train()
    early, late = torch.arange(0, 10), torch.arange(12, 22)
    ids = torch.stack([torch.cat([early, early, late]), torch.cat([early, early, late.flip(0)])], dim=1)
    lengths = torch.tensor([30, 30])
    gradient = gradients(model, ids, lengths, bptt=5, reach=10)["encoder.embedding.weight"]
    assert (gradient[early] == 0).all() and (gradient[late].abs().sum(1) > 0).all()
    assert (gradients(model, ids, lengths, bptt=5, reach=15)["encoder.embedding.weight"][5:10].abs().sum(1) > 0).all()


def graph_bytes(model: Classifier, ids, lengths, bptt: int, reach: int) -> int:
    """Bytes that the forward pass keeps for the backward pass, each piece of memory once."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(ids, lengths, bptt, reach)
        assert logits.requires_grad
        return sum(kept.values())


def test_memory_is_that_of_the_last_chunks():
    model = model_of().train()

    def kept(length: int, reach: int) -> int:
        return graph_bytes(model, text((length, 2)), torch.tensor([length, length]), 50, reach)

    ids_apart = 8 * 2 * 5000  # the ids themselves are input, not graph
    assert kept(5000, 200) <= kept(400, 200) + ids_apart
    assert kept(5000, ALL) > 10 * kept(400, 200)


def test_where_gradients_start():
    assert gradient_start(30, 5, 12) == 15  # 18 rounded down to a chunk: the last 12 of the shortest are all in
    assert gradient_start(30, 5, 30) == gradient_start(1, 5, 1400) == 0
    assert gradient_start(5000, 70, 1400) == 3570


def test_the_shortest_document_says_where_gradients_start():
    model = model_of().train()
    ids, lengths = batch_of([torch.arange(0, 10), torch.cat([torch.arange(10, 20), torch.arange(0, 10)])])
    gradient = gradients(model, ids, lengths, bptt=5, reach=5)["encoder.embedding.weight"]
    assert (gradient[:5].abs().sum(1) > 0).all()  # words 0 to 4 stand from position 10 on in the longer one
    assert (gradient[10:15] == 0).all() and (gradient[15:20].abs().sum(1) > 0).all()


def test_a_document_alone_trains():
    model = model_of(Dropouts(), (0.4, 0.1)).train()
    before = model.head.norm1.running_mean.clone()
    found = gradients(model, *batch_of(DOCUMENTS[-1:]), bptt=10, reach=ALL)
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert found["encoder.embedding.weight"].abs().sum() > 0 and found["head.linear1.weight"].abs().sum() > 0
    assert torch.equal(model.head.norm1.running_mean, before)  # one document says nothing of the spread


def test_running_statistics_are_the_mean_of_the_first_batches_then_decay():
    head = Classifier(WORDS, 3, SMALL, NO_DROPOUT, head=HeadConfig(7, (0.0, 0.0))).train().head
    batches = torch.randn(12, 5, 18, generator=torch.Generator().manual_seed(0)) / 100 + 3
    mean, variance = torch.zeros(18), torch.ones(18)
    for number, batch in enumerate(batches):
        head(batch, torch.Generator())
        share = 1 / (number + 1) if number < 10 else 0.1
        mean = (1 - share) * mean + share * batch.sum(0) / 5
        variance = (1 - share) * variance + share * ((batch - batch.sum(0) / 5) ** 2).sum(0) / 4
        assert torch.allclose(head.norm1.running_mean, mean, atol=1e-5)
        assert torch.allclose(head.norm1.running_var, variance, rtol=1e-3)


def test_head_dropout_is_scaled_and_stays_out_of_evaluation():
    model = model_of(NO_DROPOUT, (0.5, 0.0))
    x = torch.ones(40, 50)
    dropped = model.head.train()._drop(x, 0.5, model.encoder.generator)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < dropped.eq(0).float().mean() < 0.6
    assert torch.equal(model.head.eval()._drop(x, 0.5, model.encoder.generator), x)


def test_groups_hold_every_parameter_once_from_first_to_last():
    model = model_of()
    groups = model.groups()
    assert len(groups) == SMALL.layers + 2
    assert sorted(map(id, model.parameters())) == sorted(id(parameter) for group in groups for parameter in group)
    assert groups[0][0] is model.encoder.embedding.weight and groups[-1][-1] is model.head.linear2.bias
