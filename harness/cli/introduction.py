"""What a command says about the data before it starts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from harness.data.dataset import Dataset

__all__ = ["describe_data"]


def describe_data(console: "Console", dataset: "Dataset") -> None:
    """Print size and notes of a data set.

    Parameters
    ----------
    console : Console
        Where to.
    dataset : Dataset
        The data set.
    """
    simulated = ", simulated" if dataset.simulated else ""
    ratings = dataset.ratings
    console.print(
        f"{dataset.name}{simulated}: {len(ratings):,} ratings, {ratings.n_users:,} users, "
        f"{ratings.n_items:,} titles"
    )
    for note in dataset.notes:
        console.print(f"  {note}")
