from tests.report.example import history, summary_of
from ulmfit.report.summary import Summary
from ulmfit.report.training_curves import trainings_of


def test_trainings_are_grouped_by_kind_and_direction():
    changed = summary_of(curves=["classify-forward", "classify-backward"])
    changed["histories"]["pretrain-forward"] = []
    shown = trainings_of(Summary.model_validate(changed))
    assert [training.title for training in shown] == ["Classifier"]
    assert shown[0].directions == ["forward", "backward"]
    assert ("validation accuracy", ["80.0%", "80.0%"]) in shown[0].figures
    assert len(shown[0].plots) == 3 and "backward validation: 0.8 at step 100" in shown[0].plots[1]


def test_names_of_stages_do_not_matter():
    changed = summary_of()
    changed["stages"][4]["name"] = "any name"
    changed["histories"]["any name"] = history(True)
    assert (changed["stages"][4]["stage"], changed["stages"][4]["direction"]) == ("classify", "forward")
    shown = trainings_of(Summary.model_validate(changed))
    assert [(training.title, training.directions) for training in shown] == [("Classifier", ["forward"])]
