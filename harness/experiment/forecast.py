"""What an experiment will take: time and memory, added up from a probe of each family."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.data.ratings import Ratings
from harness.data.wording import counted
from harness.errors import StudyError
from harness.evaluation.costs import LONG_SECONDS, n_cost_processes
from harness.evaluation.worker_process import available_bytes, n_cores
from harness.experiment.probe import FamilyCosts, ProbeFailedError, try_family
from harness.experiment.run import PreparedExperiment
from harness.formatting import duration, size
from harness.search.folds import n_parts_kept
from harness.search.storage import read_studies
from harness.search.study import StudyPlan

__all__ = [
    "FamilyForecast",
    "Forecast",
    "forecast_experiment",
    "forecast_where_large",
]

LARGE = 500_000
"""Training ratings from which on nothing starts without a forecast.

Below, a search of shipped families fits any machine, and the probe would take longer than
many a search.
"""
N_COMPLETE = 3
SHARE_COMPLETE = 1 / 12
"""Trials that go through all folds: the first ones, and of the others a share.

Most others end after one fold. Of svd, 8 trials on 5 million ratings trained 20 of 40
folds, and 100 on `ott` 145 of 500; this makes 23 and 145 of it.
"""
SHARE_CLIMBING = 0.45
"""Trials that go on from a sample: more than a quarter, for later trials are better.

Of svd, 40 trials on 1 million ratings, three seeds: 13 to 16 went on from the first sample,
7 to 10 from the second.
"""
MARGIN = 1.25
"""Of the most that a search takes: lines through samples are off, and other work slows it.

One trial of slope_one on a million ratings took 0.8 to 1.2 times what was forecast.
"""
SCORING_SECONDS = 4e-6
"""Seconds for each training rating until the baselines are tuned and all is scored.

With 16 million of them, 4 million test ratings and lists of 20,000 users: 58.
"""
ROOM = 0.95
"""Share of the memory that is free which may be planned for."""


@dataclass(frozen=True, kw_only=True)
class FamilyForecast:
    """What one family will take.

    Parameters
    ----------
    family : str
        Key of the family in the experiment.
    n_trials : int
        Trials still to be done.
    search_seconds : float
        Of their search, if the race drops as many as usual.
    most_seconds : float
        Of their search, if it drops none and all train as long as they may, and a quarter more.
    judging_seconds : float
        Of fresh folds, refits and costs.
    worker_bytes : float
        Memory of one worker on top of the data, which all share.
    model_bytes : float
        Memory of one fitted model.
    """

    family: str
    n_trials: int
    search_seconds: float
    most_seconds: float
    judging_seconds: float
    worker_bytes: float
    model_bytes: float


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What an experiment will take, on top of the data that are loaded.

    Parameters
    ----------
    families : tuple of FamilyForecast
        Each family that has trials to be done; those that failed in the probe are not
        there.
    failed : dict of str to str
        Why a family could not be tried, by its key.
    jobs : int
        Worker processes.
    n_ratings : int
        Training ratings.
    n_models : int
        Fitted models of each family that are compared on the test set; 0 without one.
    n_splits : int
        Splits on which all is done.
    data_bytes : int
        Of the training ratings, of which the process that measures costs has its own.
    available_bytes : int
        Memory that is free.
    idle : str, optional
        That workers will idle, and what window would occupy them.
    introduction : tuple of str
        What the data are, and what was taken for what, line by line.
    """

    families: tuple[FamilyForecast, ...]
    failed: dict[str, str]
    jobs: int
    n_ratings: int
    n_models: int
    n_splits: int
    data_bytes: int
    available_bytes: int
    idle: str | None = None
    introduction: tuple[str, ...] = ()

    @property
    def search_seconds(self) -> float:
        """Of all searches."""
        return self.n_splits * sum(each.search_seconds for each in self.families)

    @property
    def most_seconds(self) -> float:
        """Of all searches, if no trial is dropped."""
        return self.n_splits * sum(each.most_seconds for each in self.families)

    @property
    def judging_seconds(self) -> float:
        """Of judging."""
        of_families = sum(each.judging_seconds for each in self.families)
        return self.n_splits * (of_families + SCORING_SECONDS * self.n_ratings)

    @property
    def memory_bytes(self) -> float:
        """Of all processes together, at the highest."""
        return self._memory(self.jobs, self.families)

    def _memory(self, jobs: int, families: Sequence[FamilyForecast]) -> float:
        largest = max((each.worker_bytes for each in families), default=0.0)
        if not self.n_models:
            return jobs * largest
        models = self.n_models * sum(each.model_bytes for each in families)
        # Workers keep their memory while a process beside them measures costs.
        return (jobs + 1) * largest + self.data_bytes + models

    def _fits(self, jobs: int, families: Sequence[FamilyForecast]) -> bool:
        return self._memory(jobs, families) <= ROOM * self.available_bytes

    def require_room(self) -> None:
        """Refuse what does not fit, and say what would.

        Raises
        ------
        StudyError
            If the memory that is free is less than what it takes.
        """
        if self._fits(self.jobs, self.families):
            return
        raise StudyError(
            f"This needs about {size(self.memory_bytes)} of memory on top of the data, "
            f"but {size(self.available_bytes)} are free: {self._what_fits()}."
        )

    def _what_fits(self) -> str:
        for jobs in range(self.jobs - 1, 0, -1):
            if self._fits(jobs, self.families):
                return f"--jobs {jobs} would fit"
        smaller = [f for f in self.families if self._fits(1, [f])]
        if smaller:
            names = " and ".join(each.family for each in smaller)
            return f"with --jobs 1 it would fit with the families {names} only"
        least = min(self.families, key=lambda each: self._memory(1, [each]))
        share = ROOM * self.available_bytes / self._memory(1, [least])
        n_fit = int(share * self.n_ratings)
        return (
            f"take another family, or a sample of the users, with some {n_fit:,} of the "
            f"{self.n_ratings:,} training ratings"
        )

    def describe(self) -> list[str]:
        """Say it in a few lines."""
        if not self.families and not self.failed:
            return ["Forecast: no trial is left to be done."]
        search, most = duration(self.search_seconds), duration(self.most_seconds)
        workers = counted(self.jobs, "worker")
        first = (
            f"Forecast with {workers}: search {search} (at most {most}), judging "
            f"{duration(self.judging_seconds)}; {size(self.memory_bytes)} of memory on "
            f"top of the data, {size(self.available_bytes)} free"
        )
        lines = [first]
        if len(self.families) > 1:
            lines += [
                f"  {each.family}: {counted(each.n_trials, 'trial')}, search "
                f"{duration(each.search_seconds)}, judging "
                f"{duration(each.judging_seconds)}, {size(each.worker_bytes)} a worker"
                for each in self.families
            ]
        lines += [f"  {name}: not known: {why}" for name, why in self.failed.items()]
        return lines if self.idle is None else [*lines, self.idle]


def forecast_where_large(
    prepared: PreparedExperiment, only: str | None = None
) -> Forecast | None:
    """Forecast what has much data, on this machine; else None.

    A cluster's workers have their own memory.
    """
    if len(prepared.split.train) < LARGE or prepared.settings.jobs is None:
        return None
    found = forecast_experiment(prepared, only)
    return found if found.families else None


def forecast_experiment(
    prepared: PreparedExperiment, only: str | None = None
) -> Forecast:
    """Try each family on samples of the users, and draw the line to all of them.

    Writes nothing. The initial settings and some drawn at random are trained and scored
    as in the search, in a process of its own.
    """
    if (jobs := prepared.settings.jobs) is None:
        raise StudyError(
            "A forecast is for this machine, and the workers of a cluster have time and "
            "memory of their own: leave --executor out."
        )
    spec, train = prepared.spec, prepared.split.train
    families, failed = list[FamilyForecast](), dict[str, str]()
    left, tried = _trials_left(prepared), dict[str, FamilyCosts]()
    # Blends last: they cost what their members cost.
    for candidate in sorted(left, key=spec.is_blend):
        if only not in {None, candidate}:
            continue
        try:
            found = _try_candidate(candidate, prepared, tried)
        except ProbeFailedError as error:
            failed[candidate] = str(error)
            continue
        families.append(_of_family(candidate, found, left[candidate], prepared))
    return Forecast(
        families=tuple(families),
        failed=failed,
        jobs=jobs,
        n_ratings=len(train),
        n_models=0 if prepared.split.test is None else 2 * spec.final_seeds,
        n_splits=spec.split.repeats,
        data_bytes=_n_bytes(train),
        available_bytes=available_bytes(),
        idle=spec.search.note_on_workers(jobs, prepared.n_folds_at_once),
        introduction=tuple(prepared.dataset.introduction()),
    )


def _trials_left(prepared: PreparedExperiment) -> dict[str, int]:
    """Count the trials of each family that earlier sessions have left."""
    storage = prepared.settings.storage
    names = {c: plan.name for c, plan in prepared.plans.items()}
    studies = read_studies(storage, names.values())
    left = dict[str, int]()
    for candidate, name in names.items():
        study, wanted = studies.get(name), prepared.spec.n_trials(candidate)
        # A family without hyperparameters has one trial, whatever its budget.
        n_points = prepared.plans[candidate].settings().n_points
        wanted = wanted if n_points is None else min(wanted, n_points)
        states = [] if study is None else [trial.state for trial in study.trials]
        n = wanted - states.count("complete") - states.count("pruned")
        if n > 0:
            left[candidate] = n
    return left


def _n_bytes(ratings: Ratings) -> int:
    arrays = (ratings.users, ratings.items, ratings.values, ratings.rows)
    times = 0 if ratings.timestamps is None else ratings.timestamps.nbytes
    return times + sum(array.nbytes for array in arrays)


def _of_family(
    candidate: str, tried: FamilyCosts, n_trials: int, prepared: PreparedExperiment
) -> FamilyForecast:
    spec, train = prepared.spec, prepared.split.train
    at_once, plan = _n_at_once(prepared), prepared.plans[candidate]
    # All trials of a blend weight the same fits.
    n_fitted = 1 if spec.is_blend(candidate) else n_trials
    shares = sum(each.share for each in plan.evaluations)
    all_folds = n_fitted * shares * tried.most_seconds / at_once
    of_best = tried.best_seconds(spec.n_trials(candidate))
    usual = _usual_seconds(n_fitted, plan, tried.seconds, of_best) / at_once
    if plan.pruner == "none":
        usual = all_folds
    most = MARGIN * all_folds
    judging = _judging_seconds(candidate, of_best, tried.initial_seconds, prepared)
    if spec.budget.seconds is not None:
        most, usual = min(most, spec.budget.seconds), min(usual, spec.budget.seconds)
    n_whole = len(plan.evaluations) - len(plan.fidelity.samples)
    # One fold is in what was measured.
    kept = min(n_whole, n_parts_kept(len(train))) - 1 + sum(plan.fidelity.samples)
    return FamilyForecast(
        family=candidate,
        n_trials=n_trials,
        search_seconds=usual,
        most_seconds=most,
        judging_seconds=judging,
        worker_bytes=tried.process_bytes + tried.n_bytes + kept * _n_bytes(train),
        model_bytes=tried.model_bytes,
    )


def _n_at_once(prepared: PreparedExperiment) -> int:
    n_tasks = prepared.spec.search.window * prepared.n_folds_at_once
    return min(prepared.settings.jobs or 1, n_cores(), n_tasks)


def _usual_seconds(
    n_trials: int, plan: StudyPlan, of_any: float, of_best: float
) -> float:
    """Expect what is trained, if the race drops as many as usual.

    What is dropped at first is like settings at random. What goes on is like the best.
    """
    samples = plan.fidelity.samples
    n_reaching, n_folds = float(n_trials), len(plan.evaluations) - len(samples)
    seconds, of_each = 0.0, of_any
    for part in samples:
        seconds += n_reaching * part * of_each
        n_reaching = max(1.0, SHARE_CLIMBING * n_reaching)
        of_each = of_best
    n_complete = min(n_reaching, N_COMPLETE + SHARE_COMPLETE * n_trials)
    if n_folds == 1:
        n_complete = n_reaching  # after the only fold there is nothing to drop
    seconds += (n_reaching - n_complete) * of_each
    return seconds + n_complete * n_folds * of_best


def _judging_seconds(
    candidate: str, of_best: float, of_initial: float, prepared: PreparedExperiment
) -> float:
    """Expect fresh folds, costs and refits, of the best settings and of the initial ones."""
    spec, plan = prepared.spec, prepared.plans[candidate]
    n_folds, at_once = spec.search.folds, _n_at_once(prepared)
    # Of large data one fold, with two seeds.
    n_fresh = 2 if plan.fidelity.one_fold else n_folds
    judging = n_fresh * of_best / at_once
    # A blend is made of members that were refitted and measured.
    if prepared.split.test is None or spec.is_blend(candidate):
        return judging
    # On all folds, not all but one.
    more = n_folds / (n_folds - 1)
    initial, tuned = more * of_initial, more * of_best
    n_costs = n_cost_processes(spec.cost_processes) if tuned < LONG_SECONDS else 1
    # Of large data another seed changes no digit, as a rule.
    is_asked = "final_seeds" in spec.model_fields_set
    n_seeds = 1 if plan.fidelity.one_fold and not is_asked else spec.final_seeds
    # The tuned models come from where costs are measured.
    refits = n_seeds * initial + max(0, n_seeds - n_costs) * tuned
    return judging + refits / at_once + n_costs * tuned


def _try_candidate(
    candidate: str, prepared: PreparedExperiment, tried: dict[str, FamilyCosts]
) -> FamilyCosts:
    """Try a family, or the members of a blend, unless that was done, and keep it."""
    if candidate in tried:
        return tried[candidate]
    if not prepared.spec.is_blend(candidate):
        tried[candidate] = try_family(
            prepared.plans[candidate], prepared.split.train, prepared.dataset.catalogue
        )
        return tried[candidate]
    members = [
        _try_candidate(member, prepared, tried)
        for member in prepared.spec.members(candidate)
    ]
    return FamilyCosts(
        seconds=sum(each.seconds for each in members),
        initial_seconds=sum(each.initial_seconds for each in members),
        early_seconds=sum(each.early_seconds for each in members),
        late_seconds=sum(each.late_seconds for each in members),
        n_bytes=sum(each.n_bytes for each in members),
        # Those of its members are counted with them.
        model_bytes=0.0,
        process_bytes=max(each.process_bytes for each in members),
    )
