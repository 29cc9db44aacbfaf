"""Results of an experiment: its record with decision, criteria and claims."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from harness.data.dataset import DatasetFacts
from harness.evaluation.equivalence import Answer, PairComparison
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.results import (
    BIAS_BASELINE,
    Costs,
    DepthDifference,
    Difference,
    Factor,
    FloorTuning,
    Judging,
    ModelResult,
    Role,
)
from harness.evaluation.splits import SplitFacts
from harness.experiment.front import Front
from harness.experiment.spec import WINNER, Claim, Criterion, ExperimentSpec
from harness.search.records import Environment, StudyRecord

__all__ = [
    "CheckedCriterion",
    "ClaimVerdict",
    "Contradiction",
    "Decision",
    "ExperimentRecord",
    "JudgedClaim",
    "LoggedCandidate",
    "LoggedRuns",
    "OpeningsByNow",
    "RepeatedSplits",
    "Round",
    "SplitResult",
]


@dataclass(frozen=True, kw_only=True)
class LoggedCandidate:
    """The MLflow runs that hold the numbers of a candidate; None where not logged."""

    trial: int
    trial_run: str | None = None
    final_run: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoggedRuns:
    """The MLflow runs that hold the numbers of an experiment, as they were logged last."""

    experiment: str | None = None
    candidates: Mapping[str, LoggedCandidate] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OpeningsByNow:
    """How often test ratings of a split have been opened, and when last (UTC)."""

    number: int
    last: datetime | None = None


ClaimVerdict = Literal[
    "reproduced", "not reproduced", "contradicts another", "not testable"
]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One criterion applied to the candidates that were still in question.

    Parameters
    ----------
    criterion : str
        Name of a measure.
    values : mapping of str to float or None
        Value of each candidate in question.
    left : tuple of str
        Those not beaten on it by more than the margin.
    unsure : tuple of str
        Those that might as well have stayed, or dropped out, within the range that
        several processes have measured: the criterion's own spread could flip it.
    """

    criterion: str
    values: Mapping[str, float | None]
    left: tuple[str, ...]
    unsure: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which candidate to use, and why.

    Parameters
    ----------
    winner : str
        The candidate that the rule chooses.
    best : str
        The candidate whose tuned settings have the best objective on the test set.
    close : tuple of str
        The others not shown to be worse than the best by more than the margin, best
        first.
    answers : mapping of str to str
        What each other candidate is, compared with the best: "equivalent" within the
        margin, "undecided", or "worse" by more than the margin.
    decided_by : str or None
        The criterion that left one candidate, ``"rmse"`` if none of them did; None if no
        other is close to the best, so that nothing had to be decided.
    values : mapping of str to float or None
        Values on `decided_by`, of the candidates that were still in question; empty if
        nothing had to be decided.
    beats_bias : bool
        Whether the winner is significantly better than the bias baseline.
    floor : str
        Name of the baseline with the better objective.
    beats_floor : bool
        Whether the winner is significantly better than every baseline. If not, none of
        the families is worth its cost yet.
    rounds : tuple of Round
        The criteria that were applied, in order.
    """

    winner: str
    best: str
    close: tuple[str, ...]
    answers: Mapping[str, Answer]
    decided_by: str | None
    values: Mapping[str, float | None]
    beats_bias: bool
    floor: str
    beats_floor: bool
    rounds: tuple[Round, ...] = ()

    @property
    def contenders(self) -> tuple[str, ...]:
        """The best and those not shown to be worse, best first."""
        return (self.best, *self.close)


@dataclass(frozen=True, kw_only=True)
class CheckedCriterion:
    """A criterion, and whether it holds.

    Parameters
    ----------
    criterion : Criterion
        As in the file.
    candidate : str
        The candidate it is about, the winner resolved; ``"winner"`` if there is none.
    measured : float or None
        Value of the tuned settings; None if it was not measured.
    passed : bool
        Whether all bounds hold. What was not measured has not passed.
    sentence : str
        Value and bound, and by how much it failed; or why it was not measured.
    doubt : str, default ""
        Why a criterion that holds for the value measured may not hold in truth; also
        part of the sentence.
    """

    criterion: Criterion
    candidate: str
    measured: float | None
    passed: bool
    sentence: str
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """Published figures that say something together that none of them says alone.

    Parameters
    ----------
    kind : {"contradiction", "remark"}
        Whether they cannot be true together, or are, but odd.
    figures : tuple of str
        Names of the figures.
    claims : tuple of Claim
        The figures, in the same order.
    sentence : str
        What follows, with numbers.
    numbers : mapping of str to float
        What went in and what was worked out.
    """

    kind: Literal["contradiction", "remark"]
    figures: tuple[str, ...]
    claims: tuple[Claim, ...]
    sentence: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A published figure, and what became of it.

    Parameters
    ----------
    claim : Claim
        The figure.
    name : str
        Its name, see `figure_name`.
    measured : float or str or None
        What was measured; None if nothing was.
    low, high : float or None
        Ends of its confidence interval, of costs of their range; None where there is none.
    verdict : {"reproduced", "not reproduced", "contradicts another", "not testable"}
        Reproduced: within the tolerance of the claim, whatever else was published.
        Contradicts another: not reproduced, and together with other published figures it
        cannot be true. Not testable: there is no figure, or nothing was measured.
    why : str
        One sentence with numbers.
    """

    claim: Claim
    name: str
    measured: float | str | None
    low: float | None
    high: float | None
    verdict: ClaimVerdict
    why: str


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """What one of several splits of the same ratings has found.

    Parameters
    ----------
    number : int
        1 is the experiment itself; the others are experiments of their own.
    experiment : str
        Name of that experiment.
    seed : int
        Of its split, folds, samplers and models.
    budget : str
        What each family got, in words.
    winner : str
        The candidate that the rule chooses there.
    scores : mapping of str to float
        Candidate, or name of a baseline, to its objective on the test set.
    """

    number: int
    experiment: str
    seed: int
    budget: str
    winner: str
    scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RepeatedSplits:
    """What several splits of the same ratings have found, searched and judged alike.

    Parameters
    ----------
    n_asked : int
        How many there are to be.
    splits : tuple of SplitResult
        Those that are judged.
    pairs : tuple of PairComparison
        Of the tuned models and the bias baseline; none with fewer than two splits.
    """

    n_asked: int
    splits: tuple[SplitResult, ...]
    pairs: tuple[PairComparison, ...]

    @property
    def chosen(self) -> dict[str, int]:
        """Candidate to the number of splits in which the rule chooses it, most first."""
        counts = Counter(split.winner for split in self.splits)
        return dict(counts.most_common())


@dataclass(frozen=True, kw_only=True)
class BlendGain:
    """What a blend gains over the best single family.

    Parameters
    ----------
    candidate : str
        The blend.
    single : str
        The candidate that is best on the test set and no blend.
    weights : mapping of str to float
        Member to its weight; 0 where it was left out.
    difference : Difference
        Of the blend and the single one: negative where the blend is better.
    """

    candidate: str
    single: str
    weights: Mapping[str, float]
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """One experiment, as the storage has it. A study is an experiment with one family.

    A *candidate* is one entry under ``[families]`` of the experiment file: a family with
    a search space. A *model* is one set of settings that was scored on the test set.

    Parameters
    ----------
    name : str
        Name of the experiment.
    spec : ExperimentSpec
        What the file says, defaults filled in.
    storage : str
        Where its studies are kept, without a password.
    dataset, split : DatasetFacts, SplitFacts
        What is kept of the data, and of how it was split.
    code_version : str
        Version of harness that has created it.
    started : datetime
        When it was created, in UTC.
    file : str or None
        The experiment file, as the user named it; None for a study.
    jobs : int or None
        Number of worker processes.
    environment : Environment
        What it was begun on.
    studies : mapping of str to StudyRecord
        Candidate to its study, in the order of the file; those that were started.
    profile : mapping
        What the published study prints about its data, measured on all ratings
        (`harness.data.profile.DataProfile.characteristics`); a value is None where the
        source does not tell.
    fresh_folds : mapping of str to float or None
        Candidate to the objective of its best settings on folds the search has not seen;
        None where folds follow each other in time.
    seed_gaps : mapping of str to float or None
        Candidate to what another seed changed on the fresh fold, where there is only one
        because it is large.
    costs : mapping of str to Costs
        Candidate, or `BIAS_BASELINE`, to what its tuned model costs.
    not_measured : mapping of str to str
        The same to why its costs could not be measured, where they could not.
    floor : FloorTuning or None
        How far the bias floor was tuned.
    factors : mapping of str to tuple of Factor
        Candidate (of a family with latent factors) to its strongest factors.
    runs : LoggedRuns
        Where MLflow has the numbers.
    judging : Judging or None
        What the test set says; None before it was opened.
    declared : mapping or None
        Rule, criteria, claims and families as the file had them before the first opening.
    openings : OpeningsByNow or None
        Openings of the same test ratings by now, by all experiments of the storage.
    decision : Decision or None
        Which candidate to use, and why; None before the test set was opened.
    other_splits : tuple of SplitResult
        Further splits that were judged, by the budget and families they had.
    repeated : RepeatedSplits or None
        All splits together; None where one was asked for, or this one is not judged.
    criteria : tuple of CheckedCriterion
        The acceptance criteria of the file, checked.
    claims : tuple of JudgedClaim
        The published figures of the file, judged.
    contradictions : tuple of Contradiction
        Published figures that say something together that none says alone.
    changed_since_opened : tuple of str
        What the file says otherwise than before the first opening: "decision rule".
    blends : tuple of BlendGain
        What each blend gains over the best single family.
    fronts : mapping of str to Front
        Candidate to its Pareto front, where there are several objectives.
    """

    name: str
    spec: ExperimentSpec
    storage: str
    dataset: DatasetFacts
    split: SplitFacts
    code_version: str
    started: datetime
    file: str | None = None
    jobs: int | None = None
    environment: Environment = field(default_factory=Environment)
    studies: Mapping[str, StudyRecord] = field(default_factory=dict)
    profile: Mapping[str, float | str | None] = field(default_factory=dict)
    fresh_folds: Mapping[str, float | None] = field(default_factory=dict)
    seed_gaps: Mapping[str, float | None] = field(default_factory=dict)
    costs: Mapping[str, Costs] = field(default_factory=dict)
    not_measured: Mapping[str, str] = field(default_factory=dict)
    floor: FloorTuning | None = None
    factors: Mapping[str, tuple[Factor, ...]] = field(default_factory=dict)
    runs: LoggedRuns = LoggedRuns()
    judging: Judging | None = None
    declared: Mapping[str, object] | None = None
    openings: OpeningsByNow | None = None
    decision: Decision | None = None
    other_splits: tuple[SplitResult, ...] = ()
    repeated: RepeatedSplits | None = None
    criteria: tuple[CheckedCriterion, ...] = ()
    claims: tuple[JudgedClaim, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    changed_since_opened: tuple[str, ...] = ()
    blends: tuple[BlendGain, ...] = ()
    fronts: Mapping[str, Front] = field(default_factory=dict)

    @property
    def is_study(self) -> bool:
        """Whether it compares no families: its words are then about one."""
        return len(self.spec.families) == 1

    @property
    def models(self) -> tuple[ModelResult, ...]:
        """The models that were scored on the test set; none before it was opened.

        Those of candidates that are no longer in the file are left out.
        """
        known = {None, *self.spec.families}
        judged = () if self.judging is None else self.judging.models
        return tuple(model for model in judged if model.candidate in known)

    def model(self, candidate: str, role: Role = "tuned") -> ModelResult | None:
        """Find the model of a candidate; None before the test set was opened."""
        if self.judging is None or candidate not in self.spec.families:
            return None
        return self.judging.model(candidate, role)

    @property
    def metric(self) -> Metric:
        """What the searches improved, the first of several; they all improve the same."""
        return self.objectives[0]

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All that the searches improved."""
        return next((s.objectives for s in self.studies.values()), (OBJECTIVE,))

    def score(self, candidate: str, role: Role = "tuned") -> float | None:
        """Look up the objective of a candidate on the test set."""
        model = self.model(candidate, role)
        return None if model is None else model.value(self.metric.name)

    def loss_of(self, model: ModelResult) -> float:
        """Look up the objective of a model, turned so that less is better."""
        value = model.value(self.metric.name)
        return math.inf if value is None else self.metric.sign * value

    def baseline(self, name: str = BIAS_BASELINE) -> ModelResult | None:
        """Find a baseline by its name; None before the test set was opened."""
        return None if self.judging is None else self.judging.baseline(name)

    def difference(self, one: str, other: str) -> Difference | None:
        """Find how two models differ, turned so that `one` comes first."""
        return None if self.judging is None else self.judging.difference(one, other)

    def depth_difference(
        self, one: str, other: str, *, side: str, depth: str
    ) -> DepthDifference | None:
        """Find how two models differ on pairs of which little is known."""
        if self.judging is None:
            return None
        return self.judging.depth_difference(one, other, side=side, depth=depth)

    def only(self, candidate: str) -> "ExperimentRecord":
        """Take the part of it that is about one candidate: its study, judged."""
        families = {candidate: self.spec.families[candidate]}
        about = [c for c in self.spec.criteria if c.candidate in {candidate, WINNER}]
        spec = self.spec.model_copy(
            update={
                "title": f"{self.spec.title}: {self.spec.label(candidate)}",
                "families": families,
                "variants": tuple(
                    v for v in self.spec.variants if v.candidate == candidate
                ),
                "criteria": tuple(about),
                "claims": tuple(
                    c for c in self.spec.claims if c.candidate in {None, candidate}
                ),
            }
        )
        studies = {c: s for c, s in self.studies.items() if c == candidate}
        name = studies[candidate].name if studies else f"{self.name}-{candidate}"
        return replace(
            self,
            name=name,
            spec=spec,
            studies=studies,
            claims=tuple(c for c in self.claims if c.claim in spec.claims),
            other_splits=(),
            repeated=None,
            contradictions=(),
            blends=(),
            fronts={c: front for c, front in self.fronts.items() if c == candidate},
            criteria=tuple(c for c in self.criteria if c.criterion in spec.criteria),
        )
