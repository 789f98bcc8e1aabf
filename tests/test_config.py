"""Settings: the presets, and what `--set` may do to them."""

import pytest
from pydantic import ValidationError

from ulmfit.config import Dropouts, LMConfig, Settings
from ulmfit.errors import UserError
from ulmfit.presets import PRESETS, override, preset
from ulmfit.store.recipe import canonical_json


def test_presets_are_settings_and_differ():
    assert set(PRESETS) == {"tiny", "small", "base"}
    made = [preset(name) for name in PRESETS]
    assert all(isinstance(settings, Settings) for settings in made)
    assert len({canonical_json(settings) for settings in made}) == 3
    assert preset("tiny") == preset("tiny")


def test_base_has_the_values_of_the_paper():
    base = preset("base")
    assert (base.model.embedding, base.model.hidden, base.model.layers) == (400, 1152, 3)
    for stage, lr in ((base.finetune, 0.004), (base.classifier, 0.01)):
        assert (stage.lr, stage.batch_size, stage.bptt, stage.betas) == (lr, 64, 70, (0.7, 0.99))
        assert (stage.cut_frac, stage.ratio, stage.decay) == (0.1, 32.0, 2.6)
        assert stage.dropouts == Dropouts(output=0.4, hidden=0.3, input=0.4, embedding=0.05, weight=0.5)
    assert (base.classifier.hidden, base.classifier.unfreeze, base.classifier.epochs) == (50, "gradual", 50)
    assert base.finetune.epochs == 15
    assert (base.vocab.max_size, base.vocab.min_count) == (60_000, 3)
    assert (base.pretrain.alpha, base.pretrain.beta) == (2.0, 1.0)
    assert base.text.rules == "default"


def test_presets_are_not_to_be_changed_in_place():
    with pytest.raises(ValidationError):
        preset("base").model.hidden = 3  # type: ignore[misc]


def test_an_unknown_preset_is_named():
    with pytest.raises(UserError, match="no preset 'huge'; choose one of: tiny, small, base"):
        preset("huge")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("model.hidden=64", 64),
        ("finetune.lr=0.1", 0.1),
        ("finetune.lr=4e-3", 0.004),
        ("finetune.epochs=0.5", 0.5),
        ("finetune.unfreeze=gradual", "gradual"),
        ("scratch=true", True),
        ("text.rules=fastai", "fastai"),
        ("corpus.max_train=null", None),
        ("corpus.max_train=500", 500),
        ("classifier.dropouts.weight=0", 0.0),
        ("classifier.betas=[0.9, 0.99]", (0.9, 0.99)),
        (" model.hidden = 8", 8),
    ],
)
def test_override_reads_values_by_their_type(assignment, value):
    settings = override(preset("base"), [assignment])
    node = settings
    for name in assignment.partition("=")[0].strip().split("."):
        node = getattr(node, name)
    assert node == value and type(node) is type(value)


def test_override_changes_nothing_else_and_the_last_assignment_wins():
    base = preset("base")
    changed = override(base, ["model.hidden=8", "model.hidden=9"])
    assert changed == base.model_copy(update={"model": base.model.model_copy(update={"hidden": 9})})
    assert override(base, []) == base


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("model.hiden=64", r"no option 'model.hiden'; there are: embedding, hidden, layers"),
        ("modell.hidden=64", r"no option 'modell.hidden'; there are: .*classifier, corpus"),
        ("hidden=64", r"no option 'hidden'; there are: .*classifier, corpus"),
        ("model.hidden.size=64", r"no option 'model.hidden.size'"),
        ("model.hidden", r"--set model.hidden: write stage.option=value"),
        ("model.hidden=big", r"--set model.hidden: .*integer.*'big'"),
        ("model.hidden=0", r"--set model.hidden: .*greater than 0.*0"),
        ("model.hidden=1.5", r"--set model.hidden: .*integer"),
        ("model=3", r"--set model: "),
        ("classifier.unfreeze=all", r"--set classifier.unfreeze: .*'full', 'gradual', 'last' or 'chain-thaw'.*'all'"),
        ("finetune.dropouts.weight=1.0", r"--set finetune.dropouts.weight: .*less than 1"),
        ("finetune.lr=[1", r"--set finetune.lr=\[1: '\[1' is no YAML value"),
    ],
)
def test_override_names_what_is_wrong_in_one_line(assignment, says):
    with pytest.raises(UserError, match=says) as caught:
        override(preset("tiny"), [assignment])
    assert "\n" not in str(caught.value)


def test_a_misspelt_option_in_code_is_an_error_too():
    with pytest.raises(ValidationError):
        LMConfig(learning_rate=0.1)  # type: ignore[call-arg]


def test_dropouts_are_scaled_together():
    half = Dropouts().scaled(0.5)
    assert half == Dropouts(output=0.2, hidden=0.15, input=0.2, embedding=0.025, weight=0.25)
    with pytest.raises(ValueError, match="less than 1"):
        Dropouts().scaled(2)
