"""What MLflow copies into a logged model and runs to load it (models from code)."""

from mlflow.models import set_model

from harness.serving.mlflow_model import ServedModel

__all__: list[str] = []

set_model(ServedModel())
