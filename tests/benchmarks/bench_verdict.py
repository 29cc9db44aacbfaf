"""Do the verdicts hold what they promise? Error rates, coverage and power by simulation.

usage: python tests/benchmarks/bench_verdict.py [DATA_SETS]

Every simulated test set has users and titles that differ in how many ratings they have
and in how well these can be predicted. All models share most of a rating's error; each
is, besides, better on some users and titles than on others, and equal on average but for
a declared shift of its RMSE. So the truth is known in closed form.
"""

import math
import sys
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.stats

from harness.evaluation.clusters import Groups
from harness.evaluation.comparison import compare_predictions
from harness.evaluation.data_sets import critical_difference, friedman_test
from harness.evaluation.dependence import (
    SCORES,
    ScoreSums,
    Uncertain,
    VarianceParts,
)
from harness.evaluation.equivalence import answer_pairs
from harness.evaluation.repeats import repeated_difference

MARGIN = 0.005
SHIFTS = (0.0, 0.002, 0.005, 0.01, 0.05)
"""Equal, equivalent, exactly on the margin (the worst case), different, very different."""
USERS = (50, 200, 1000, 5000)
PER_USER = 20
BIAS_OF_USERS, BIAS_OF_TITLES = 0.2, 0.1
SPREAD_OF_USERS, SPREAD_OF_TITLES = 0.25, 0.1
NOISE_SD = 0.85
# Share of a rating's error variance that is a model's own: errors correlate by 0.98.
OWN = 0.02


@dataclass(frozen=True)
class World:
    """How test sets come about."""

    n_users: int = 1000
    n_titles: int = 3000
    # Standard deviation, over titles or users, of the difference of two models' RMSE.
    title_sd: float = 0.0
    user_sd: float = 0.03
    n_seeds: int = 1
    # By what share a seed's errors are larger or smaller.
    seed_effect: float = 0.001


def noise_rmse():
    return NOISE_SD * math.exp(SPREAD_OF_USERS**2 + SPREAD_OF_TITLES**2)


def relative(sd):
    """Standard deviation of a model's relative effect, given that of a difference."""
    return sd / math.sqrt(2) / noise_rmse()


def true_rmse(world):
    """Effects are independent, so the mean square is a product and a sum."""
    noise = noise_rmse() ** 2
    noise *= (1 + relative(world.title_sd) ** 2) * (1 + relative(world.user_sd) ** 2)
    return math.sqrt(noise + BIAS_OF_USERS**2 + BIAS_OF_TITLES**2)


def simulate(rng, world, shifts):
    """Users, titles, and the errors of each model with each of its seeds."""
    activity = rng.dirichlet(np.ones(world.n_users))
    n = world.n_users * (PER_USER - 1)
    counts = 1 + rng.multinomial(n, activity)
    users = np.repeat(np.arange(world.n_users), counts)
    popularity = np.exp(rng.normal(size=world.n_titles))
    titles = rng.choice(world.n_titles, len(users), p=popularity / popularity.sum())
    # Nobody rates a title twice.
    pairs = np.unique(users * world.n_titles + titles)
    users, titles = np.divmod(pairs, world.n_titles)
    bias = rng.normal(0, BIAS_OF_USERS, world.n_users)[users]
    bias += rng.normal(0, BIAS_OF_TITLES, world.n_titles)[titles]
    sd = NOISE_SD * np.exp(rng.normal(0, SPREAD_OF_USERS, world.n_users))[users]
    sd *= np.exp(rng.normal(0, SPREAD_OF_TITLES, world.n_titles))[titles]
    shared = rng.normal(size=len(users))
    models = []
    for shift in shifts:
        factor = 1 + shift / true_rmse(world)
        own = sd * (1 + rng.normal(0, relative(world.title_sd), world.n_titles)[titles])
        own *= 1 + rng.normal(0, relative(world.user_sd), world.n_users)[users]
        models.append([])
        for _ in range(world.n_seeds):
            z = math.sqrt(1 - OWN) * shared
            z += math.sqrt(OWN) * rng.normal(size=len(users))
            seed = 1 + world.seed_effect * rng.normal() if world.n_seeds > 1 else 1
            models[-1].append(factor * seed * (bias + own * z))
    return users, titles, models


def measure(world, n_data_sets, seed=0):
    """Count what is answered about a reference and models with known shifts."""
    rng = np.random.default_rng(seed)
    counts = {"users": Counter(), "wider": Counter()}
    for _ in range(n_data_sets):
        users, titles, errors = simulate(rng, world, (0.0, *SHIFTS))
        zeros = np.zeros(len(users))
        for method, items in (("users", None), ("wider", titles)):
            sums = ScoreSums(zeros, errors, Groups.of(users, items), SCORES["rmse"])
            _count(counts[method], sums, true_rmse(world))
    return counts


def _count(count, sums, true):
    score = sums.estimate(0).interval(0.95)
    count["rmse"] += score.low <= true <= score.high
    together = [
        ("", str(s), sums.estimate(0, minus=k + 1)) for k, s in enumerate(SHIFTS)
    ]
    wrong = Counter()
    for adjusted, each in zip(
        answer_pairs(together, margin=MARGIN), together, strict=True
    ):
        (pair,) = answer_pairs([each], margin=MARGIN)
        shift = float(pair.other)
        count["covered", shift] += pair.difference.low <= -shift <= pair.difference.high
        count["different", shift] += pair.p_difference < 0.05
        count[pair.answer, shift] += 1
        wrong["different"] += adjusted.answer == "worse" or (
            adjusted.answer == "better" and shift <= MARGIN
        )
        wrong["equivalent"] += adjusted.answer == "equivalent" and shift >= MARGIN
        count["decided"] += adjusted.answer != "undecided"
    for kind, times in wrong.items():
        count["any false", kind] += times > 0
    count["any false", "answer"] += sum(wrong.values()) > 0


def show(world, counts, n):
    for method, count in counts.items():

        def share(key, count=count):
            return f"{count[key] / n:7.1%}"

        print(
            f"{world.n_users:>6} users {world.n_titles:>5} titles, title sd "
            f"{world.title_sd:.2f}, seeds {world.n_seeds}, {method}: RMSE covered"
            f"{share('rmse')}; of {len(SHIFTS)} pairs in one question decided "
            f"{count['decided'] / n / len(SHIFTS):.1%}; any false answer"
            f"{share(('any false', 'answer'))}, better/worse"
            f"{share(('any false', 'different'))}, "
            f"equivalent{share(('any false', 'equivalent'))}"
        )
        for shift in SHIFTS:
            print(
                f"    shift {shift:.3f}: covered{share(('covered', shift))}  "
                f"p<0.05{share(('different', shift))}  better{share(('better', shift))}  "
                f"equivalent{share(('equivalent', shift))}  worse{share(('worse', shift))}  "
                f"undecided{share(('undecided', shift))}",
                flush=True,
            )


def winners(n_data_sets, shifts, seed=3):
    """Mean error of the winner's score and of the corrected one, in stars."""
    rng = np.random.default_rng(seed)
    world = World(n_users=500, title_sd=0.04)
    errors = []
    for k in range(n_data_sets):
        users, titles, models = simulate(rng, world, shifts)
        names = {str(i): errors for i, errors in enumerate(models)}
        found = compare_predictions(
            np.zeros(len(users)), names, users, titles, scale=(1, 5), seed=k
        )
        true = true_rmse(world) + shifts[int(found.best)]
        score = min(m.score.value for m in found.models)
        corrected = found.winner.corrected if found.winner else score
        # What all models share is no effect of picking, but adds noise: take it off.
        common = np.mean([m.score.value for m in found.models])
        common -= true_rmse(world) + np.mean(shifts)
        errors.append((score - true - common, corrected - true - common))
    return np.mean(errors, axis=0), scipy.stats.sem(errors, axis=0)


def split_and_score(rng, items, values, n_items, shrinkages=(1.0, 20.0)):
    """Difference in RMSE of two shrunken title means, on a random split."""
    test = rng.permutation(len(values)) < len(values) // 5
    mean = values[~test].mean()
    sums = np.bincount(items[~test], values[~test] - mean, n_items)
    counts = np.bincount(items[~test], minlength=n_items)
    one, other = (
        np.sqrt(
            np.mean((values[test] - mean - (sums / (counts + s))[items[test]]) ** 2)
        )
        for s in shrinkages
    )
    return one - other


def repeats(n_data_sets, n_repeats=5, n=2000, n_items=150, n_truth=20_000, seed=4):
    """Coverage of Nadeau-Bengio's interval, and of one that takes splits as independent."""
    rng = np.random.default_rng(seed)

    def ratings():
        items = rng.integers(0, n_items, n)
        effects = rng.normal(0, 0.3, n_items)
        return items, effects[items] + rng.normal(size=n)

    true = np.mean([split_and_score(rng, *ratings(), n_items) for _ in range(n_truth)])
    covered = naive = 0
    for _ in range(n_data_sets):
        data = ratings()
        d = [split_and_score(rng, *data, n_items) for _ in range(n_repeats)]
        found = repeated_difference(d, test_share=0.2).interval(0.95)
        covered += found.low <= true <= found.high
        half = scipy.stats.t.ppf(0.975, n_repeats - 1) * scipy.stats.sem(d)
        naive += abs(np.mean(d) - true) <= half
    return covered, naive


def any_false(n_data_sets, n_pairs=6, seed=5):
    """The most false answers of all kinds, over worlds of pairs at and around the margin.

    And how often at most some p-value is below 0.05 of models that do not differ.

    Estimates are independent and normal, with standard errors of 1: only the rule that
    answers several pairs together is in question.
    """
    rng = np.random.default_rng(seed)
    most, different = 0.0, 0.0
    for margin in (0.0, 1.0, 2.0, 4.0):
        for truth in (
            np.full(n_pairs, margin),
            np.linspace(0, margin, n_pairs),
            np.linspace(margin, margin + 6, n_pairs),
            np.array([0, margin] * (n_pairs // 2)),
            np.zeros(n_pairs),
        ):
            false = significant = 0
            for estimates in rng.normal(truth, 1, (n_data_sets, n_pairs)):
                pairs = [
                    (
                        "",
                        "",
                        Uncertain(
                            value=value,
                            parts=VarianceParts(users=1.0),
                            degrees_of_freedom=1e9,
                            two_way_ratio=None,
                        ),
                    )
                    for value in estimates
                ]
                found = answer_pairs(pairs, margin=margin)
                answers = [p.answer for p in found]
                significant += any(
                    p.p_difference < 0.05 and true == 0
                    for p, true in zip(found, truth, strict=True)
                )
                false += any(
                    (answer == "worse" and true <= margin)
                    or (answer == "better")
                    or (answer == "equivalent" and true >= margin)
                    for answer, true in zip(answers, truth, strict=True)
                )
            most = max(most, false / n_data_sets)
            different = max(different, significant / n_data_sets)
    return most, different


def ranks(n_draws=20_000, seed=7):
    """How often some two of k equal models are told apart by ranks on N data sets.

    Yields k, N, and the shares by both tests, and by the critical difference alone.
    """
    rng = np.random.default_rng(seed)
    for k, n in product((2, 3, 5, 8), (5, 7, 10, 20)):
        drawn = rng.permuted(np.tile(np.arange(1.0, k + 1), (n_draws, n, 1)), axis=2)
        sums = drawn.sum(axis=1)
        order = np.argsort(np.square(sums - n * (k + 1) / 2).sum(axis=1))
        # p falls as the statistic rises: the first that passes stands for all behind it.
        first = bisect_left(
            order, 1, key=lambda i: int(friedman_test(drawn[i]).p_value <= 0.05)
        )
        passed = np.zeros(n_draws, dtype=bool)
        passed[order[first:]] = True
        apart = np.ptp(sums, axis=1) / n >= critical_difference(k, n) - 1e-9
        yield k, n, (passed & apart).mean(), apart.mean()


def by_hand(seed=6):
    """Relative errors against the definitions, written without the package's sums.

    Two-way variance: sum over all couples of ratings that share a user or a title
    (Cameron, Gelbach and Miller 2011, equation 2.8), for groups so many that corrections
    for few are left out of both. Probabilities over repeated splits: the correlated t
    test (Nadeau and Bengio 2003; Corani and Benavoli 2015).
    """
    rng = np.random.default_rng(seed)
    users, titles, (one, other) = simulate(
        rng, World(n_users=60, n_titles=90, title_sd=0.12), (0.0, 0.01)
    )
    (e, f), n = (one[0], other[0]), len(users)
    rmse = [math.sqrt(np.mean(x**2)) for x in (e, f)]
    psi = (e**2 - rmse[0] ** 2) / (2 * n * rmse[0])
    psi -= (f**2 - rmse[1] ** 2) / (2 * n * rmse[1])
    together = (users[:, None] == users) | (titles[:, None] == titles)
    variance = psi @ together @ psi
    groups = Groups.of(users, titles)
    sums = ScoreSums(np.zeros(n), [[e], [f]], groups, SCORES["rmse"])
    parts = sums.estimate(0, minus=1).parts
    of_users = psi @ (users[:, None] == users) @ psi
    of_titles = psi @ (titles[:, None] == titles) @ psi
    corrected = groups.users.correction * of_users
    corrected += groups.titles.correction * of_titles - psi @ psi * n / (n - 1)
    d = rng.normal(0.004, 0.003, 5)
    scale = math.sqrt((1 / 5 + 0.2 / 0.8) * np.var(d, ddof=1))
    t = scipy.stats.t(4, loc=d.mean(), scale=scale)
    expected = t.cdf(-MARGIN), t.cdf(MARGIN) - t.cdf(-MARGIN), t.sf(MARGIN)
    found = repeated_difference(d, test_share=0.2)
    (pair,) = answer_pairs([("", "", found)], margin=MARGIN)
    p = pair.probability
    return (
        abs(parts.total / corrected - 1),
        corrected / variance,
        max(abs(np.array([p.better, p.equivalent, p.worse]) - expected)),
    )


def main(n):
    start = time.process_time()
    worlds = [World(n_users=u) for u in USERS]
    worlds += [World(n_users=u, title_sd=0.04) for u in USERS]
    worlds += [
        World(n_users=u, n_titles=t, title_sd=0.12)
        for u, t in ((600, 3000), (600, 300), (6000, 300), (1000, 50))
    ]
    worlds += [World(title_sd=0.04, n_seeds=3)]
    for world in worlds:
        show(world, measure(world, n), n)
    for text, shifts in (
        ("equal", (0.0,) * 6),
        ("1/1000 apart", tuple(np.arange(6) / 1000)),
    ):
        (raw, corrected), (se, se_corrected) = winners(n, shifts)
        print(
            f"winner of 6 models, {text}: score minus truth {raw:+.5f} (se {se:.5f}), "
            f"corrected {corrected:+.5f} (se {se_corrected:.5f})"
        )
    covered, naive = repeats(n)
    print(
        f"5 repeated splits: covered {covered / n:.1%}, as if independent {naive / n:.1%}"
    )
    most, different = any_false(n)
    print(
        f"among 6 pairs any false answer {most:.1%}, any equal models told apart "
        f"{different:.1%}: at most, over 20 worlds"
    )
    for k, n_sets, both, alone in ranks():
        print(
            f"{k} equal models on {n_sets} data sets: some told apart {both:.1%}, by the "
            f"critical difference alone {alone:.1%}"
        )
    variance, ratio, probability = by_hand()
    print(
        f"two-way variance by hand: relative error {variance:.1e} (corrections for few "
        f"groups make it {ratio:.3f} times as large); probabilities: {probability:.1e}"
    )
    print(f"{n} data sets each, {time.process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1000)
