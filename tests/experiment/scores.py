"""A result on the test set made from the RMSE of each model, with all its sections."""

import math
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import combinations

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.dependence import Uncertain, VarianceParts
from harness.evaluation.equivalence import answer_pairs
from harness.evaluation.measures import Evidence, take_measures
from harness.evaluation.results import (
    BIAS_BASELINE,
    MEAN_BASELINE,
    CalibrationGroup,
    DepthDifference,
    DepthError,
    Difference,
    Judging,
    ModelResult,
    Residuals,
    StarGroup,
    without_interval,
)
from harness.evaluation.statistics import Estimate

TUNED = {"cf": 0.600, "content": 0.680, "hybrid": 0.590, "svd": 0.572}
INITIAL = {"cf": 0.893, "content": 0.917, "hybrid": 0.700, "svd": 0.578}
VARIANTS = {"k-NN without biases": ("cf", 0.905), "SVD without biases": ("svd", 0.640)}
BASELINES = {BIAS_BASELINE: 0.660, MEAN_BASELINE: 0.922}
VARIANCE = 0.85
N_TEST = 4000

PARAMS = {
    ("cf", "initial"): {
        "user_based": True,
        "centering": "basic",
        "similarity": "cosine",
        "min_support": 1,
        "n_neighbors": 40,
    },
    ("cf", "tuned"): {
        "user_based": False,
        "centering": "baseline",
        "similarity": "pearson_baseline",
        "min_support": 2,
        "n_neighbors": 62,
    },
    ("content", "initial"): {
        "metadata_weight": 0.3,
        "genre_weight": 0.35,
        "text_weight": 0.2,
        "people_weight": 0.15,
        "regularization": 10.0,
    },
    ("content", "tuned"): {
        "metadata_weight": 0.08,
        "genre_weight": 0.81,
        "text_weight": 0.32,
        "people_weight": 0.11,
        "regularization": 6.5,
    },
    ("hybrid", "initial"): {"n_factors": 32, "learning_rate": 0.05, "n_epochs": 15},
    ("hybrid", "tuned"): {"n_factors": 48, "learning_rate": 0.11, "n_epochs": 21},
    ("svd", "initial"): {
        "n_factors": 100,
        "learning_rate": 0.005,
        "regularization": 0.02,
        "n_epochs": 20,
    },
    ("svd", "tuned"): {
        "n_factors": 46,
        "learning_rate": 0.012,
        "regularization": 0.061,
        "n_epochs": 44,
    },
}

_GROUPS = {"0": (40, 1.3), "1-5": (260, 1.15), "6-20": (900, 1.02), ">20": (2800, 0.97)}


def estimate(value, half_width=0.008):
    return Estimate(value=value, low=value - half_width, high=value + half_width)


def metrics(rmse, variance=VARIANCE):
    """What Gaussian errors of this size give."""
    return {
        "rmse": estimate(rmse),
        "mae": estimate(rmse * math.sqrt(2 / math.pi)),
        "r2": estimate(1 - rmse**2 / variance),
        "within_half_star": estimate(math.erf(0.5 / rmse / math.sqrt(2))),
        "within_one_star": estimate(math.erf(1 / rmse / math.sqrt(2))),
        "user_rmse": estimate(0.97 * rmse),
    }


def depth(rmse):
    """Errors that fall with the number of ratings and are `rmse` over all pairs."""
    total = sum(n for n, _ in _GROUPS.values())
    level = math.sqrt(sum(n * f**2 for n, f in _GROUPS.values()) / total)
    return tuple(
        DepthError(
            depth=name, n_pairs=n, rmse=estimate(rmse * f / level, 2 / math.sqrt(n))
        )
        for name, (n, f) in _GROUPS.items()
    )


def residuals(rmse):
    shares = {1.0: 0.05, 2.0: 0.10, 3.0: 0.25, 4.0: 0.35, 5.0: 0.25}
    pull = rmse**2 / VARIANCE
    return Residuals(
        by_star=tuple(
            StarGroup(
                star=star,
                n=round(share * N_TEST),
                mean_error=pull * (3.65 - star),
                rmse=math.hypot(pull * (3.65 - star), 0.8 * rmse),
            )
            for star, share in shares.items()
        ),
        calibration=tuple(
            CalibrationGroup(
                predicted=2.2 + 0.3 * k, actual=2.15 + 0.31 * k, n=N_TEST // 10
            )
            for k in range(10)
        ),
    )


def ranking(rmse):
    better = 1 - rmse
    return {
        "ndcg_at_10": estimate(0.05 + 0.3 * better, 0.004),
        "recall_at_10": estimate(0.03 + 0.2 * better, 0.004),
        "catalogue_coverage": without_interval(0.1 + better),
        "intra_list_diversity": without_interval(0.55 + 0.2 * rmse),
        "novelty": without_interval(7.5 + better),
        "serendipity": estimate(0.02 + 0.05 * better, 0.004),
    }


_NOBODY = Ratings.from_columns(["u"], ["i"], [3.0], scale=RatingScale(1, 5))


def model(name, rmse, role, candidate=None, *, costs=None, params=None, **changes):
    """A model, measured by everything in the table of measures."""
    seeds = (0,) if role == "baseline" else (-0.0008, 0.0, 0.0008)
    params = dict(PARAMS.get((candidate, role), {})) | (params or {})
    by_depth = {"users": depth(rmse), "items": depth(1.02 * rmse)}
    evidence = Evidence(
        params=params,
        blocks_off=changes.get("blocks_off", ()),
        train=_NOBODY,
        test=_NOBODY,
        catalogue=Catalogue.empty(),
        predictions=[],
        accuracy=metrics(rmse),
        ranking=ranking(rmse),
        depth=changes.get("depth", by_depth),
        coverage=0.987,
        fit_seconds=0.75,
        costs=costs,
    )
    facts = {
        "name": name,
        "candidate": candidate,
        "family": candidate or "baseline",
        "role": role,
        "params": params,
        "measures": take_measures(evidence),
        "rmse_by_seed": tuple(rmse + shift for shift in seeds),
        "depth": by_depth,
        "residuals": residuals(rmse),
        "n_ranked_users": 480,
    }
    return ModelResult(**(facts | changes))


def models(
    tuned=TUNED, initial=INITIAL, variants=VARIANTS, baselines=BASELINES, costs=None
):
    costs = costs or {}
    found = []
    for candidate, rmse in tuned.items():
        found += [
            model(f"{candidate}, initial", initial[candidate], "initial", candidate),
            model(
                f"{candidate}, tuned",
                rmse,
                "tuned",
                candidate,
                costs=costs.get(candidate),
            ),
        ]
    found += [model(n, rmse, "variant", c) for n, (c, rmse) in variants.items()]
    return found + [
        model(n, rmse, "baseline", costs=costs.get(n)) for n, rmse in baselines.items()
    ]


def differences(models, error=0.004, margin=0.0):
    """Compare by z-tests, as if every difference had the same standard error in stars.

    Without a margin two models are never equivalent, and worse as soon as they differ
    beyond chance.
    """
    rmse = {m.name: m.rmse.value for m in models}
    tuned = [m.name for m in models if m.role == "tuned"]
    of = {(m.candidate, m.role): m.name for m in models}
    ranked = [*tuned, *(name for name in rmse if name == BIAS_BASELINE)]
    groups = {
        "families": [(a, b) for k, a in enumerate(ranked) for b in ranked[k + 1 :]],
        "floor": [(name, MEAN_BASELINE) for name in ranked if MEAN_BASELINE in rmse],
        "tuning": [(of[c, "tuned"], of[c, "initial"]) for c, r in of if r == "tuned"],
        "variants": [
            (of[m.candidate, "initial"], m.name)
            for m in models
            if m.role == "variant" and (m.candidate, "initial") in of
        ],
    }
    return tuple(
        Difference(group=group, **facts)
        for group, pairs in groups.items()
        for facts in _z_tests(rmse, pairs, error, margin)
    )


def _z_tests(rmse, pairs, error, margin=0.0):
    compared = [
        (
            one,
            other,
            Uncertain(
                value=rmse[one] - rmse[other],
                parts=VarianceParts(users=error**2),
                degrees_of_freedom=1e9,
                two_way_ratio=None,
            ),
        )
        for one, other in pairs
    ]
    for pair in answer_pairs(compared, margin=margin):
        yield {
            "answer": pair.answer,
            "p_beyond_margin": pair.p_beyond_margin,
            "p_equivalent": pair.p_equivalent,
            "detectable": pair.detectable,
            "one": pair.one,
            "other": pair.other,
            **asdict(pair.difference),
            "confidence": pair.confidence,
            "p_value": pair.uncertainty.p_value(pair.difference.value),
            "p_holm": pair.p_difference,
        }


def depth_differences(models, error=0.02):
    """Compare tuned models on pairs of which little is known: z-tests, corrected."""
    rivals = [m for m in models if m.role == "tuned" or m.name == BIAS_BASELINE]
    found = []
    for side in ("users", "items"):
        for name, groups in (("0", "0"), ("0-5", "1-5"), ("6-20", "6-20")):
            rmse = {
                m.name: next(
                    g.rmse.value for g in m.depth[side] if g.depth == groups and g.rmse
                )
                for m in rivals
            }
            pairs = list(combinations(rmse, 2))
            found += [
                DepthDifference(group="families", side=side, depth=name, **facts)
                for facts in _z_tests(rmse, pairs, error)
            ]
    return tuple(found)


def _with_gains(models, compared):
    """Add by how much each model beats the bias baseline."""
    rmse = {m.name: m.rmse.value for m in models}
    if BIAS_BASELINE not in rmse:
        return models
    against = {d.one: d for d in compared if d.other == BIAS_BASELINE}
    gains = {}
    for each in models:
        found = against.get(each.name)
        gain = rmse[BIAS_BASELINE] - each.rmse.value
        gains[each.name] = (
            without_interval(gain)
            if found is None
            else Estimate(value=gain, low=-found.high, high=-found.low)
        )
    return [m.with_measures({"gain_over_bias": gains[m.name]}) for m in models]


def make_judging(
    *,
    error=0.004,
    margin=0.0,
    depth_error=0.02,
    best_trials=None,
    changes=None,
    **rmse,
):
    """Build `ExperimentRecord.judging`; `rmse` as the arguments of `models`."""
    scored = models(**rmse)
    tuned = [m.candidate for m in scored if m.role == "tuned"]
    compared = differences(scored, error, margin)
    judging = Judging(
        opened=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        openings=1,
        code_version="0.1.0+gabc1234",
        seeds=(7, 8, 9),
        n_test=N_TEST,
        n_test_users=520,
        test_variance=VARIANCE,
        confidence=0.95,
        margin=margin,
        margin_declared=True,
        best_trials=best_trials or dict.fromkeys(tuned, 7),
        models=tuple(_with_gains(scored, compared)),
        differences=compared,
        depth_differences=depth_differences(scored, depth_error),
    )
    return replace(judging, **(changes or {}))
