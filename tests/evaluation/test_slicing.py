import numpy as np

from ulmfit.evaluation.slicing import slices_of


def test_slices_are_the_labels_and_the_ends_of_the_lengths():
    texts = ["x" * length for length in (1, 2, 3, 4, 5, 6, 7, 8)]
    slices = slices_of(np.array([0, 1, 0, 1, 0, 1, 0, 1]), ["a", "b"], texts)
    assert np.flatnonzero(slices["label a"]).tolist() == [0, 2, 4, 6] and np.flatnonzero(slices["label b"]).tolist() == [1, 3, 5, 7]
    assert np.flatnonzero(slices["shortest quarter of texts"]).tolist() == [0, 1]
    assert np.flatnonzero(slices["longest quarter of texts"]).tolist() == [6, 7]


def test_a_document_of_several_labels_is_in_the_slice_of_each():
    slices = slices_of(np.array([[True, True], [False, True]]), ["a", "b"], ["x", "y"])
    assert {name: mask.tolist() for name, mask in slices.items()} == {"label a": [True, False], "label b": [True, True]}


def test_no_rows_and_texts_of_one_length_have_no_slices_by_length():
    assert set(slices_of(np.array([], dtype=int), ["a"], [])) == {"label a"}
    assert set(slices_of(np.array([0, 0]), ["a"], ["xx", "yy"])) == {"label a"}
