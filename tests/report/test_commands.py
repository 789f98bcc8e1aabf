from tests.report.example import summary_of
from ulmfit.presets import tiny
from ulmfit.report.commands import commands_of, settings_by_stage
from ulmfit.report.summary import Summary


def test_settings_of_no_stage_are_those_of_the_run():
    shown = settings_by_stage(tiny())
    assert ("scratch", "false") in shown["run"] and ("lang", "en") in shown["text"] and ("valid_every", "null") in shown["pretrain"]


def test_commands_of_a_model_that_is_not_registered():
    summary = Summary.model_validate(summary_of(registered=False))
    model, run = (
        summary.model.model_copy(update={"path": "/my models/x"}),
        summary.run.model_copy(update={"tracking_uri": "http://tracking"}),
    )
    commands = dict(commands_of(model, run))
    assert commands["Classify a text"] == "ulmfit predict '/my models/x' --text 'A text to classify.'"
    assert list(commands) == ["Classify a text", "From Python"]
