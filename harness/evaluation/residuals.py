"""Where predictions are off: by the rating that was given, and by the prediction."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["MOST_GROUPS", "describe_residuals"]

MOST_GROUPS = 10
"""No more bars than these: of stars, and of predictions."""

Doubles = npt.NDArray[np.float64]


def describe_residuals(
    test: Ratings, predictions: list[npt.NDArray[Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Describe the errors of a model.

    A model that is drawn to the mean is above the truth for low ratings and below it for
    high ones, even where it is calibrated: where what it predicts is what is given on
    average.

    Parameters
    ----------
    test : Ratings
        The test part.
    predictions : list of ndarray of float, shape (n_test,)
        One for each seed.

    Returns
    -------
    dict of str to list of dict
        JSON-like:

        - ``by_star``: ``star``, ``n``, ``mean_error`` (prediction minus truth) and
          ``rmse``, in stars, means over the seeds. One entry for each rating that was
          given; of more than ten different ones, for ten equally wide bins of the scale,
          named by their middles, those without ratings left out.
        - ``calibration``: ``predicted`` (mean over the seeds), ``actual`` and ``n``, in
          at most ten groups of equal size by the prediction. Equal predictions stay
          together, so that a model that predicts one number has one group.
    """
    truth = test.values.astype(np.float64)
    errors = np.stack([np.asarray(p, dtype=np.float64) - truth for p in predictions])
    return {
        "by_star": _by_star(test, errors),
        "calibration": _calibration(truth, truth + errors.mean(axis=0)),
    }


def _by_star(test: Ratings, errors: Doubles) -> list[dict[str, Any]]:
    stars, group = _stars(test)
    found = []
    for k, star in enumerate(stars):
        chosen = errors[:, group == k]
        if not chosen.size:
            continue
        found.append(
            {
                "star": star,
                "n": chosen.shape[1],
                "mean_error": float(chosen.mean()),
                "rmse": float(np.sqrt(np.square(chosen).mean(axis=1)).mean()),
            }
        )
    return found


def _stars(test: Ratings) -> tuple[list[float], npt.NDArray[np.integer[Any]]]:
    """Name the groups of ratings, and tell to which of them each rating belongs."""
    stars, group = np.unique(test.values.astype(np.float64), return_inverse=True)
    if len(stars) > MOST_GROUPS:
        low, high = test.scale.low, test.scale.high
        edges = np.linspace(low, high, MOST_GROUPS + 1)
        stars = (edges[:-1] + edges[1:]) / 2
        group = np.searchsorted(edges[1:-1], test.values, side="right")
    # Rounded, for 3.6 in float32 is 3.5999999.
    return [round(float(star), 6) for star in stars], group


def _calibration(truth: Doubles, predicted: Doubles) -> list[dict[str, Any]]:
    order = np.sort(predicted)
    firsts = np.arange(1, MOST_GROUPS) * len(order) // MOST_GROUPS
    _, group = np.unique(
        np.searchsorted(order[firsts], predicted, side="right"), return_inverse=True
    )
    n = np.bincount(group)
    means = (np.bincount(group, weights=x) / n for x in (predicted, truth))
    return [
        {"predicted": float(p), "actual": float(a), "n": int(size)}
        for p, a, size in zip(*means, n, strict=True)
    ]
