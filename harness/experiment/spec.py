"""What an experiment file says: data, split, families, budget, claims, rule."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from harness.data.options import ReadOptions, with_read_options
from harness.data.wording import counted
from harness.evaluation.measures import MEASURES
from harness.evaluation.metrics import Metric
from harness.evaluation.requirements import (
    Requirement,
    find_objectives,
    find_requirements,
    requirement_of_criterion,
)
from harness.evaluation.splits import DRAWN
from harness.models.baseline.model import Baseline
from harness.models.blend import Blend
from harness.search.distributions import Distribution, Value
from harness.search.fidelity import AUTO, FULL
from harness.search.records import WINDOW
from harness.toml import Part

__all__ = [
    "WINNER",
    "Claim",
    "Criterion",
    "ExperimentSpec",
    "FamilySpec",
    "Variant",
]


WINNER = "winner"
"""Stands in criteria for the candidate that the decision chooses."""

MOST_TRIALS = 100_000
"""Where only the seconds count: more than anybody will wait for."""
MOST_BLEND_TRIALS = 100
"""Of a blend: its trials take moments, and its space is small."""


class BudgetSpec(Part):
    """What every family gets.

    Parameters
    ----------
    trials : int, optional
        Complete or pruned trials; without limit if only `seconds` are given, else 100.
    seconds : float, optional
        No trial of a family starts later than this, earlier sessions included.
    patience : int, optional
        A search ends when so many trials in a row have improved its best by no more than
        the margin.
    """

    trials: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None

    @property
    def n_trials(self) -> int:
        """Trials at which a search ends, if the seconds do not end it before."""
        if self.trials is not None:
            return self.trials
        return 100 if self.seconds is None else MOST_TRIALS

    def describe(self, *, at_least: int = 0) -> str:
        """Say it in words."""
        limits = []
        if self.n_trials < MOST_TRIALS:
            limits.append(counted(max(self.n_trials, at_least), "trial"))
        if self.seconds is not None:
            limits.append(f"{self.seconds:g} s")
        patience = "" if self.patience is None else f" (patience {self.patience})"
        return " or ".join(limits) + patience


class DecisionSpec(Part):
    """How one family is chosen.

    Parameters
    ----------
    prefer : tuple of str
        Criteria that decide among the families not shown to be worse than the best on the
        test set, the first one first: any measure with a direction.
    margin : float, optional
        Smallest difference in the objective that matters, in its unit; else 0.125 % of
        the scale's width for errors, which is 0.005 on 1 to 5, and what the measure calls
        negligible for others.
    noticeable : float, default 0.05
        By what share a family must be better on a criterion to win on it; within it the
        next criterion decides.
    negligible : mapping, optional
        By criterion: differences up to this decide nothing either; else what its measure calls negligible.
    significance : float, default 0.05
        Chance of any false answer in a question; intervals of differences are adjusted to
        it.
    """

    prefer: Annotated[tuple[str, ...], Field(strict=False)] = (
        "latency_p95_ms",
        "fit_seconds",
    )
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    noticeable: Annotated[float, Field(ge=0)] = 0.05
    negligible: Mapping[str, Annotated[float, Field(ge=0)]] = {}
    significance: Annotated[float, Field(gt=0, lt=1)] = 0.05

    def is_noticeable(self, criterion: str, *, better: float, worse: float) -> bool:
        """Say whether a difference is large enough to decide."""
        gap = abs(worse - better)
        least = self.negligible.get(criterion, MEASURES[criterion].negligible)
        return gap > self.noticeable * abs(worse) and gap > least


# TOML has nan, which nothing exceeds.
Bound = Annotated[float | None, Field(allow_inf_nan=False)]


@with_read_options()
class DataSpec(Part):
    """Which ratings, and how to read them: the options of `ReadOptions` are keys, too.

    Parameters
    ----------
    source : str
        As ``--data`` of `harness study`: ``ott``, a folder or a file.
    """

    source: str = "ott"

    def read_options(self) -> ReadOptions:
        """Collect how to read them."""
        return ReadOptions.of(self.model_dump(exclude={"source"}))


class SplitSpec(Part):
    """How the test set is split off.

    Parameters
    ----------
    method : str, default "random"
        As ``--split`` of `harness study`; not ``none``, for there would be no verdict.
    test_share : float, default 0.2
        Share of the ratings, items or users.
    repeats : int, default 1
        On how many splits of the same ratings all is done: searches and judging.
    """

    method: str = "random"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    repeats: Annotated[int, Field(ge=1, le=100)] = 1

    @model_validator(mode="after")
    def _can_be_repeated(self) -> Self:
        if self.repeats > 1 and self.method not in DRAWN:
            raise ValueError(
                f"the split {self.method!r} comes out the same each time, so it cannot be "
                f"repeated: leave repeats out, or choose one of {', '.join(DRAWN)}"
            )
        return self


def _with_commas(metric: object) -> object:
    """Write a list of objectives as the command line has them."""
    if not isinstance(metric, list | tuple):
        return metric
    # A list that names nothing is refused as an empty text is.
    return ",".join(metric) if all(isinstance(m, str) for m in metric) else metric


class SearchSpec(Part):
    """How every family is searched.

    Parameters
    ----------
    folds : int, default 5
        Number of folds, the same for all.
    sampler, pruner : str
        Their names.
    window : int, default 8
        Trials under way at a time. More keep more workers busy, and show the sampler less.
    metric : str or list of str, default "rmse"
        What the searches improve: a measure of a fold, or ``my_metrics.py:name``. Up to three,
        as a list or with commas, make a Pareto front: the first is judged on the test set;
        the others may be ``latency_p95_ms``, ``model_bytes`` and the like, too.
    fidelity : str or int, default "auto"
        Whether trials are raced on samples of the users first: ``auto`` above two million
        training ratings, ``full`` never, a number above so many. One fold of 100,000
        ratings or more replaces all, unless ``full`` is asked for.
    require : tuple of str, optional
        What a trial must meet to be the best, such as ``"latency_p95_ms <= 8"``; else the
        criteria that a trial can be measured by, relaxed by a quarter.
    """

    folds: Annotated[int, Field(ge=2)] = 5
    sampler: str = "tpe"
    pruner: str = "race"
    window: Annotated[int, Field(ge=1)] = WINDOW
    metric: Annotated[str, BeforeValidator(_with_commas)] = "rmse"
    require: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    fidelity: str | int = AUTO

    @field_validator("fidelity")
    @classmethod
    def _is_known(cls, fidelity: str | int) -> str | int:
        # The command line has numbers as text.
        text = str(fidelity)
        if text.isdecimal() and int(text) > 0:
            return int(text)
        if text not in {AUTO, FULL}:
            raise ValueError(
                "fidelity must be auto, full or a number of training ratings, but is "
                f"{fidelity!r}"
            )
        return text

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """What the searches improve; the first is what models are judged by."""
        return find_objectives(self.metric)

    def note_on_workers(self, n_workers: int, n_folds: int) -> str | None:
        """Say that some workers will idle, and what window would occupy them.

        So many folds of a trial may be under way at a time.
        """
        n_tasks = self.window * n_folds
        if n_workers <= n_tasks:
            return None
        # Folds ahead of the verdict are often in vain: 64 workers were 12.2 times as fast as
        # one with a window of 24, and 7.7 times with one of 8 (docs/search.md).
        enough = max(-(-n_workers // n_folds), min(24, -(-3 * n_workers // 8)))
        return (
            f"{n_workers - n_tasks} of {n_workers} workers will idle: a window of "
            f"{self.window} trials with {counted(n_folds, 'fold')} each at a time is "
            f"{n_tasks} tasks at most. A new study with --window {enough} keeps them "
            "busy, and shows the sampler less."
        )


class FamilySpec(Part):
    """One candidate.

    Parameters
    ----------
    family : str, optional
        Name of the family; else the key of the entry.
    label : str, optional
        Name for people; else the key of the entry.
    space : str, optional
        Study file: a path or a name; else that of the family.
    parameters : mapping
        Distributions that replace those of the study file.
    initial : mapping
        Settings of trial 0; those not named are the study file's.
    enqueue : tuple of mapping
        Settings of the trials after trial 0; a sampler chooses what they do not name.
    warm_start : str, optional
        A study of the same family in the same storage, whose five best settings are
        tried next.
    note : str, optional
        What the initial settings stand for, for the report.
    trials : int, optional
        At most so many trials, for a family that takes long; else those of the budget.
    members : tuple of str, optional
        Of a blend: keys of the entries that it is made of; else all but baselines and
        other blends.
    """

    OTHER_KEYS: ClassVar[str] = (
        "Hyperparameters belong below [families.NAME.parameters], or below "
        "[families.NAME.initial] for trial 0."
    )

    family: str | None = None
    label: str | None = None
    space: str | None = None
    parameters: Mapping[str, Distribution] = {}
    initial: Mapping[str, Value] = {}
    enqueue: Annotated[tuple[Mapping[str, Value], ...], Field(strict=False)] = ()
    warm_start: str | None = None
    note: str | None = None
    trials: Annotated[int, Field(ge=1)] | None = None
    members: Annotated[tuple[str, ...], Field(strict=False)] | None = None


class Variant(Part):
    """The initial settings of a candidate with something changed: shows what it is worth.

    Parameters
    ----------
    name : str
        Name in the report.
    candidate : str
        Key of the entry whose initial settings are changed.
    params : mapping
        What is changed.
    shows : str
        What the difference to the initial settings is about: "the handling of biases".
    """

    name: str
    candidate: str
    params: Mapping[str, Value]
    shows: str


class Criterion(Part):
    """Something that must hold, for `harness run --check` and promotions.

    Parameters
    ----------
    metric : str
        A metric of the test set (``rmse``), of efficiency (``latency_p95_ms``), of
        ranking, or ``gain_over_bias`` (stars by which the RMSE is below the bias
        baseline's).
    candidate : str, default "winner"
        Key of an entry, or the family that the decision has chosen.
    at_most, at_least : float, optional
        Bounds; at least one.
    """

    metric: str
    candidate: str = WINNER
    at_most: Bound = None
    at_least: Bound = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("a criterion needs at_most or at_least")
        return self


class Claim(Part):
    """A published figure to be judged.

    Parameters
    ----------
    metric : str
        What it is a figure of: a metric of the test set (``rmse``); of efficiency
        (``fit_seconds``, ``latency_p95_ms``); ``param.n_factors`` (a setting);
        ``block.genre`` (share of the weights of the content blocks);
        ``data.sparsity`` (see `ExperimentRecord.profile`).
    value : float or str
        The published figure.
    quotation : str
        The words of the publication.
    candidate : str, optional
        Key of the entry it is about; none for figures of the data.
    role : {"initial", "tuned"}, default "initial"
        Which settings it is compared with.
    tolerance : float, default 0.02
        It is reproduced if measured and published differ by at most this; times the
        published value if `relative`.
    relative : bool, default False
        See `tolerance`.
    at_most : bool, default False
        The figure is an upper bound ("under 3 minutes"): less than it is as published.
    label : str, optional
        Name for the table.
    """

    metric: str
    value: float | str
    quotation: str
    candidate: str | None = None
    role: Literal["initial", "tuned"] = "initial"
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02
    relative: bool = False
    at_most: bool = False
    label: str | None = None


_OF_THE_COMMAND = "It is an option of the command line: --{}."
_SAID_OTHERWISE = MappingProxyType(
    {
        # Values where a table is expected.
        "data": "data.source",
        "split": "split.method",
        "budget": "budget.trials",
        # The words of Optuna, scikit-learn, MLflow, and of our own options.
        "name": "title",
        "description": "about",
        "random_state": "seed",
        "n_trials": "budget.trials",
        "timeout": "budget.seconds",
        "objective": "search.metric",
        "optimize": "search.metric",
        "measure": "search.metric",
        "constraints": "search.require",
        "cv": "search.folds",
        "n_folds": "search.folds",
        "n_splits": "search.folds",
        "test_size": "split.test_share",
        "path": "data.source",
        "file": "data.source",
        "dataset": "data.source",
        "ratings": "data.source",
        "models": "Write a header for each family, such as [families.svd].",
        "family": "Write a header for each family, such as [families.svd].",
        "n_seeds": "final_seeds",
        "seeds": "final_seeds",
        "alpha": "decision.significance",
        **{
            key: _OF_THE_COMMAND.format(option)
            for key, option in {
                "jobs": "jobs",
                "n_jobs": "jobs",
                "executor": "executor",
                "storage": "storage",
                "tracking_uri": "tracking-uri",
                "experiment": "experiment",
                "reports": "reports",
            }.items()
        },
    }
)


class ExperimentSpec(Part):
    """An experiment file.

    Parameters
    ----------
    title : str
        Heading of the report.
    about : str, optional
        A paragraph for the report: what the experiment is for.
    publication : str, optional
        Name of the publication whose claims are judged.
    seed : int, default 0
        Seed of split, folds, samplers and models.
    final_seeds : int, default 3
        Number of seeds of the final refits.
    cost_processes : int, optional
        How many fresh processes measure what each model costs; else 5, or what
        ``HARNESS_COST_PROCESSES`` says. One where it takes more than 20 s.
    data, split, search, budget : see the classes
        The same for all families.
    families : mapping
        Key to candidate, at least one.
    variants : tuple of Variant
        Further settings scored on the test set.
    decision : DecisionSpec
        The rule.
    criteria : tuple of Criterion
        What must hold.
    claims : tuple of Claim
        What was published.
    """

    HABITS: ClassVar[Mapping[str, str]] = _SAID_OTHERWISE

    title: str
    about: str | None = None
    publication: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    final_seeds: Annotated[int, Field(ge=1, le=20)] = 3
    cost_processes: Annotated[int, Field(ge=1, le=100)] | None = None
    data: DataSpec = DataSpec()
    split: SplitSpec = SplitSpec()
    search: SearchSpec = SearchSpec()
    budget: BudgetSpec = BudgetSpec()
    families: Annotated[Mapping[str, FamilySpec], Field(min_length=1)]
    variants: Annotated[tuple[Variant, ...], Field(strict=False)] = ()
    decision: DecisionSpec = DecisionSpec()
    criteria: Annotated[tuple[Criterion, ...], Field(strict=False)] = ()
    claims: Annotated[tuple[Claim, ...], Field(strict=False)] = ()

    @field_validator("families")
    @classmethod
    def _names_are_plain(
        cls, families: Mapping[str, FamilySpec]
    ) -> Mapping[str, FamilySpec]:
        # Studies, runs and attributes of the storage have these names in theirs.
        for name in families:
            if not re.fullmatch(r"\w[\w-]{0,40}", name):
                raise ValueError(
                    "names must be of at most 41 letters, digits, _ and -, but one is "
                    f"{name!r}"
                )
        return families

    def label(self, candidate: str) -> str:
        """Name a candidate for people."""
        return self.families[candidate].label or candidate

    def n_trials(self, candidate: str) -> int:
        """Trials at which the search of a candidate ends."""
        own, of_all = self.families[candidate].trials, self.budget.n_trials
        if own is None and self.is_blend(candidate):
            own = MOST_BLEND_TRIALS
        return of_all if own is None else min(own, of_all)

    def is_blend(self, candidate: str) -> bool:
        """Say whether a candidate is made of others."""
        return self._family(candidate) == Blend.name

    def _family(self, candidate: str) -> str:
        return self.families[candidate].family or candidate

    def members(self, candidate: str) -> tuple[str, ...]:
        """Name the candidates that a blend is made of."""
        named = self.families[candidate].members
        if named is not None:
            return named
        left_out = {Blend.name, Baseline.name}
        return tuple(c for c in self.families if self._family(c) not in left_out)

    def requirements(self, candidate: str) -> tuple[Requirement, ...]:
        """Say what trials of a candidate must meet: as asked for, or by the criteria."""
        if self.search.require is not None:
            return find_requirements(self.search.require)
        found: dict[str, Requirement] = {}
        searched = {metric.name for metric in self.search.objectives}
        for criterion in self.criteria:
            if criterion.candidate not in {WINNER, candidate}:
                continue
            new = requirement_of_criterion(
                criterion.metric,
                at_most=criterion.at_most,
                at_least=criterion.at_least,
            )
            # What is searched for anyway needs no steering, and no veto.
            if new is None or criterion.metric in searched:
                continue
            old = found.setdefault(criterion.metric, new)
            if new.metric.sign * (new.bound - old.bound) < 0:
                found[criterion.metric] = new
        return tuple(found.values())

    def own_budgets(self) -> dict[str, int]:
        """Find the candidates that get fewer trials than the others, and how many."""
        trials = {candidate: self.n_trials(candidate) for candidate in self.families}
        return {c: n for c, n in trials.items() if n < self.budget.n_trials}

    def as_json(self) -> dict[str, object]:
        """Convert to plain data, for a storage."""
        return self.model_dump(mode="json", exclude_defaults=True)
