"""A made-up experiment of four families, whose numbers tests can vary and work out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from harness.evaluation.measures import MEASURES
from harness.evaluation.metrics import Metric
from harness.evaluation.objectives import find_objective
from harness.evaluation.results import BIAS_BASELINE, Costs, Factor
from harness.experiment.decision import conclude
from harness.experiment.results import ExperimentRecord, LoggedCandidate, LoggedRuns
from harness.experiment.spec import ExperimentSpec
from harness.search.pareto import Margin
from harness.search.records import Environment, StudyRecord, TrialRecord
from tests.experiment.scores import INITIAL, PARAMS, TUNED, make_judging, metrics
from tests.facts import dataset_facts, search_settings, split_facts

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
PREFERENCES = [name for name, m in MEASURES.items() if m.direction is not None]
"""What may decide among families not shown to be worse."""

FOLDS = (-0.010, -0.004, 0.0, 0.004, 0.010)

PROGRESS = (0.0, 0.3, 0.5, None, 0.4, 0.7, None, 1.0, 0.9, "failed", 0.8, 0.95)
"""Share of the way from the initial to the best objective; None: pruned at half of it."""

SPACES = {
    "cf": {
        "user_based": {"type": "categorical", "choices": [False, True]},
        "centering": {"type": "categorical", "choices": ["baseline", "mean", "basic"]},
        "similarity": {
            "type": "categorical",
            "choices": ["pearson_baseline", "msd", "cosine"],
        },
        "min_support": {"type": "int", "low": 1, "high": 10},
        "n_neighbors": {"type": "int", "low": 10, "high": 120, "log": True},
    },
    "content": {
        "metadata_weight": {"type": "float", "low": 0.01, "high": 1.0},
        "genre_weight": {"type": "float", "low": 0.01, "high": 1.0},
        "text_weight": {"type": "float", "low": 0.01, "high": 1.0},
        "people_weight": {"type": "float", "low": 0.01, "high": 1.0},
        "regularization": {"type": "float", "low": 0.5, "high": 50.0, "log": True},
    },
    "hybrid": {
        "n_factors": {"type": "int", "low": 16, "high": 64, "log": True},
        "learning_rate": {"type": "float", "low": 0.02, "high": 0.3, "log": True},
        "n_epochs": {"type": "epochs", "high": 25, "patience": 2},
    },
    "svd": {
        "n_factors": {"type": "int", "low": 16, "high": 100, "log": True},
        "learning_rate": {"type": "float", "low": 0.002, "high": 0.03, "log": True},
        "regularization": {"type": "float", "low": 0.01, "high": 0.2, "log": True},
        "n_epochs": {"type": "epochs", "high": 80, "patience": 3},
    },
}

LABELS = {
    "cf": "collaborative filtering",
    "content": "content-based",
    "hybrid": "hybrid",
    "svd": "SVD",
}

DATASET = dataset_facts(
    name="ott",
    source="ott",
    n_users=540,
    n_items=740,
    n_ratings=20_000,
    simulated=True,
)

SPLIT = split_facts(n_train=16_000, n_test=4000)

ENVIRONMENT = Environment(
    python="CPython 3.13.1",
    platform="Linux x86_64",
    packages={"numpy": "2.3.0", "optuna": "5.0.0"},
)

PROFILE = {
    "sparsity": 0.95,
    "mean": 3.71,
    "variance": 0.86,
    "ratings_per_week": 2.28,
    "average_watch_minutes": 94.2,
    "peak_hours": "20:00-23:00",
    "weekend_to_weekday_ratio": 1.41,
    "primary_genre_affinity": 0.70,
    "genre_diversity": None,
}

RUNS = LoggedRuns(
    experiment=f"{0:032x}",
    candidates={
        candidate: LoggedCandidate(
            trial=7, trial_run=f"{16 + k:032x}", final_run=f"{32 + k:032x}"
        )
        for k, candidate in enumerate(LABELS)
    },
)
"""Ids of runs: 0 of the experiment, from 10 and 20 (hexadecimal) those of candidates."""

PUBLISHED = (
    ("cf", "rmse", 0.89, {}),
    ("content", "rmse", 0.92, {}),
    ("hybrid", "rmse", "not published", {}),
    ("svd", "rmse", 0.5749, {}),
    ("svd", "mae", 0.4677, {}),
    ("svd", "r2", 0.4008, {}),
    ("svd", "within_half_star", 0.6225, {}),
    ("svd", "within_one_star", 0.9118, {}),
    ("svd", "param.n_factors", 100, {"tolerance": 0}),
    ("svd", "fit_seconds", 150, {"tolerance": 0.1, "relative": True}),
    ("svd", "latency_p95_ms", 8, {"role": "tuned", "tolerance": 1}),
    (None, "data.sparsity", 0.95, {}),
    (None, "data.mean", 3.7, {}),
    (None, "data.variance", 0.85, {}),
    (None, "data.ratings_per_week", 2.3, {"tolerance": 0.1, "relative": True}),
    (None, "data.peak_hours", "20:00-23:00", {}),
    (None, "data.genre_diversity", 0.65, {}),
)


def make_claims(published=PUBLISHED):
    return [
        {
            "metric": metric,
            "value": value,
            "quotation": f"words about {metric}",
            **({} if candidate is None else {"candidate": candidate}),
            **more,
        }
        for candidate, metric, value, more in published
    ]


def make_spec(**changes):
    facts = {
        "title": "Four families on a simulated streaming service",
        "publication": "Machine Learning Operations: Implementation of MLFlow",
        "seed": 7,
        "budget": {"trials": 12},
        # So that tests can separate families by small numbers.
        "decision": {"negligible": dict.fromkeys(PREFERENCES, 0.0)},
        "families": {
            candidate: {"label": label} for candidate, label in LABELS.items()
        },
        "variants": [
            {
                "name": "k-NN without biases",
                "candidate": "cf",
                "params": {"centering": "mean"},
                "shows": "the handling of biases",
            },
            {
                "name": "SVD without biases",
                "candidate": "svd",
                "params": {"biased": False},
                "shows": "the handling of biases",
            },
        ],
        "criteria": [
            {"metric": "rmse", "at_most": 0.6},
            {"metric": "gain_over_bias", "at_least": 0.05},
            {"metric": "latency_p95_ms", "candidate": "cf", "at_most": 2},
        ],
        "claims": make_claims(),
    }
    return ExperimentSpec.model_validate(facts | changes)


def make_trial(number, value, state="complete", candidate="svd", params=None):
    """One trial of ten seconds; a pruned one has seen one fold, at `value`."""
    n_folds = {"complete": 5, "pruned": 1, "failed": 0}[state]
    seen = tuple(value + shift for shift in FOLDS[:n_folds])
    return TrialRecord(
        number=number,
        state=state,
        params=params or dict(PARAMS[candidate, "initial"]),
        value=value if state == "complete" else None,
        fold_values=seen,
        metrics={n: m.value for n, m in metrics(value).items()} | {"fit_seconds": 0.7}
        if seen
        else {},
        seed=number,
        started=START + timedelta(seconds=10 * number),
        ended=START + timedelta(seconds=10 * number + 10),
        error="Traceback:\nValueError: too much" if state == "failed" else None,
    )


def _params(candidate, progress):
    """Walk from the initial to the tuned settings."""
    before, after = PARAMS[candidate, "initial"], PARAMS[candidate, "tuned"]
    return {
        name: type(after[name])(value + progress * (after[name] - value))
        if type(value) in {int, float}
        else (after[name] if progress > 0.5 else value)
        for name, value in before.items()
    }


def make_study(candidate, *, initial=None, best=None, progress=PROGRESS, **changes):
    """A search from `initial` to `best`, in stars of RMSE over the folds."""
    first = INITIAL[candidate] + 0.004 if initial is None else initial
    last = TUNED[candidate] + 0.003 if best is None else best
    states = {None: ("pruned", 0.5), "failed": ("failed", 0.2)}
    trials = []
    for number, step in enumerate(progress):
        state, way = states.get(step, ("complete", step))
        value = first + way * (last - first)
        params = _params(candidate, way)
        trials.append(make_trial(number, value, state, candidate, params))
    facts = {
        "name": f"published-{candidate}",
        "family": candidate,
        "settings": search_settings(
            sampler={"name": "tpe", "n_startup_trials": 10},
            pruner={"name": "race", "z": 1.0},
            n_folds=5,
            seed=7,
            jobs=2,
            space=SPACES[candidate],
            initial=PARAMS[candidate, "initial"],
            environment=ENVIRONMENT,
        ),
        "dataset": DATASET,
        "split": SPLIT,
        "code_version": "0.1.0+gabc1234",
        "storage": "optuna.log",
        "trials": tuple(trials),
        "identity": f"{candidate}-0123",
    }
    return StudyRecord(**(facts | changes))


def make_front_study(candidate, sizes, *, margins=(0.005, 0.05), **changes):
    """A search for RMSE and a small model; `sizes` are bytes of its complete trials."""
    study, left = make_study(candidate, **changes), list(sizes)
    trials = [
        replace(
            trial,
            more_values=(size := left.pop(0),),
            metrics={**trial.metrics, "model_bytes": size},
        )
        for trial in study.trials
        if trial.state == "complete"
    ]
    settings = replace(
        study.settings,
        more_metrics=(Metric("model_bytes", "minimize"),),
        margins=(Margin(margins[0]), Margin(margins[1], is_share=True)),
    )
    return replace(study, trials=tuple(trials), settings=settings)


def make_costs(p95=None, **changes):
    """Costs by candidate; `p95` maps candidates to their latency in milliseconds."""
    usual = {"cf": 6.1, "content": 3.2, "hybrid": 0.9, "svd": 0.42, BIAS_BASELINE: 0.2}
    megabytes = {"cf": 21, "content": 34, "hybrid": 4.1, "svd": 1.3, BIAS_BASELINE: 0.1}
    seconds = {
        "cf": 0.31,
        "content": 1.9,
        "hybrid": 4.4,
        "svd": 0.62,
        BIAS_BASELINE: 0.1,
    }
    return {
        name: Costs(
            **{
                "fit_seconds": seconds[name],
                "latency_p50_ms": 0.8 * value,
                "latency_p95_ms": value,
                "latency_p99_ms": 1.6 * value,
                "n_calls": 1000,
                "n_titles": 740,
                "peak_memory_bytes": 180_000_000 + round(5e6 * megabytes[name]),
                "model_bytes": round(1e6 * megabytes[name]),
                **changes.get(name, {}),
            }
        )
        for name, value in (usual | (p95 or {})).items()
    }


def make_factors():
    return {
        "svd": tuple(
            Factor(
                label=f"factor {k}",
                share=0.3 / k,
                trait=("Dramas", "the 1990s", None)[k % 3],
                correlation=0.6 / k,
                positive=tuple(f"Title {k}{letter}" for letter in "ABC"),
                negative=tuple(f"Title {k}{letter}" for letter in "XYZ"),
            )
            for k in range(1, 6)
        )
    }


def make_record(*, judged=None, opened=True, **changes):
    """The experiment, its search done; `judged` are arguments of `make_judging`."""
    candidates = tuple(LABELS)
    costs = changes.get("costs", make_costs())
    facts = {
        "name": "published",
        "spec": make_spec(),
        "storage": "optuna.log",
        "dataset": DATASET,
        "split": SPLIT,
        "file": "experiments/published.toml",
        "jobs": 2,
        "environment": ENVIRONMENT,
        "code_version": "0.1.0+gabc1234",
        "started": START,
        "studies": {candidate: make_study(candidate) for candidate in candidates},
        "profile": PROFILE,
        "fresh_folds": {
            candidate: TUNED[candidate] + 0.005 for candidate in candidates
        },
        "costs": costs,
        "factors": make_factors(),
        "judging": make_judging(**({"costs": costs} | (judged or {})))
        if opened
        else None,
    }
    return conclude(ExperimentRecord(**(facts | changes)))


def make_study_record(candidate="svd", *, study=None, judged=None, **changes):
    """One family, as `harness study` makes it: no file, no claims, no criteria."""
    study = study or make_study(candidate)
    spec = ExperimentSpec.model_validate(
        {
            "title": f"Study of {candidate}",
            "seed": 7,
            "budget": {"trials": 12},
            "families": {candidate: {}},
        }
    )
    scores = {"tuned": {candidate: TUNED[candidate]}, "variants": {}}
    facts = {
        "name": study.name,
        "spec": spec,
        "studies": {candidate: study},
        "dataset": study.dataset,
        "split": study.split,
        "file": None,
        "fresh_folds": {candidate: TUNED[candidate] + 0.005},
        "factors": {},
        "judged": scores | (judged or {}),
    }
    return make_record(**(facts | changes))


def with_models(record, change):
    """Change models by a function, and draw the conclusions again."""
    judging = record.judging
    models = tuple(change(model) for model in judging.models)
    return conclude(replace(record, judging=replace(judging, models=models)))


def concluded(record, **changes):
    """Change a record, and draw the conclusions again."""
    return conclude(replace(record, **changes))


def on_data_sets(tuned_by_name, **changes):
    """Experiments alike, each on ratings of its own: name to the RMSE of each family."""
    template = make_record(**changes)
    return {
        name: replace(
            template,
            name=name,
            dataset=replace(template.dataset, ratings_fingerprint=name),
            judging=make_judging(tuned=tuned, variants={}, initial=tuned, margin=0.005),
        )
        for name, tuned in tuned_by_name.items()
    }


def for_ndcg(record):
    """The same experiment, had its searches been for NDCG."""
    metric = find_objective("ndcg_at_10")
    studies = {
        candidate: replace(study, settings=replace(study.settings, metric=metric))
        for candidate, study in record.studies.items()
    }
    # NDCG falls with RMSE in these scores, by 0.3 for each star.
    judging = record.judging
    turned = [
        replace(d, value=0.3 * d.value, low=0.3 * d.low, high=0.3 * d.high)
        for d in judging.differences
    ]
    judging = replace(judging, differences=tuple(turned))
    return concluded(record, studies=studies, judging=judging)
