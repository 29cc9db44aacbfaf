"""Settings measured outside a search: on fresh folds, and the bias floor on the same ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.evaluation.final import Contestant
from harness.evaluation.folds import TIMED, assign_folds
from harness.experiment.record import BIAS_BASELINE, MEAN_BASELINE
from harness.models.base import Recommender
from harness.models.families import load_family
from harness.search.fold_task import Workbench, score_on_folds

__all__ = ["TrainingFolds", "baselines"]

BIAS_REGULARIZATIONS = (1.0, 3.0, 10.0, 30.0)
# Far from the seeds of the search: the fresh folds must not be its folds.
FRESH_SEED_OFFSET = 1_000_003


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingFolds:
    """The training part and how it is dealt into folds.

    Parameters
    ----------
    train : Ratings
        The training part.
    catalogue : Catalogue
        Of its titles.
    n_folds : int
        Number of folds.
    method : str
        Name of the split.
    seed : int
        Seed of the folds that the search sees, and of the models.
    """

    train: Ratings
    catalogue: Catalogue
    n_folds: int
    method: str
    seed: int

    def fresh_score(
        self, family: type[Recommender], params: Mapping[str, Any]
    ) -> float | None:
        """Score settings on folds that the search has not seen.

        Parameters
        ----------
        family : type
            Class of the models.
        params : mapping
            All hyperparameters.

        Returns
        -------
        float or None
            Mean RMSE in stars; None where time has one order, and folds cannot be
            dealt anew.

        Raises
        ------
        StudyError
            If the model fails.
        """
        if self.method in TIMED:
            return None
        seed = self.seed + FRESH_SEED_OFFSET
        bench = self._bench(family, seed)
        return score_on_folds(bench, params, seed=seed, n_folds=self.n_folds)

    def best_biases(self) -> dict[str, Any]:
        """Tune the floor too: to beat one that is badly set would prove nothing.

        Returns
        -------
        dict
            Hyperparameters of the family ``baseline``.
        """
        bench = self._bench(load_family("baseline"), self.seed)
        candidates = [
            {
                "kind": "bias",
                "user_regularization": user,
                "item_regularization": item,
            }
            for user, item in product(BIAS_REGULARIZATIONS, repeat=2)
        ]
        return min(
            candidates,
            key=lambda params: score_on_folds(
                bench, params, seed=self.seed, n_folds=self.n_folds
            ),
        )

    def _bench(self, family: type[Recommender], seed: int) -> Workbench:
        fold_of = assign_folds(
            self.train, n_folds=self.n_folds, seed=seed, method=self.method
        )
        return Workbench(family, self.train, self.catalogue, fold_of)


def baselines(floor: Mapping[str, Any]) -> list[Contestant]:
    """Name the models that every comparison has.

    Parameters
    ----------
    floor : mapping
        Hyperparameters of the bias baseline, see `TrainingFolds.best_biases`.

    Returns
    -------
    list of Contestant
        User and item bias, and the global mean.
    """
    family = load_family("baseline")
    return [
        Contestant(name=BIAS_BASELINE, family=family, params=floor),
        Contestant(name=MEAN_BASELINE, family=family, params={"kind": "mean"}),
    ]
