"""Races on samples of users: what they save, and what they cost the best setting.

``python tests/benchmarks/bench_fidelity.py simulate FILE 1000000`` writes ratings of users,
titles and factors with a long tail. ``... compare FILE 500000 20 svd`` runs `harness study`
twice, with `--fidelity full` and with samples above that many training ratings, and scores
both best settings on the same fresh folds: CPU seconds, RMSE and their difference.
``... large FILE 4`` runs one study from CSV and follows the memory of all its processes.
"""

import sys
from pathlib import Path

import numpy as np

USERS_OF = {1_000_000: (6_040, 3_700), 20_000_000: (138_000, 27_000)}
N_FACTORS = 12
CHUNK = 1_000_000


def simulate(path, n_ratings, seed=0):
    """Write a CSV of user, item and rating: biases, factors, noise, and half stars."""
    n_users, n_items = USERS_OF.get(n_ratings, (n_ratings // 150, n_ratings // 400))
    rng = np.random.default_rng(seed)
    activity = rng.lognormal(0.0, 1.0, n_users)
    user_bias, item_bias = rng.normal(0, 0.43, n_users), rng.normal(0, 0.40, n_items)
    of_users, of_items = (
        rng.normal(0, 0.42, (n, N_FACTORS)) * 0.8 ** np.arange(N_FACTORS)
        for n in (n_users, n_items)
    )
    users, items = _pairs(rng, n_ratings, activity / activity.sum(), n_items)
    with Path(path).open("w") as file:
        file.write("user,item,rating\n")
        for first in range(0, n_ratings, CHUNK):
            u, i = (codes[first : first + CHUNK] for codes in (users, items))
            stars = 3.5 + user_bias[u] + item_bias[i]
            stars += (of_users[u] * of_items[i]).sum(axis=1) + rng.normal(
                0, 0.78, len(u)
            )
            halves = np.clip(np.round(2 * stars), 1, 10)
            rows = zip(u.tolist(), i.tolist(), (halves / 2).tolist(), strict=True)
            file.writelines(f"{user},{item},{star}\n" for user, item, star in rows)


def _pairs(rng, n_ratings, activity, n_items):
    """Draw different pairs of user and item, in random order."""
    kept = np.empty(0, dtype=np.int64)
    while len(kept) < n_ratings:
        n_more = int(1.3 * (n_ratings - len(kept))) + 1000
        users = np.repeat(np.arange(len(activity)), rng.multinomial(n_more, activity))
        # A long tail: the square of a uniform number prefers the first titles.
        items = (rng.random(n_more) ** 2 * n_items).astype(np.int64)
        kept = np.unique(np.concatenate([kept, users * n_items + items]))
    pairs = rng.permutation(kept)[:n_ratings]
    return pairs // n_items, pairs % n_items


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "simulate":
        simulate(rest[0], int(rest[1]))
