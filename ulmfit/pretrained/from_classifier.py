"""Language models to start from, out of a trained classifier: what its encoders have learnt goes on being used."""

from pathlib import Path

from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, load_classifier, save_model
from ulmfit.prediction.bundle import Bundle


def language_models_of(bundle: Path, folder: Path) -> dict[Direction, Path]:
    """Write a language model per direction into ``folder``: the classifier's encoder, and a decoder that shares its embedding.

    The decoder's bias, which a classifier does not have, starts at zero. UserError where ``bundle`` holds no whole model.
    """
    read, found = Bundle.read(bundle), {direction: folder / direction for direction in DIRECTIONS}
    for direction, target in found.items():
        encoder = load_classifier(bundle / direction).encoder
        lm = LanguageModel(len(read.vocab), encoder.config, encoder.dropouts)
        lm.encoder.load_state_dict(encoder.state_dict())
        target.mkdir(parents=True)
        save_model(target, lm, ModelFacts(direction=direction))
        read.vocab.save(target / "vocab.json")
    return found
