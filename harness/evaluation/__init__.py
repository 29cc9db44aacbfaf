"""Evaluation: splits, metrics, intervals and the sealed test set."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.evaluation.comparison import compare_predictions

__all__ = ["compare_predictions"]


def __getattr__(name: str) -> Any:
    """Import what is public when it is used: commands start without NumPy."""
    if name in __all__:
        from harness.evaluation import comparison

        return getattr(comparison, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
