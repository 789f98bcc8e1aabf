from ulmfit.report.confusion import MATRIX_LABELS, matrix_of


def test_the_matrix_has_shares_of_its_rows_and_the_most_frequent_confusions():
    matrix = matrix_of(["a", "b", "c"], [[6, 4, 0], [1, 9, 0], [0, 0, 0]])
    assert [(label, [cell.share for cell in cells]) for label, cells in matrix.rows] == [
        ("a", [0.6, 0.4, 0]),
        ("b", [0.1, 0.9, 0]),
        ("c", [0, 0, 0]),
    ]
    assert matrix.pairs == [(4, 0.4, "a", "b"), (1, 0.1, "b", "a")]
    assert matrix.whole and MATRIX_LABELS >= 3
