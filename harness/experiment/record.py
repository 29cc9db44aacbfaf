"""What is known of an experiment: what reports, trackers and promotions read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.evaluation.final import BIAS_BASELINE, MEAN_BASELINE
from harness.experiment.spec import ExperimentSpec
from harness.search.records import StudyRecord

__all__ = ["BIAS_BASELINE", "MEAN_BASELINE", "ExperimentRecord"]


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """One experiment, as the storage has it.

    A *candidate* is one entry under ``[families]`` of the experiment file: a family with
    a search space. A *model* is one set of settings that was scored on the test set.

    Parameters
    ----------
    name : str
        Name of the experiment; its studies are called ``<name>-<candidate>``.
    spec : ExperimentSpec
        What the file says, defaults filled in.
    storage : str
        Where its studies are kept, without a password.
    dataset, split : mapping
        JSON-like facts, as in `StudyRecord`.
    settings : mapping
        JSON-like: ``seed``, ``jobs``, ``n_folds``, ``file`` (as the user named it),
        ``environment``.
    code_version : str
        Version of harness.
    started : datetime
        When it was created, in UTC.
    studies : mapping of str to StudyRecord
        Candidate to its study, in the order of the file; those that were started.
    profile : mapping
        JSON-like: `harness.data.profile.DataProfile.characteristics`, what the published
        study prints about its data, measured on all ratings: ``sparsity``, ``mean``,
        ``variance``, ``ratings_per_week``, ``average_watch_minutes``, ``peak_hours``,
        ``weekend_to_weekday_ratio``, ``primary_genre_affinity``, ``genre_diversity``;
        a value is None where the source does not tell.
    fresh_folds : mapping of str to float or None
        Candidate to the RMSE of its best settings on folds the search has not seen;
        None where folds follow each other in time.
    efficiency : mapping of str to mapping
        Candidate to what its tuned model costs, measured in a process of its own
        (`harness.evaluation.costs`): ``fit_seconds``, ``latency_ms`` (``p50``,
        ``p95``, ``p99``, ``n_calls``; one user's top 10), ``n_titles``,
        ``peak_memory_bytes``, ``model_bytes``. The bias baseline is there too, under
        `BIAS_BASELINE`.
    factors : mapping of str to list of mapping
        Candidate (of a family with latent factors) to its strongest factors, strongest
        first: ``label`` ("factor 3"), ``share`` (of the variance of all factors' part of
        the prediction), ``trait`` (genre or decade it goes with, or None),
        ``correlation``, ``positive`` and ``negative`` (titles at its ends).
    runs : mapping
        JSON-like: which runs of MLflow hold the numbers, as they were logged last:
        ``experiment`` (id of its own run) and ``candidates``: candidate to ``trial``
        (number of the trial that was judged), ``trial_run`` (id of its run) and
        ``final_run`` (id of the run of the tuned model on the test set). What is not
        logged is left out; empty if nothing was.
    final : mapping or None
        JSON-like result on the test set, once it was opened:

        - ``opened`` (ISO time, UTC), ``looks`` (how often test ratings of this split were
          opened, by all studies and experiments of this storage), ``seeds``,
          ``n_test``, ``n_test_users``, ``confidence``,
          ``best_trials`` (candidate to number of the trial that was judged),
          ``test_variance`` (of the test ratings, in squared stars), ``declared`` (rule,
          criteria, claims and families as the file had them before the first look; see
          `harness.experiment.decision`), ``code_version`` (which has judged);
        - ``models``: a list, in the order initial and tuned of each candidate, variants,
          baselines. Each has ``name`` (unique: "svd, tuned"; "svd, initial"; the name of
          the variant or the baseline), ``candidate`` (None for baselines), ``family``,
          ``role`` ("tuned", "initial", "variant" or "baseline"), ``params``,
          ``metrics`` ({name: {``value``, ``low``, ``high``}} for ``rmse``, ``mae``,
          ``r2``, ``within_half_star``, ``within_one_star``, ``user_rmse``),
          ``rmse_by_seed``, ``fit_seconds``, and the sections below;
        - of each model ``depth``: {``users``: [...], ``items``: [...]}, for depths "0",
          "1-5", "6-20", ">20" of training ratings: ``depth``, ``n_pairs``, ``value``,
          ``low``, ``high`` (RMSE; None without pairs);
        - ``coverage``: share of test pairs whose user and title have training ratings;
        - ``residuals``: ``by_star`` [{``star``, ``n``, ``mean_error``, ``rmse``}] (mean of
          prediction minus truth) and ``calibration`` [{``predicted``, ``actual``, ``n``}]
          (equal-sized groups by prediction);
        - ``ranking``: ``ndcg_at_10``, ``ndcg_error`` (its standard error), ``recall_at_10``, ``catalogue_coverage``,
          ``intra_list_diversity`` (None without a catalogue), ``novelty`` (bits),
          ``serendipity``, ``n_users``;
        - ``notes``: sentences on what the family cannot do for want of metadata
          (`Recommender.notes_on`); records of older versions have none;
        - ``differences``: pairs of models on the same test pairs. Each has ``group``
          ("families": all pairs among tuned models and the bias baseline; "tuning":
          tuned minus initial, and "variants": initial minus variant), ``one``,
          ``other``, ``value``, ``low``, ``high`` (RMSE of one minus RMSE of the other,
          in stars), ``p_value``, and ``p_holm``, corrected within its group;
        - ``depth_differences``: the same of tuned models and the bias baseline on the test
          pairs of one ``side`` and ``depth``; see `harness.evaluation.cold_start`.
    """

    name: str
    spec: ExperimentSpec
    storage: str
    dataset: Mapping[str, Any]
    split: Mapping[str, Any]
    settings: Mapping[str, Any]
    code_version: str
    started: datetime
    studies: Mapping[str, StudyRecord] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    fresh_folds: Mapping[str, float | None] = field(default_factory=dict)
    efficiency: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    factors: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    runs: Mapping[str, Any] = field(default_factory=dict)
    final: Mapping[str, Any] | None = None

    @property
    def models(self) -> list[Mapping[str, Any]]:
        """The models that were scored on the test set; none before it was opened.

        Those of candidates that are no longer in the file are left out.
        """
        return [
            model
            for model in (self.final or {}).get("models", ())
            if model["candidate"] is None or model["candidate"] in self.spec.families
        ]

    def model(self, candidate: str, role: str = "tuned") -> Mapping[str, Any] | None:
        """Find the model of a candidate."""
        found = (
            m for m in self.models if m["candidate"] == candidate and m["role"] == role
        )
        return next(found, None)

    def baseline(self, name: str = BIAS_BASELINE) -> Mapping[str, Any] | None:
        """Find a baseline by its name; None before the test set was opened."""
        return next((m for m in self.models if m["name"] == name), None)

    def difference(self, one: str, other: str) -> Mapping[str, Any] | None:
        """Find how two models differ, as in `final`, turned so that `one` comes first."""
        return _find((self.final or {}).get("differences", ()), one, other)

    def depth_difference(
        self, one: str, other: str, *, side: str, depth: str
    ) -> Mapping[str, Any] | None:
        """Find how two models differ on pairs of which little is known."""
        there = (
            found
            for found in (self.final or {}).get("depth_differences", ())
            if (found["side"], found["depth"]) == (side, depth)
        )
        return _find(there, one, other)


def _find(
    differences: Iterable[Mapping[str, Any]], one: str, other: str
) -> Mapping[str, Any] | None:
    """Find a pair in either order, and turn it so that `one` comes first."""
    for found in differences:
        if (found["one"], found["other"]) == (one, other):
            return dict(found)
        if (found["one"], found["other"]) == (other, one):
            turned = {
                "one": one,
                "other": other,
                "value": -found["value"],
                "low": -found["high"],
                "high": -found["low"],
            }
            return {**found, **turned}
    return None
