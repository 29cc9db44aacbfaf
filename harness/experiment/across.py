"""Experiments on several data sets, laid side by side: who ranks first, and how surely."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import StudyError
from harness.evaluation.data_sets import (
    FEWEST_DATA_SETS,
    DataSetComparison,
    DataSetScores,
    compare_data_sets,
)
from harness.evaluation.equivalence import Answer
from harness.evaluation.metrics import OBJECTIVE, Metric
from harness.evaluation.results import BIAS_BASELINE
from harness.experiment.results import ExperimentRecord
from harness.formatting import in_words, p_relation

__all__ = ["AcrossDataSets", "compare_experiments"]


@dataclass(frozen=True, kw_only=True)
class AcrossDataSets:
    """Families over several experiments, each on a data set of its own.

    Parameters
    ----------
    comparison : DataSetComparison
        Ranks, tests and counts of the families that all experiments have.
    left_out : tuple of str
        Families that some experiments have and others lack.
    simulated : tuple of str
        Experiments whose ratings were made by a program.
    unlike : mapping of str to mapping of str to str
        What was not done alike ("split", "budget"), by experiment.
    objective : Metric
        What all of them have searched for, and families are ranked by.
    """

    comparison: DataSetComparison
    left_out: tuple[str, ...]
    simulated: tuple[str, ...]
    unlike: Mapping[str, Mapping[str, str]]
    objective: Metric = OBJECTIVE

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the data sets say, a sentence each, the most important first."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        found = self.comparison
        leaders = found.leaders
        n_data_sets, rank = len(found.data_sets), found.models[0].rank
        have = (
            "has the best mean rank"
            if len(leaders) == 1
            else "share the best mean rank"
        )
        yield (
            f"Over {n_data_sets} data sets {in_words(leaders)} {have}, {rank:.2f} of "
            f"{len(found.models)}."
        )
        if found.is_description:
            yield (
                f"With fewer than {FEWEST_DATA_SETS} data sets this is description, not "
                "proof: it says nothing about other data sets."
            )
        else:
            yield self._tested()
        if len(leaders) == 1 and len(found.models) > 1:
            yield self._counted(leaders[0])
        if self.left_out:
            yield f"Left out, as not all experiments have them: {in_words(self.left_out)}."
        for what, values in self.unlike.items():
            told = "; ".join(f"{name}: {value}" for name, value in values.items())
            yield f"Not the same {what} in all: {told}."
        if self.simulated:
            yield f"Simulated ratings, not real ones: {in_words(self.simulated)}."

    def _tested(self) -> str:
        found = self.comparison
        p = f"p {p_relation(found.friedman.p_value)}"
        if not found.differ:
            return (
                f"That is no proof: these data sets do not show that the families differ "
                f"(Friedman, {p})."
            )
        leaders = in_words(found.leaders)
        apart: list[str] = []
        rest: list[str] = []
        for model in found.models[len(found.leaders) :]:
            told = all(found.tells_apart(name, model.name) for name in found.leaders)
            (apart if told else rest).append(model.name)
        reach = f"critical difference {found.critical_difference:.2f}"
        if not apart:
            return (
                f"The families do not all rank alike (Friedman, {p}), but none is shown "
                f"to rank below {leaders} (Nemenyi, {reach})."
            )
        below = (
            f"Shown to rank below: {in_words(apart)} (Friedman, {p}; Nemenyi, {reach})"
        )
        return f"{below}; not shown: {in_words(rest)}." if rest else f"{below}."

    def _counted(self, leader: str) -> str:
        found = self.comparison
        counts = [
            found.count(leader, model.name)
            for model in found.models
            if model.name != leader
        ]
        totals = {
            word: sum(getattr(each, word) for each in counts)
            for word in ("better", "equivalent", "undecided", "worse")
        }
        n_compared = sum(each.n_compared for each in counts)
        return (
            f"Within the data sets, by their margins, {leader} is better in "
            f"{totals['better']} of {n_compared} comparisons, equivalent in "
            f"{totals['equivalent']}, worse in {totals['worse']}; "
            f"{totals['undecided']} are undecided."
        )

    def __str__(self) -> str:
        """Say what the data sets say."""
        return "\n".join(self.sentences)


def compare_experiments(records: Sequence[ExperimentRecord]) -> AcrossDataSets:
    """Compare the families that experiments on several data sets have in common."""
    _check_data_sets(records)
    _check_objectives(records)
    families = [_families(record) for record in records]
    common = [
        candidate
        for candidate, family in families[0].items()
        if all(other.get(candidate) == family for other in families)
    ]
    if len(common) < 2:
        raise StudyError(
            "At least two families must be judged in all of the experiments, but "
            + "; ".join(
                f"{record.name} has {', '.join(each) or 'none'}"
                for record, each in zip(records, families, strict=True)
            )
            + "."
        )
    every = dict.fromkeys(candidate for each in families for candidate in each)
    return AcrossDataSets(
        comparison=compare_data_sets(
            [_scores(record, common) for record in records],
            higher_is_better=records[0].metric.direction == "maximize",
        ),
        left_out=tuple(candidate for candidate in every if candidate not in common),
        simulated=tuple(r.name for r in records if r.dataset.simulated),
        unlike=_unlike(records),
        objective=records[0].metric,
    )


def _check_data_sets(records: Sequence[ExperimentRecord]) -> None:
    if len(records) < 2:
        raise StudyError(
            "Name at least two experiments, each on a data set of its own."
        )
    seen: dict[str, str] = {}
    for record in records:
        if record.judging is None:
            raise StudyError(
                f"The test set of {record.name} is still sealed: `harness run` opens it "
                "at the end."
            )
        if record.baseline() is None:
            raise StudyError(
                f"{record.name} was not judged beside the {BIAS_BASELINE} baseline."
            )
        ratings = record.dataset.ratings_fingerprint or record.dataset.fingerprint
        if ratings in seen:
            raise StudyError(
                f"{seen[ratings]} and {record.name} have the same ratings, but each "
                "experiment needs a data set of its own: to compare families on one data "
                "set, name them in one experiment file and `harness run` it, with --repeats "
                "for several splits."
                if seen[ratings] != record.name
                else f"{record.name} is named twice: each experiment needs a data set of "
                "its own."
            )
        seen[ratings] = record.name


def _check_objectives(records: Sequence[ExperimentRecord]) -> None:
    if len({record.metric for record in records}) > 1:
        told = ", ".join(f"{r.name}: {r.metric.name}" for r in records)
        raise StudyError(
            f"Ranks need one objective, but the experiments have searched for several "
            f"({told}): compare those that have searched for the same."
        )


def _families(record: ExperimentRecord) -> dict[str, str]:
    """List the candidates that were judged, with the family that each one is of."""
    judged = ((c, record.model(c)) for c in record.spec.families)
    return {c: model.family for c, model in judged if model is not None}


def _scores(record: ExperimentRecord, common: Sequence[str]) -> DataSetScores:
    models = {c: model for c in common if (model := record.model(c)) is not None}
    floor, name = record.baseline(), record.metric.name
    assert floor is not None
    return DataSetScores(
        name=record.name,
        floor=floor.measures[name].value,
        scores={c: model.measures[name].value for c, model in models.items()},
        answers=dict(_answers(record, {m.name: c for c, m in models.items()})),
    )


def _answers(
    record: ExperimentRecord, candidates: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], Answer]]:
    judging = record.judging
    assert judging is not None
    for found in judging.differences:
        if found.one in candidates and found.other in candidates:
            yield (candidates[found.one], candidates[found.other]), found.answer


def _unlike(records: Iterable[ExperimentRecord]) -> dict[str, dict[str, str]]:
    told: dict[str, dict[str, str]] = {
        "split": {r.name: r.split.method for r in records},
        "budget": {r.name: r.spec.budget.describe() for r in records},
    }
    return {what: each for what, each in told.items() if len(set(each.values())) > 1}
