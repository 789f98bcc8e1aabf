from tests.report.example import quality_of_corpus
from ulmfit.corpora.quality.quality_record import SplitQuality
from ulmfit.report.corpus_quality import CorpusQuality, Lengths


def lengths(**splits):
    found = {name: SplitQuality(documents=0, characters=0, lengths=held, labels={}) for name, held in splits.items()}
    return Lengths.of(CorpusQuality.model_validate(quality_of_corpus()).model_copy(update={"splits": found}))


def test_lengths_are_of_all_splits_and_without_empty_ends():
    found = lengths(train=(0, 3, 0, 1), test=(0, 2), valid=())
    assert found.bins == {2: 5, 4: 0, 8: 1} and found.documents == 6
    assert (found.limit(0.5), found.limit(5 / 6), found.limit(0.9)) == (4, 4, 16)
    assert (found.shorter(4), found.shorter(16)) == (5, 6)
    assert lengths(train=(0, 0)).bins == {} == lengths().bins
