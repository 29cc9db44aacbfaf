"""The folder of a logged model, read and checked."""

from pathlib import Path

from harness.errors import DataError
from harness.tracking.model_folder import PackagedModel, read_model

__all__ = ["read_logged"]

# As served_model.ARTIFACT, which cannot be imported without MLflow and pandas.
_ARTIFACT = Path("artifacts") / "model"


def read_logged(folder: Path, uri: str) -> PackagedModel:
    """Read the packaged model in an MLflow model, and check both.

    Parameters
    ----------
    folder : Path
        The MLflow model.
    uri : str
        What the user calls it, for messages: the folder may be a copy of a moment.

    Returns
    -------
    PackagedModel
        The model.

    Raises
    ------
    DataError
        If it is not an MLflow model that harness has logged, or not intact.
    """
    artifact = folder / _ARTIFACT
    if not (folder / "MLmodel").is_file() or not artifact.is_dir():
        raise DataError(
            f"{uri}: must be a model that harness has logged, but there is no MLmodel "
            f"or no {_ARTIFACT.as_posix()} in it; choose another with --model."
        )
    _check_description(folder, uri)
    try:
        return read_model(artifact)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), uri)) from error


def _check_description(folder: Path, uri: str) -> None:
    from mlflow.models import Model

    try:
        Model.load(str(folder))
    except Exception as error:
        # MLflow passes on whatever its parser raises.
        raise DataError(
            f"{uri}/MLmodel: must be as MLflow has written it, but cannot be read; log the "
            "model again."
        ) from error
