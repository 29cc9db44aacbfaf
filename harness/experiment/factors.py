"""The strongest latent factors of a fitted model, in words and titles."""

import numpy as np

from harness.data.catalogue import Catalogue
from harness.evaluation.results import Factor
from harness.models.base import Recommender
from harness.models.factors import interpret_factor, read_traits, turn_to_principal_axes

__all__ = ["strongest_factors"]


N_FACTORS = 6
N_TITLES = 4


def strongest_factors(model: Recommender, catalogue: Catalogue) -> tuple[Factor, ...]:
    """Describe the factors that carry most of what a model knows beyond biases."""
    sides = [getattr(model, f"{side}_factors_", None) for side in ("user", "item")]
    if any(side is None or not side.size for side in sides):
        return ()
    n_users, n_items = len(model.user_ids_), len(model.item_ids_)
    of_users, of_items = np.asarray(sides[0])[:n_users], np.asarray(sides[1])[:n_items]
    if not (np.isfinite(of_users).all() and np.isfinite(of_items).all()):
        return ()
    users, items = turn_to_principal_axes((of_users, of_items))
    # On principal axes the sums of squares of the products add up.
    carried = np.square(users).sum(axis=0) * np.square(items).sum(axis=0)
    if not carried.sum():
        return ()
    shares = carried / carried.sum()
    frame = catalogue.frame
    names = frame["title"].tolist() if "title" in frame else model.item_ids_.tolist()
    traits = read_traits(catalogue)
    meanings = [
        interpret_factor(items[:, k], traits, n_titles=N_TITLES)
        for k in range(min(N_FACTORS, items.shape[1]))
    ]
    return tuple(
        Factor(
            label=f"factor {k + 1}",
            share=float(shares[k]),
            trait=meaning.trait,
            correlation=meaning.correlation,
            positive=tuple(str(names[code]) for code in meaning.positive),
            negative=tuple(str(names[code]) for code in meaning.negative),
        )
        for k, meaning in enumerate(meanings)
    )
