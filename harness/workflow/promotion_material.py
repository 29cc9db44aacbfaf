"""What a promotion weighs: data loaded and models fitted only when they are asked for."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.data.sources import load_again
from harness.errors import DataError
from harness.evaluation.efficiency import measure_efficiency
from harness.evaluation.seal import SealedTest
from harness.evaluation.splits import Split
from harness.search.experiment_storage import save_experiment_facts
from harness.search.looks import record_look
from harness.search.study import save_final
from harness.tracking.experiment_runs import log_experiment
from harness.tracking.location import Location
from harness.tracking.model_folder import PackagedModel, write_model
from harness.tracking.model_source import fetch_model
from harness.tracking.packaging import package
from harness.tracking.registered_version import RegisteredVersion
from harness.tracking.sync import log_study
from harness.workflow.promotion_source import PromotionSource, read_source
from harness.workflow.refit import refit_best, split_again

__all__ = ["PromotionMaterial"]


class PromotionMaterial:
    """The data, the model and the costs of what is to be promoted.

    Parameters
    ----------
    source : PromotionSource
        What is to be promoted.
    location : Location
        Where its runs are, and the registry.
    on_step : callable
        Is told what takes a while.
    """

    def __init__(
        self,
        source: PromotionSource,
        location: Location,
        on_step: Callable[[str], None],
    ) -> None:
        self._source = source
        self._location = location
        self._on_step = on_step

    @cached_property
    def dataset(self) -> Dataset:
        """The data, loaded again."""
        self._on_step(f"loading {self._source.study.dataset['name']}")
        return load_again(self._source.study.dataset)

    @cached_property
    def _split(self) -> Split:
        return split_again(self._source.study, self.dataset)

    @property
    def _test(self) -> SealedTest:
        assert self._split.test is not None
        return self._split.test

    def open_test(self) -> tuple[Ratings, int]:
        """Open the test set; the look is counted, and kept with the result.

        Returns
        -------
        test : Ratings
            The test part.
        looks : int
            How often test ratings of this split were opened, this time included.
        """
        source, test = self._source, self._test
        looks = record_look(source.storage, source.name)
        final = {**source.final, "looks": looks}
        if source.experiment is None:
            save_final(source.storage, source.name, final)
        else:
            save_experiment_facts(source.storage, source.name, "final", final)
        return test.open(), looks

    def log_runs(self) -> str:
        """Bring the runs in MLflow up to date.

        Returns
        -------
        str
            Id of the run of the final evaluation.
        """
        source = read_source(self._source.storage, self._source.name)
        where = {
            "tracking_uri": self._location.tracking_uri,
            "experiment": self._location.experiment,
        }
        if source.experiment is None:
            return log_study(source.study, **where)
        return log_experiment(source.experiment, None, **where)[str(source.candidate)]

    def fetch(self, uri: str) -> PackagedModel:
        """Load a model that is logged or registered, and check that it is intact."""
        self._on_step(f"loading {uri}")
        with fetch_model(self._location, uri) as fetched:
            return fetched.packaged

    def fetch_champion(self, champion: RegisteredVersion) -> PackagedModel:
        """Load the champion, or say how to be rid of one whose files are lost."""
        try:
            return self.fetch(champion.uri)
        except DataError as error:
            raise DataError(
                f"{error} That is version {champion.version}, the champion: make the "
                "previous one champion with `harness promote --rollback`, or remove the "
                "alias in `harness ui`, and promote again."
            ) from error

    def fetch_or_refit(self, uri: str | None) -> tuple[PackagedModel, str | None]:
        """Load the newcomer; fit it again where it is not logged, or its files are lost.

        Parameters
        ----------
        uri : str or None
            URI of the logged model, if there is one.

        Returns
        -------
        packaged : PackagedModel
            The model.
        uri : str or None
            Of the logged model; None if it was fitted again.
        """
        if uri is not None:
            with suppress(DataError):
                return self.fetch(uri), uri
        return self.refit(), None

    def refit(self) -> PackagedModel:
        """Fit the settings again, on the same training part with the same seed."""
        study = self._source.study
        self._on_step(f"fitting {study.family} again")
        refitted = refit_best(study, lambda: self.dataset)
        return package(refitted.model, refitted.dataset, self._source.origin)

    def costs(self) -> Mapping[str, Any]:
        """Look up, or measure, what the model costs."""
        source = self._source
        if source.experiment is not None:
            found = source.experiment.efficiency.get(str(source.candidate))
            if found is not None:
                return found
        self._on_step(f"measuring the latency of {source.study.family}")
        return measure_efficiency(
            source.study.family,
            source.trial.params,
            seed=int(source.study.settings["seed"]),
            train=self._split.train,
            catalogue=self.dataset.catalogue,
        )

    def coverage(self) -> float:
        """Look up, or count, the share of test pairs with a known user and title."""
        found = self._source.model.get("coverage")
        if found is not None:
            return float(found)
        return self._test.coverage(self._split.train)

    def size_bytes(self, packaged: PackagedModel) -> int:
        """Measure what a model takes on disk."""
        found = packaged.facts.get("size_bytes")
        if found is not None:
            return int(found)
        with tempfile.TemporaryDirectory() as folder:
            return int(write_model(packaged, Path(folder) / "model")["size_bytes"])
