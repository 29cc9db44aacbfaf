"""Find out which recommender to use for your ratings, and prove it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import (
        Experiment,
        Study,
        compare,
        forecast_run,
        forecast_tune,
        load,
        run,
        tune,
    )
    from harness.tracking.callback import MLflowCallback, sync_study

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "MLflowCallback",
    "Study",
    "__version__",
    "compare",
    "forecast_run",
    "forecast_tune",
    "load",
    "run",
    "sync_study",
    "tune",
]


# Imported when used: `import harness` takes no time, and the callback of an Optuna user
# needs nothing of the recommenders.
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    callback = name in {"MLflowCallback", "sync_study"}
    return getattr(
        import_module("harness.tracking.callback" if callback else "harness.api"), name
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
