from ulmfit.report import curves, plots
from ulmfit.report.summary import CurvePoint, RangeTest


def trial(suggestion):
    return RangeTest(rates=[0.001, 0.01, 0.1, 1.0], losses=[2.0, 1.5, 1.0, 4.0], suggestion=suggestion, lr=0.02)


def test_a_range_test_shows_the_suggestion_and_the_rate_used():
    axes = plots.range_test_figure({"forward": trial(0.01), "backward": trial(None)}).axes[0]
    assert axes.get_xscale() == "log"
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    curve, used = ([0.001, 0.01, 0.1, 1.0], [2.0, 1.5, 1.0, 4.0]), ([0.02, 0.02], [0, 1])
    assert lines == [curve, used, ([0.01], [1.5]), curve, used]
    assert plots.range_test_svg("Classifier", {}) == ""


def test_a_curve_of_one_point_is_seen():
    one = plots.rate_svg("Classifier", {"forward": [CurvePoint(step=6, name="lr", value=0.01)]})
    assert "<use" in one  # its marker


def test_long_curves_are_thinned_and_keep_their_end():
    points = [CurvePoint(step=step, name="lr", value=float(step)) for step in range(10_001)]
    steps, values = curves.curves_of(points)["lr"]
    assert len(steps) == len(values) <= curves.MAX_POINTS + 1 and (steps[0], steps[-1]) == (0, 10_000)
