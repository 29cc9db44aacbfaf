"""The MLflow runs of any Optuna study: what they should hold, and writing what they lack."""

import hashlib
import json
import logging
import math
import posixpath
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import TrackingError
from harness.tracking.location import Location, hide_password
from harness.tracking.run_image import (
    LONGEST_VALUE,
    MetricPoint,
    RunImage,
    RunStatus,
    as_json,
    as_milliseconds,
    as_text,
    current_user,
)
from harness.tracking.store import (
    RunStore,
    SyncCounts,
    check_database,
    connect,
    create_database,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["OptunaStudyRuns", "ProjectionOptions", "TrialStore", "open_trial_store"]

STUDY_TAG = "optuna.study_id"
KIND_TAG = "optuna.kind"
TRIAL_TAG = "optuna.trial"
OWN_TAG = "optuna.logged_by_objective"
_ERROR_TAG = "optuna.error"
_PARENT_TAG = "mlflow.parentRunId"
# What only the process that searched knows: another one must not overwrite it.
_KEPT_TAGS = ("optuna.sampler", "optuna.pruner")

_STATUS: dict[str, RunStatus] = {
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
}
_LONGEST_KEY = 250
_PARAMS_PER_BATCH = 100
_METRICS_PER_BATCH = 1000
_MOST_PASSES = 5
# Making the tables takes seconds; a second callback need not do it as well.
_CREATING = threading.Lock()

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ProjectionOptions:
    """What a user chooses about the runs."""

    nested: bool = True
    metric_names: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names: tuple[object, ...] = self.metric_names  # as given, without types
        is_text = all(isinstance(name, str) and name.strip() for name in names)
        if not is_text or len(set(names)) < len(names):
            raise TrackingError(
                "metric_name must be a name, or a list of different names, one for each "
                f"objective, but is {list(names)}."
            )

    def names_for(self, study: "Study") -> list[str]:
        """Name the objectives of a study as metrics."""
        n = len(study.directions)
        if self.metric_names and len(self.metric_names) != n:
            raise TrackingError(
                f"metric_name must name each objective of the study {study.study_name!r}: "
                f"give it {n} {'name' if n == 1 else 'names'} instead of "
                f"{list(self.metric_names)}, or leave it out."
            )
        default = ["value"] if n == 1 else [f"value_{k}" for k in range(n)]
        return list(self.metric_names) or list(study.metric_names or default)


class TrialStore(RunStore):
    """A store that writes a run in three requests, of whatever size it is."""

    def complete(
        self,
        run_id: str,
        image: RunImage,
        *,
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Write what a run lacks; its status comes last and says that all is there."""
        from mlflow.entities import Metric, Param, RunTag

        for some in _chunks(list(params.items()), _PARAMS_PER_BATCH):
            self._log(run_id, params=[Param(key, value) for key, value in some])
        for some_tags in _chunks(list(tags.items()), _PARAMS_PER_BATCH):
            self._log(run_id, tags=[RunTag(key, value) for key, value in some_tags])
        for points in _chunks(list(image.points), _METRICS_PER_BATCH):
            metrics = [Metric(p.key, p.value, p.timestamp, p.step) for p in points]
            self._log(run_id, metrics=metrics)
        self.set_status(run_id, image)

    def _log(self, run_id: str, **what: Any) -> None:
        # A user may have turned MLflow's asynchronous logging on: what fails there
        # fails unseen.
        self._client.log_batch(run_id, synchronous=True, **what)

    def set_status(self, run_id: str, image: RunImage) -> None:
        """Set status, end and name in one request."""
        from mlflow.entities import RunStatus as Status

        # Not `set_terminated`: it stops the asynchronous logging of the objective, and
        # prints a link for every trial.
        self._client._tracking_client.store.update_run_info(  # noqa: SLF001
            run_id, Status.from_string(image.status), image.ended, image.name
        )

    def find(self, study_id: str, tag: str, value: str) -> "list[Run]":
        """Read the runs of a study that have one more tag: few."""
        ids = [self.experiment_id]
        which = f"tags.`{STUDY_TAG}` = '{study_id}' AND tags.`{tag}` = '{value}'"
        return list(self._client.search_runs(ids, filter_string=which))


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def open_trial_store(location: Location) -> TrialStore:
    """Open a store without a change to the user's environment.

    `harness.tracking.store.open_store` sets MLflow's switches for the whole process;
    here the process is the user's.
    """
    tables = logging.getLogger("mlflow.store.db.utils")
    level = tables.level
    tables.setLevel(logging.WARNING)  # not news: "Creating initial MLflow tables"
    try:
        if location.database is not None:
            check_database(location.database)
            with _CREATING:
                create_database(location.database)
        return TrialStore(*connect(location))
    finally:
        tables.setLevel(level)


class Names:
    """Names that MLflow takes, each given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, wanted: str) -> str:
        """Turn a name into one that MLflow takes and that was not given yet."""
        name = allowed = allowed_name(wanted)
        copy = 2
        while name in self._given:
            name = f"{allowed[: _LONGEST_KEY - 6]}_{copy}"
            copy += 1
        self._given.add(name)
        return name


def allowed_name(wanted: str) -> str:
    """Replace what MLflow does not allow in the name of a parameter, metric or tag."""
    name = re.sub(r"[^/\w.\- ]", "_", wanted)[:_LONGEST_KEY] or "_"
    # MLflow takes names for paths: no "a//b", "./a", "/a" or "a/".
    if posixpath.normpath(name) != name or name.startswith(("..", "/")) or name == ".":
        name = name.replace("/", "_").replace("..", "_")
        name = "_" if name == "." else name
    return name


def identify(study: "Study") -> str:
    """Identify a study among all that are logged to one store.

    From its name and the moment its first trial began. Both are in the study's storage,
    the same for every process and after every restart, and nothing needs to be written
    there; a second study of that name, also in memory, began at another moment.
    """
    trials = study.get_trials(deepcopy=False)
    began = trials[0].datetime_start if trials else None
    if began is None:
        raise TrackingError(
            f"The study {study.study_name!r} has no trial that has started, so there is "
            "nothing to log yet. Run a trial first."
        )
    parts = [study.study_name, began.isoformat()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return hide_password(as_text(value))


def _attr_text(value: object) -> str:
    return _text(value if isinstance(value, str) else as_json(value))


def _number_tags(number: int) -> dict[str, str]:
    return {KIND_TAG: "trial", TRIAL_TAG: str(number)}


def _is_feasible(trial: "FrozenTrial") -> bool:
    return all(value <= 0.0 for value in trial.constraints.values())


def _distribution_tags(trials: Iterable["FrozenTrial"]) -> dict[str, str]:
    found = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found[allowed_name(f"optuna.distribution.{name}")] = _text(distribution)
    return found


def _user_tags(attrs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    # "mlflow.parentRunId" as an attribute must not move the run.
    reserved = ("mlflow.", "optuna.")
    return {
        allowed_name(f"user.{key}" if key.startswith(reserved) else key): _attr_text(v)
        for key, v in attrs
    }


class Projection:
    """What the runs of a study should hold."""

    def __init__(self, study: "Study", options: ProjectionOptions) -> None:
        self.study = study
        self.study_id = identify(study)
        self._options = options
        # Here, before any run is written.
        self._objective_names = options.names_for(study)

    def _tags(self) -> dict[str, str]:
        tags = {key: _text(value) for key, value in self._options.tags.items()}
        return tags | {
            STUDY_TAG: self.study_id,
            "optuna.study": _text(self.study.study_name),
            "mlflow.user": current_user(),
        }

    def of_running_trial(self, trial: Any) -> RunImage:
        """Show a trial that its objective logs to."""
        began = trial.datetime_start
        return RunImage(
            name=f"trial {trial.number}",
            status="RUNNING",
            started=as_milliseconds(began) if began is not None else None,
            ended=None,
            params={},
            tags=self._tags() | _number_tags(trial.number) | {OWN_TAG: "true"},
            points=(),
            datasets=(),
        )

    def of_trial(self, trial: "FrozenTrial", error: str | None = None) -> RunImage:
        """Show a trial that has ended."""
        ended = trial.datetime_complete or trial.datetime_start
        assert ended is not None
        began = trial.datetime_start or ended
        metrics = self._metrics(trial, as_milliseconds(ended))
        names = Names()
        numbers = _numbers(trial.user_attrs)
        attrs = ((k, v) for k, v in trial.user_attrs.items() if k not in numbers)
        tags = _user_tags(attrs) | self._tags() | _distribution_tags([trial])
        tags |= _number_tags(trial.number) | {"optuna.state": trial.state.name}
        if trial.constraints:
            tags["optuna.feasible"] = str(_is_feasible(trial)).lower()
        if error is not None:
            # The end of a traceback says what was wrong.
            tags[_ERROR_TAG] = hide_password(error)[-LONGEST_VALUE:]
        return RunImage(
            name=f"trial {trial.number}",
            status=_STATUS[trial.state.name],
            started=as_milliseconds(began),
            ended=as_milliseconds(ended),
            params={names.give(k): _text(v) for k, v in trial.params.items()},
            tags=tags,
            points=tuple(metrics),
            datasets=(),
        )

    def _metrics(self, trial: "FrozenTrial", moment: int) -> Iterator[MetricPoint]:
        names = Names()
        objectives = [names.give(name) for name in self._objective_names]
        # Optuna calls the last intermediate value of a pruned trial its value; it would
        # be ranked among those of trials that were finished.
        if trial.state.name == "COMPLETE" and trial.values is not None:
            for name, value in zip(objectives, trial.values, strict=True):
                yield MetricPoint(key=name, value=value, timestamp=moment)
        values = {f"constraint.{k}": v for k, v in trial.constraints.items()}
        for key, number in (values | _numbers(trial.user_attrs)).items():
            name = names.give(key)
            yield MetricPoint(key=name, value=float(number), timestamp=moment)
        name = names.give("intermediate_value")
        for step, value in sorted(trial.intermediate_values.items()):
            yield MetricPoint(key=name, value=value, timestamp=moment, step=step)

    def of_study(self, trials: "list[FrozenTrial]", *, running: bool) -> RunImage:
        """Show the study with the trials that have ended."""
        ended = [t for t in trials if t.state.is_finished()]
        began = [t.datetime_start for t in trials if t.datetime_start is not None]
        ends = [t.datetime_complete for t in ended if t.datetime_complete is not None]
        counts = Counter(t.state.name.lower() for t in ended)
        tags = _user_tags(self.study.user_attrs.items()) | self._tags()
        tags |= _distribution_tags(ended)
        tags |= {
            KIND_TAG: "study",
            "optuna.directions": ", ".join(d.name for d in self.study.directions),
            "optuna.sampler": type(self.study.sampler).__name__,
            "optuna.pruner": type(self.study.pruner).__name__,
            "optuna.n_trials": str(len(ended)),
        }
        tags |= {f"optuna.n_{state}": str(n) for state, n in counts.items()}
        points: tuple[MetricPoint, ...] = ()
        if len(self.study.directions) == 1:
            best_tags, points = self._best(ended)
            tags |= best_tags
        elif not running:
            numbers = [t.number for t in self.study.best_trials] if ended else []
            tags["optuna.best_trials"] = ", ".join(map(str, numbers))[:LONGEST_VALUE]
        return RunImage(
            name=_text(self.study.study_name),
            status="RUNNING" if running else "FINISHED",
            started=as_milliseconds(min(began)) if began else None,
            ended=None if running or not ends else as_milliseconds(max(ends)),
            params={},
            tags=tags,
            points=points,
            datasets=(),
        )

    def _best(
        self, ended: "list[FrozenTrial]"
    ) -> tuple[dict[str, str], tuple[MetricPoint, ...]]:
        """Find the best trial, and each improvement in the order of completion.

        With several workers trial 5 may end before trial 4; in the order of their
        numbers a point that was logged could become wrong.
        """
        sign = 1 if self.study.directions[0].name == "MINIMIZE" else -1
        name = allowed_name(f"best_{self._objective_names[0]}")
        done = [t for t in ended if t.state.name == "COMPLETE" and t.datetime_complete]
        done.sort(key=lambda t: (t.datetime_complete, t.number))
        best = None
        points = []
        for step, trial in enumerate(done, start=1):
            assert trial.values is not None
            value = trial.values[0]
            if not _is_feasible(trial):
                continue
            if best is not None and sign * value >= sign * best.values[0]:
                continue
            best = trial
            assert trial.datetime_complete is not None
            moment = as_milliseconds(trial.datetime_complete)
            points.append(
                MetricPoint(key=name, value=value, timestamp=moment, step=step)
            )
        if best is None:
            return {}, ()
        tags = {
            "optuna.best_trial": str(best.number),
            "optuna.best_params": _attr_text(best.params),
        }
        return tags, tuple(points)


def _numbers(attrs: Mapping[str, object]) -> dict[str, float]:
    """Pick the attributes that can be compared and drawn: MLflow's metrics."""
    return {
        key: value
        for key, value in attrs.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 2**63
    }


def _same(a: float, b: float) -> bool:
    if math.isinf(b):  # MLflow's databases keep the largest number instead
        return abs(a) > 1e308 and (a > 0) == (b > 0)
    return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))


class OptunaStudyRuns:
    """The runs of one study: finds them, and writes what they lack.

    `write` and `reconcile` are called by one thread, `open_run` by any.
    """

    def __init__(
        self,
        store: TrialStore,
        study: "Study",
        options: ProjectionOptions,
        *,
        errors: dict[int, str] | None = None,
    ) -> None:
        self.study = study
        self._store = store
        self._nested = options.nested
        self._projection = Projection(study, options)
        self._lock = threading.Lock()
        self._parent_id: str | None = None
        self._parent_is_running = False
        self._written: set[int] | None = None
        self._opened: dict[int, str] = {}
        self._errors = {} if errors is None else errors

    def parent(self) -> str | None:
        """Find or create the run of the study; None if the runs are not nested."""
        if not self._nested:
            return None
        with self._lock:
            if self._parent_id is None:
                found = self._store.find(self._projection.study_id, KIND_TAG, "study")
                if found:
                    self._parent_id = min(str(run.info.run_id) for run in found)
                else:
                    trials = self.study.get_trials(deepcopy=False)
                    image = self._projection.of_study(trials, running=True)
                    self._parent_id = self._store.create(image)
                    self._parent_is_running = True
            return self._parent_id

    def start_again(self) -> None:
        """Forget what was found in a store that has failed since."""
        self._parent_id = None
        self._parent_is_running = False
        self._written = None

    def open_run(self, trial: Any) -> str:
        """Find or create the run of a trial that has not ended; return its id."""
        parent = self.parent()
        number = int(trial.number)
        if number not in self._opened:
            found = self._store.find(self._projection.study_id, TRIAL_TAG, str(number))
            self._opened[number] = (
                str(found[0].info.run_id)
                if found
                else self._store.create(
                    self._projection.of_running_trial(trial), parent=parent
                )
            )
        return self._opened[number]

    def write(self, trials: "Iterable[FrozenTrial]") -> None:
        """Write trials that have ended, unless they are there."""
        parent = self.parent()
        if self._written is None:
            self._written = self._find_written()
        if self._nested and not self._parent_is_running:
            self.write_parent(running=True)
        for trial in trials:
            if trial.number in self._written:
                continue
            image = self._image(trial)
            run_id = self._opened.get(trial.number)
            if run_id is None:
                self._store.create(image, parent=parent)
            else:
                self._mend(self._store.read(run_id), image, parent)
            self._forget(trial.number)

    def _image(self, trial: "FrozenTrial") -> RunImage:
        return self._projection.of_trial(trial, self._errors.get(trial.number))

    def _forget(self, number: int) -> None:
        if self._written is not None:
            self._written.add(number)
        self._opened.pop(number, None)
        self._errors.pop(number, None)

    def _find_written(self) -> set[int]:
        """Read what earlier processes have written: once, not once a trial."""
        return {
            int(run.data.tags[TRIAL_TAG])
            for run in self._store.runs(STUDY_TAG, self._projection.study_id)
            if TRIAL_TAG in run.data.tags and run.info.status != "RUNNING"
        }

    def write_parent(self, *, running: bool) -> bool:
        """Bring the run of the study up to date; say whether it was not."""
        parent = self.parent()
        if parent is None:
            return False
        trials = self.study.get_trials(deepcopy=False)
        image = self._projection.of_study(trials, running=running)
        changed = self._mend(self._store.read(parent), image, None)
        self._parent_is_running = running
        return changed

    def reconcile(self, *, live: bool = False) -> SyncCounts:
        """Make the runs equal to the study's trials.

        Several processes may do it at once: each looks again after it has created runs,
        and all keep the same one of two.

        Parameters
        ----------
        live : bool, default False
            Whether this process searched, so that its sampler is the study's.
        """
        first = self._pass(live=live)
        counts = first
        for _ in range(_MOST_PASSES):
            if not (counts.created or counts.repaired):
                break
            counts = self._pass(live=live)
        return first

    def _pass(self, *, live: bool) -> SyncCounts:
        outcomes: list[Any] = []
        runs = self._store.runs(STUDY_TAG, self._projection.study_id)
        of_trials: dict[int, list[Run]] = {}
        parents = []
        for run in runs:
            number = run.data.tags.get(TRIAL_TAG)
            if number is None:
                parents.append(run)
            else:
                of_trials.setdefault(int(number), []).append(run)
        trials = self.study.get_trials(deepcopy=False)
        if self._nested:
            outcomes.append(self._reconcile_parent(parents, trials, live=live))
        for trial in trials:
            if trial.state.is_finished():
                found = of_trials.get(trial.number, [])
                outcomes.append(self._reconcile_trial(found, trial))
        return SyncCounts.of(outcomes)

    def _reconcile_parent(
        self, found: "list[Run]", trials: "list[FrozenTrial]", *, live: bool
    ) -> str:
        running = any(t.state.name == "RUNNING" for t in trials)
        image = self._projection.of_study(trials, running=running)
        self._parent_is_running = running
        if not found:
            with self._lock:
                self._parent_id = self._store.create(image)
            return "created"
        found = sorted(found, key=lambda run: str(run.info.run_id))
        with self._lock:
            self._parent_id = str(found[0].info.run_id)
        for run in found[1:]:
            self._store.delete(run.info.run_id)
        if not live:
            there = found[0].data.tags
            kept = {key: there[key] for key in _KEPT_TAGS if key in there}
            image = replace(image, tags={**image.tags, **kept})
        changed = self._mend(found[0], image, None)
        return "repaired" if changed or len(found) > 1 else "unchanged"

    def _reconcile_trial(self, found: "list[Run]", trial: "FrozenTrial") -> str:
        image = self._image(trial)
        parent = self._parent_id if self._nested else None

        # The run that the objective has logged to cannot be made again.
        def rank(run: "Run") -> tuple[bool, bool, str]:
            own = OWN_TAG in run.data.tags
            return (not own, not _can_become(run, image), str(run.info.run_id))

        found = sorted(found, key=rank)
        keep = found[:1]
        if keep and OWN_TAG not in keep[0].data.tags:
            keep = [run for run in keep if _can_become(run, image)]
        for run in found:
            if run not in keep:
                self._store.delete(run.info.run_id)
        if not keep:
            self._store.create(image, parent=parent)
            self._forget(trial.number)
            return "repaired" if found else "created"
        changed = self._mend(keep[0], image, parent)
        self._forget(trial.number)
        return "repaired" if changed or len(found) > 1 else "unchanged"

    def _mend(self, run: "Run", image: RunImage, parent: str | None) -> bool:
        """Write what differs; values that the objective has logged itself stay."""
        wanted = dict(image.tags)
        if parent is not None:
            wanted[_PARENT_TAG] = parent
        wanted["mlflow.user"] = run.data.tags.get("mlflow.user", wanted["mlflow.user"])
        there = run.data.params
        params = {k: v for k, v in image.params.items() if k not in there}
        for key, value in image.params.items():
            if there.get(key, value) != value:  # the objective has logged another one
                wanted[f"optuna.param.{key}"[:_LONGEST_KEY]] = value
        tags = {k: v for k, v in wanted.items() if run.data.tags.get(k) != v}
        latest = image.latest
        logged = run.data.metrics
        lacking = tuple(
            point
            for point in image.points
            if not (point.key in logged and _same(logged[point.key], latest[point.key]))
        )
        ended = image.ended is None or run.info.end_time == image.ended
        same = run.info.status == image.status and ended
        same = same and run.info.run_name == image.name
        if same and not params and not tags and not lacking:
            return False
        lack = replace(image, points=lacking)
        self._store.complete(run.info.run_id, lack, params=params, tags=tags)
        return True


def _can_become(run: "Run", image: RunImage) -> bool:
    """Tell whether nothing in a run contradicts the trial; most cannot be changed."""
    latest = image.latest
    return (
        (image.started is None or run.info.start_time == image.started)
        and all(run.data.params.get(k, v) == v for k, v in image.params.items())
        and all(
            _same(value, latest[key])
            for key, value in run.data.metrics.items()
            if key in latest
        )
    )
