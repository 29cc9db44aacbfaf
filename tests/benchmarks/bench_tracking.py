"""What tracking costs a trial: ``python tests/benchmarks/bench_tracking.py``.

Milliseconds of the call that the study waits for, of the background thread (wall clock
and processor), and the same for the usual callback, in one process on one new database.
"""

import argparse
import logging
import tempfile
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from harness.data.dataset import DatasetFacts
from harness.evaluation.splits import SplitFacts
from harness.search.records import SearchSettings, StudyRecord, TrialRecord
from harness.tracking.live import MLflowTracker
from harness.tracking.location import locate
from harness.tracking.runs import StudyRuns
from harness.tracking.store import open_store

PARAMS = ("n_factors", "learning_rate", "regularization", "init_std", "n_epochs")
METRICS = ("rmse", "mae", "r2", "within_half_star", "within_one_star", "fit_seconds")


def make_study(n_trials):
    start = datetime(2026, 3, 1, tzinfo=UTC)
    trials = tuple(
        TrialRecord(
            number=number,
            state="complete",
            params=dict.fromkeys(PARAMS, 0.1 + number),
            value=0.95 - number / 1000,
            fold_values=tuple(0.95 - number / 1000 + f / 1000 for f in range(-2, 3)),
            metrics=dict.fromkeys(METRICS, 0.95 - number / 1000),
            seed=number,
            started=start + timedelta(seconds=number),
            ended=start + timedelta(seconds=number + 1),
        )
        for number in range(n_trials)
    )
    return StudyRecord(
        name="bench",
        family="svd",
        settings=SearchSettings(),
        dataset=DatasetFacts(
            name="toy",
            source="toy.csv",
            fingerprint="0" * 16,
            ratings_fingerprint="2" * 16,
            n_users=1_000,
            n_items=2_000,
            n_ratings=100_000,
            scale=(1.0, 5.0),
        ),
        split=SplitFacts(
            method="random",
            seed=0,
            test_share=0.2,
            fingerprint="1" * 16,
            n_train=80_000,
            n_test=20_000,
        ),
        code_version="0.1.0",
        storage="optuna.log",
        trials=trials,
        identity="bench",
    )


def measure_tracker(uri, study):
    """Return ms a trial: on the critical path, in the background, processor.

    The background is measured until everything is written, the run of the study and
    the search that makes sure of it included, but without the import of MLflow.
    """
    location = locate(uri)
    empty = replace(study, trials=())
    StudyRuns(open_store(location), empty).write(empty)
    tracker = MLflowTracker(location, warn=print)
    calls = []
    wall, cpu = time.perf_counter(), time.process_time()
    tracker.on_study_start(empty)
    for trial in study.trials:
        begun = time.perf_counter()
        tracker.on_trial_end(study, trial)
        calls.append(time.perf_counter() - begun)
    tracker.on_study_end(study)
    assert tracker.close(timeout=60)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert set(StudyRuns(open_store(location), study).write(study)) == {"unchanged"}
    return [1e3 * seconds / len(calls) for seconds in (sum(calls), wall, cpu)]


def measure_usual_callback(uri, n_trials):
    """Return ms a trial of `optuna_integration.MLflowCallback`: wall, processor."""
    import mlflow
    import optuna
    from optuna_integration import MLflowCallback

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    mlflow.set_tracking_uri(uri)
    callback = MLflowCallback(tracking_uri=uri, metric_name="rmse")

    def objective(trial):
        return sum(trial.suggest_float(name, 0.0, 1.0) for name in PARAMS)

    study = optuna.create_study(
        study_name="usual", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=1, callbacks=[callback])
    wall, cpu = time.perf_counter(), time.process_time()
    trials = [study.ask() for _ in range(n_trials - 1)]
    for trial in trials:
        callback(study, study.tell(trial, objective(trial)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return [1e3 * seconds / (n_trials - 1) for seconds in (wall, cpu)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    n_trials = parser.parse_args().trials
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        call, wall, cpu = measure_tracker(f"sqlite:///{path}", make_study(n_trials))
        print(f"ms a trial, {n_trials} trials    waited for   background    processor")
        print(f"harness                 {call:10.4f} {wall:12.1f} {cpu:12.1f}")
        if find_spec("optuna_integration") is None:
            print(
                "The usual callback is left out: pip install 'optuna-integration[mlflow]'."
            )
            return
        usual_wall, usual_cpu = measure_usual_callback(f"sqlite:///{path}", n_trials)
    print(f"usual callback          {usual_wall:10.4f} {'-':>12} {usual_cpu:12.1f}")
    print(
        f"usual callback / harness{usual_wall / call:10.0f} {'-':>12} {usual_cpu / cpu:12.1f}"
    )


if __name__ == "__main__":
    main()
