"""A run compared with what it should be, and mended where it differs."""

import math
from typing import TYPE_CHECKING, Literal

from harness.tracking.run_image import RunImage
from harness.tracking.store import RunStore

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["Outcome", "can_become", "mend"]

Outcome = Literal["created", "repaired", "unchanged"]


def mend(store: RunStore, run: "Run", image: RunImage, *, parent: str | None) -> bool:
    """Write what differs.

    Parameters
    ----------
    store : RunStore
        Where the run is.
    run : mlflow.entities.Run
        The run as it is.
    image : RunImage
        The run as it should be.
    parent : str or None
        Id of the run above it; None leaves it where it is.

    Returns
    -------
    bool
        Whether anything differed.
    """
    wanted = dict(image.tags)
    if parent is not None:
        wanted["mlflow.parentRunId"] = parent
    params = {k: v for k, v in image.params.items() if k not in run.data.params}
    for key, value in image.params.items():
        # Of a study that is continued with other settings.
        if run.data.params.get(key, value) != value:
            wanted[f"resumed.{key}"] = value
    tags = {k: v for k, v in wanted.items() if run.data.tags.get(k) != v}
    named = run.info.run_name == image.name
    if not named:
        store.rename(run.info.run_id, image.name)
    if named and not params and not tags and _is_complete(run, image):
        return False
    store.complete(run.info.run_id, image, params=params, tags=tags)
    return True


def can_become(run: "Run", image: RunImage) -> bool:
    """Tell whether a run can be mended: starts, parameters and values cannot change.

    Parameters
    ----------
    run : mlflow.entities.Run
        The run as it is.
    image : RunImage
        The run as it should be.

    Returns
    -------
    bool
        Whether it has nothing that contradicts the image.
    """
    return bool(
        run.info.start_time == image.started
        and all(image.params.get(k) == v for k, v in run.data.params.items())
        and all(
            key in image.latest and _close(value, image.latest[key])
            for key, value in run.data.metrics.items()
        )
    )


def _is_complete(run: "Run", image: RunImage) -> bool:
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    data = {(used.dataset.name, used.dataset.digest) for used in inputs}
    return (
        run.info.status == image.status
        and (image.ended is None or run.info.end_time == image.ended)
        and all(
            key in run.data.metrics and _close(run.data.metrics[key], value)
            for key, value in image.latest.items()
        )
        and data >= {(used.name, used.digest) for used in image.datasets}
    )


def _close(a: float, b: float) -> bool:
    # Figures are logged with 6 significant digits; they were not always.
    return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-12)
