"""The MLflow store: opens it quietly, reads and writes runs."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import TrackingError
from harness.tracking.dataset_input import dataset_input
from harness.tracking.location import Location
from harness.tracking.new_database import create_database
from harness.tracking.problems import check_database
from harness.tracking.run_image import RunImage
from harness.tracking.view import TRIALS_VIEW, View, merge_trials_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

__all__ = ["RunStore", "open_store", "quieten"]

_PAGE = 1000
_SECONDS_PER_REQUEST = "10"


def quieten() -> None:
    """Set MLflow's documented switches for a library in the background.

    What the user has set in the environment stays, save for the repetition of requests:
    MLflow would send a request again that the server has already answered too late, and
    so create a run twice.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": _SECONDS_PER_REQUEST,
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }.items():
        os.environ.setdefault(name, value)


def open_store(location: Location) -> "RunStore":
    """Open a store, creating the database and the experiment where there are none.

    Parameters
    ----------
    location : Location
        Where.

    Returns
    -------
    RunStore
        The store.

    Raises
    ------
    TrackingError
        If the database is not one, cannot be written, or the experiment was deleted.
    MlflowException, OSError
        If the server does not answer, or refuses.
    """
    quieten()
    if location.database is not None:
        check_database(location.database)
        create_database(location.database)
    from mlflow import MlflowClient

    client = MlflowClient(location.tracking_uri)
    return RunStore(client, _experiment(client, location))


def _experiment(client: "MlflowClient", location: Location) -> "Experiment":
    from mlflow.exceptions import MlflowException

    name = location.experiment
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(
                name,
                artifact_location=location.artifacts,
                tags={"mlflow.experimentKind": "custom_model_development"},
            )
        except MlflowException as error:
            # Another process may have created it since.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"The MLflow experiment {name!r} is deleted. Restore it with 'mlflow "
            "experiments restore', or choose another with --experiment."
        )
    return found


class RunStore:
    """Reads and writes the runs in one experiment of MLflow.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    experiment : mlflow.entities.Experiment
        The experiment.
    """

    def __init__(self, client: "MlflowClient", experiment: "Experiment") -> None:
        self._client = client
        self.experiment_id: str = experiment.experiment_id
        self._tags: dict[str, str] = dict(experiment.tags)

    def show_trials(self, params: Iterable[str]) -> None:
        """Offer a list of trials with parameters as columns.

        Parameters
        ----------
        params : iterable of str
            Their names.
        """
        self._set_tag(TRIALS_VIEW.tag, merge_trials_view(self._tags, params))

    def offer(self, view: View) -> None:
        """Offer a list of runs."""
        self._set_tag(view.tag, view.as_json())

    def _set_tag(self, key: str, value: str) -> None:
        if self._tags.get(key) != value:
            self._client.set_experiment_tag(self.experiment_id, key, value)
            self._tags[key] = value

    def runs(self, tag: str, value: str) -> "list[Run]":
        """Read the runs that have a tag, oldest first.

        Parameters
        ----------
        tag : str
            Name of the tag.
        value : str
            Its value.

        Returns
        -------
        list of mlflow.entities.Run
            The runs that are not deleted.
        """
        found: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.`{tag}` = '{value}'",
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found.extend(page)
            token = page.token
            if not token:
                return found

    def read(self, run_id: str) -> "Run":
        """Read one run."""
        return self._client.get_run(run_id)

    def create(self, image: RunImage, *, parent: str | None = None) -> str:
        """Create a run and complete it.

        Parameters
        ----------
        image : RunImage
            The run as it should be.
        parent : str, optional
            Id of the run above it.

        Returns
        -------
        str
            Id of the run.
        """
        tags = dict(image.tags)
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        # The tags that identify a run are written with it: were the process killed
        # after this line, the next one would find the run and complete it.
        run = self._client.create_run(
            self.experiment_id,
            start_time=image.started,
            tags=tags,
            run_name=image.name,
        )
        self.complete(run.info.run_id, image, params=image.params, tags={})
        return str(run.info.run_id)

    def complete(
        self,
        run_id: str,
        image: RunImage,
        *,
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Write what a run lacks; its status comes last and says that all is there.

        Parameters
        ----------
        run_id : str
            Id of the run.
        image : RunImage
            The run as it should be.
        params, tags : mapping of str to str
            Those of the image that are missing.
        """
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(p.key, p.value, p.timestamp, p.step) for p in image.points]
        self._client.log_batch(
            run_id,
            metrics=metrics,
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._client.log_inputs(run_id, [dataset_input(d) for d in image.datasets])
        if image.status == "RUNNING":
            self._client.update_run(run_id, status="RUNNING", name=image.name)
        else:
            self._client.set_terminated(run_id, image.status, image.ended)

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self._client.update_run(run_id, name=name)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        self._client.set_tag(run_id, key, value)

    def delete(self, run_id: str) -> None:
        """Delete a run, as the interface does: it can be restored."""
        self._client.delete_run(run_id)

    def attach(self, run_id: str, folder: Path, *, under: str) -> None:
        """Copy the files of a folder to a run's artifacts.

        Parameters
        ----------
        run_id : str
            Id of the run.
        folder : Path
            What to copy.
        under : str
            Name of the folder in the artifacts.
        """
        self._client.log_artifacts(run_id, str(folder), under)
