"""What was decided about the versions of a model: records that are never changed."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, TypeAdapter

from ulmfit.decisions.cycle import Cycle
from ulmfit.errors import UserError
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.verdict import Outcome, Verdict
from ulmfit.store.journal import new_id, now
from ulmfit.store.json import Facts, SparseFacts

What = Literal["nothing to do", "held", "retrain", "first version", "compared", "promoted", "rolled back", "forgotten"]
MOVES = frozenset[What](["first version", "promoted", "rolled back"])  # decisions that make a version champion
RESTS = frozenset[What](["nothing to do", "held"])  # of a retraining that does not train
OUTCOMES: dict[Outcome, str] = {"promoted": "fit to be champion", "held": "held", "blocked": "blocked"}
LONGEST_REASON = 1000  # letters


class Author(SparseFacts):
    """Who decided: a person with a reason, a training, or a retraining on schedule. ``name``: of the account; ``run_id``: of the tracked run."""

    kind: Literal["person", "training", "schedule"]
    name: str | None = None
    because: str | None = None
    run_id: str | None = None


class Forgetting(SparseFacts):
    """What the entry ``ledger`` of the model's ledger, which asks for documents to be forgotten, means for its versions.

    ``had_read``: versions that were trained, chosen or judged on such a document; ``unknown``: versions whose text is no longer here, so that
    nobody can tell.
    """

    ledger: str
    had_read: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def why(self) -> str:
        """The versions in a sentence."""
        listed = lambda versions: f"version{'s' * (len(versions) > 1)} {', '.join(versions)}"
        had = f"{listed(self.had_read)} had read it" if self.had_read else "no version had read it"
        return f"{had}; of {listed(self.unknown)} the text is no longer here to tell" if self.unknown else had


class Decision(SparseFacts):
    """One decision. ``version`` is the one it is about; ``champion`` the one that was champion then, with which it was compared.

    ``corpora`` and ``evaluations`` are keys of the artifacts that the figures come from. ``verdict``: of the gate, by ``policy``.
    ``left_out``: held-out rows that were not compared, for the champion was trained on them. ``cycle``: what a retraining saw before it trained,
    or did not; what it decides later names that decision in ``retraining``. ``forgetting``: of documents; ``corpora`` are then those that held
    one.
    """

    entry: Literal["decision"] = "decision"
    id: str
    time: AwareDatetime
    model: str
    what: What
    version: str | None = None
    champion: str | None = None
    by: Author
    corpora: tuple[str, ...] = ()
    evaluations: tuple[str, ...] = ()
    policy: GatePolicy | None = None
    verdict: Verdict | None = None
    left_out: int | None = None
    cycle: Cycle | None = None
    retraining: str | None = None
    forgetting: Forgetting | None = None

    @classmethod
    def new(cls, model: str, what: What, by: Author, **facts: object) -> Self:
        """A decision of this moment; ``facts`` are the other fields."""
        time = now()
        return cls.model_validate({"id": new_id(time), "time": time, "model": model, "what": what, "by": by, **facts})

    @property
    def why(self) -> str:
        """The reason that a person gave, those of a retraining, those of the gate, and who had read what is forgotten, in one line."""
        cycle = " ".join(self.cycle.reasons) if self.cycle else None
        verdict = f"{OUTCOMES[self.verdict.outcome]}: {' '.join(self.verdict.reasons)}" if self.verdict else None
        forgotten = self.forgetting.why if self.forgetting else None
        return "; ".join(filter(None, (self.by.because, cycle, verdict, forgotten)))


class Followed(SparseFacts):
    """What followed from the decision of that id: it was carried out (``done``), or it was not, for the reason in ``note``.

    ``by``: who carried it out, where that was not who decided.
    """

    entry: Literal["followed"] = "followed"
    decision: str
    time: AwareDatetime
    done: bool
    note: str | None = None
    by: Author | None = None


class Looks(Facts):
    """How often a decision not to train was found to hold still, and when last."""

    decision: str
    times: int
    last: AwareDatetime


Entry = Decision | Followed
ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="entry")])


def reason(because: str) -> str:
    """A person's reason, in one line. UserError where it is empty, too long, or holds what cannot be shown."""
    text = " ".join(because.split())
    if not text:
        raise UserError("--because: say why, in a few words; the reason stands in the history for ever")
    if len(text) > LONGEST_REASON or not text.isprintable():
        raise UserError(f"--because: give printable text of at most {LONGEST_REASON:,} letters")
    return text
