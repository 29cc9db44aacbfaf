"""What the front door returns: an experiment, a study, a comparison."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.dataset import Dataset
from harness.data.load import FRAME
from harness.errors import StudyError
from harness.evaluation.objectives import measure_of
from harness.experiment.across import AcrossDataSets, compare_experiments
from harness.experiment.export import Export, TableFormat, export_judged
from harness.experiment.refit import refit_best
from harness.experiment.results import ExperimentRecord
from harness.models.base import Recommender
from harness.plain import ParamValue
from harness.report.figures.ranks import draw_ranks
from harness.report.verdict import verdict_lines
from harness.report.write import write_report
from harness.search.records import StudyRecord, why_none_is_best

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Best", "Comparison", "Experiment", "Picture", "Study"]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial of a search; of several objectives the one picked on the front.

    Parameters
    ----------
    family : str
        Name of the family.
    params : dict
        All its hyperparameters, those found on the way, fixed, or left to the family
        included: ``family(**params)`` is the model.
    score : float
        Mean over the folds of the (first) objective; RMSE in the unit of the ratings by
        default.
    trial : int
        Number of the trial in its Optuna study. ``study.best_params`` of Optuna lacks
        what was not sampled, such as ``n_epochs``.
    scores : dict of str to float
        Mean over the folds of each objective, by name; of a latency the least.
    """

    family: str
    params: dict[str, ParamValue]
    score: float
    trial: int
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A figure of a report, which notebooks show.

    Parameters
    ----------
    name : str
        Name of its file.
    png : bytes
        The file.
    """

    name: str
    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path) -> Path:
        """Write it to a file.

        Parameters
        ----------
        path : str or Path
            Where.

        Returns
        -------
        Path
            The same.
        """
        Path(path).write_bytes(self.png)
        return Path(path)


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """An experiment that was run or loaded: its results, trials, report and model.

    Parameters
    ----------
    results : ExperimentRecord
        Everything that was measured, and the decision; typed and frozen.
    storage : str
        URL or path of its Optuna storage.
    report_path : Path or None
        The report that was written when it ran.
    """

    results: ExperimentRecord
    storage: str = field(repr=False)
    report_path: Path | None = None
    _models: dict[str, Recommender] = field(default_factory=dict, repr=False)
    _dataset: Dataset | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Its name in the storage."""
        return self.results.name

    @property
    def winner(self) -> str | None:
        """Key of the family that the decision rule chooses; None before judging.

        Of a study, its family.
        """
        if self.results.decision is not None:
            return self.results.decision.winner
        return next(iter(self.results.studies)) if self.results.is_study else None

    @property
    def best(self) -> Best:
        """The best trial of the family that was chosen: all parameters, and score.

        Raises
        ------
        StudyError
            If no family was chosen yet, or none of its trials is complete and meets what
            is required.
        """
        study = self._chosen_study()
        trial = study.best
        assert trial is not None
        assert trial.value is not None
        return Best(
            family=study.family,
            params={**study.settings.defaults, **trial.params},
            score=trial.value,
            trial=trial.number,
            scores={
                metric.name: value
                for metric, value in zip(
                    study.objectives, study.measured(trial), strict=True
                )
            },
        )

    @property
    def trials(self) -> "pd.DataFrame":
        """All trials, a row each: family, number, state, value, measures, times, settings.

        Where there are several objectives, ``value`` is that of the first, the others are
        among the measures, and ``on_front`` and ``picked`` say where a trial stands.
        """
        import pandas as pd

        trials = [
            (candidate, trial)
            for candidate, study in self.results.studies.items()
            for trial in study.trials
        ]
        objective = self.results.metric.name
        standing = {c: self._standing(c) for c in self.results.studies}
        rows = [
            {
                "family": candidate,
                "number": trial.number,
                "state": trial.state,
                "value": math.nan if trial.value is None else trial.value,
                **({"feasible": trial.is_feasible} if trial.violations else {}),
                **standing[candidate](trial.number),
                **{k: value for k, value in trial.metrics.items() if k != objective},
                "started": trial.started,
                "ended": trial.ended,
                "error": trial.error,
            }
            for candidate, trial in trials
        ]
        frame = pd.DataFrame(rows)
        for name in dict.fromkeys(name for _, trial in trials for name in trial.params):
            # Families have hyperparameters of their own: 20 must not become 20.0 where
            # another one has none.
            settings: Any = [trial.params.get(name) for _, trial in trials]
            frame[f"param_{name}"] = pd.array(settings)
        return frame

    @property
    def model(self) -> Recommender:
        """The chosen model, fitted on the whole training part and ready to predict.

        Raises
        ------
        StudyError
            If no family was chosen yet, or its data is no longer what it was.
        """
        winner, study = self.winner, self._chosen_study()
        assert winner is not None
        if winner not in self._models:
            refitted = refit_best(study, self._load)
            self._models[winner] = refitted.model
        return self._models[winner]

    def report(self, folder: str | Path | None = None) -> Path:
        """Write the report, without training anything.

        Parameters
        ----------
        folder : str or Path, optional
            Where; else ``reports/NAME``.

        Returns
        -------
        Path
            ``report.md``; ``report.html`` and ``report.json`` lie beside it.
        """
        return write_report(self.results, Path(folder or Path("reports") / self.name))

    def export(
        self,
        folder: str | Path,
        *,
        table_format: TableFormat = "csv",
        on_step: Callable[[str], None] = lambda _: None,
    ) -> Export:
        """Write split, predictions and errors of each user, to be checked by other tools.

        All tuned models and baselines are fitted again with the seeds they were judged
        with. Writing the test ratings counts as an opening of the test set.

        Parameters
        ----------
        folder : str or Path
            Folder to write; must not exist yet.
        table_format : {"csv", "parquet"}, default "csv"
            Format of the tables.
        on_step : callable, optional
            Is told what is being done.

        Returns
        -------
        Export
            What was fitted again, with its RMSE and that of the report: the content of
            ``export.json``.

        Raises
        ------
        HarnessError
            If nothing was judged yet, the data is no longer what it was, or the folder
            cannot be written.
        """
        return export_judged(
            self.results,
            self.storage,
            self._load,
            Path(folder),
            table_format=table_format,
            on_step=on_step,
        )

    def figures(self) -> dict[str, Picture]:
        """Draw the figures of the report.

        Returns
        -------
        dict of str to Picture
            By name: ``figures()["histories"]`` shows itself in a notebook.
        """
        with tempfile.TemporaryDirectory() as folder:
            report = write_report(self.results, Path(folder) / "report")
            return {
                path.stem: Picture(path.name, path.read_bytes())
                for path in sorted(report.parent.glob("*.png"))
            }

    def _standing(self, candidate: str) -> Callable[[int], dict[str, bool]]:
        """Tell where a trial stands, if its search has a Pareto front."""
        front = self.results.fronts.get(candidate)
        if front is None:
            return lambda _: {}
        on_front = {point.trial for point in front.points}
        return lambda number: {
            "on_front": number in on_front,
            "picked": number == front.picked,
        }

    def _chosen_study(self) -> StudyRecord:
        winner = self.winner
        if winner is None or self.results.studies[winner].best is None:
            reasons = map(why_none_is_best, self.results.studies.values())
            raise StudyError(
                " ".join(filter(None, reasons))
                or f"{self.name!r} has chosen no model yet: it has to be run to its end."
            )
        return self.results.studies[winner]

    def _load(self) -> Dataset:
        if self._dataset is not None:
            return self._dataset
        if self.results.dataset.source == FRAME:
            raise StudyError(
                f"{self.name!r} was made from a data frame, which is not kept: call "
                "tune() again with the same data."
            )
        from harness.data.load import load_again

        return load_again(self.results.dataset)

    def __repr__(self) -> str:
        """Name it, without a storage's password or all its results."""
        return f"{type(self).__name__}({self.name!r})"

    def __str__(self) -> str:
        """Say the verdict in a few lines."""
        return "\n".join([self.name, *verdict_lines(self.results)])


class Study(Experiment):
    """An experiment with one family."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Studies and experiments side by side, which notebooks show as a table.

    Parameters
    ----------
    results : tuple of ExperimentRecord
        What each of them has found.
    """

    results: tuple[ExperimentRecord, ...] = field(repr=False)

    def to_frame(self) -> "pd.DataFrame":
        """Lay their models side by side.

        Returns
        -------
        DataFrame
            A row for each tuned model and baseline, best first within each experiment:
            ``experiment``, ``model``, ``chosen``, and all measures.
        """
        import pandas as pd

        rows = []
        for record in self.results:
            winner = None if record.decision is None else record.decision.winner
            models = [m for m in record.models if m.role in {"tuned", "baseline"}]
            for model in sorted(models, key=record.loss_of):
                is_chosen = model.candidate is not None and model.candidate == winner
                rows.append(
                    {
                        "experiment": record.name,
                        "model": model.candidate or model.name,
                        "chosen": is_chosen,
                        **{key: found.value for key, found in model.measures.items()},
                    }
                )
        return pd.DataFrame(rows)

    @cached_property
    def across(self) -> AcrossDataSets:
        """Ranks over data sets: Friedman's and Nemenyi's tests, counts, and sentences.

        Raises
        ------
        StudyError
            If it is not about two experiments or more, judged on data sets of their own,
            with two families or more in common.
        """
        return compare_experiments(self.results)

    def figure(self) -> Picture:
        """Draw the critical-difference figure.

        Returns
        -------
        Picture
            Mean ranks, and bars that join families which are not told apart.

        Raises
        ------
        StudyError
            As `across`.
        """
        found = self.across
        with tempfile.TemporaryDirectory() as folder:
            path = draw_ranks(
                found.comparison,
                Path(folder) / "ranks.png",
                measure=measure_of(found.objective).label,
            )
            return Picture(path.name, path.read_bytes())

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False)

    def __str__(self) -> str:
        """Write the table."""
        return self.to_frame().to_string(index=False)
