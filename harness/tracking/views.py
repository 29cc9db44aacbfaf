"""The lists of runs that MLflow's web interface offers: their rows, columns and order.

MLflow keeps a "saved view" as JSON in a tag of the experiment; its menu "Views" lists
them by name, and a link names the tag. Without one the list has neither metrics nor
parameters, and shows one row, the topmost run. Tried with MLflow 3.17; an interface that
does not know the tags sorts by date.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

__all__ = [
    "FINALS_VIEW",
    "NESTED_VIEW",
    "TRIALS_VIEW",
    "VIEWS",
    "View",
    "merge_trials_view",
    "trial_parameters",
    "views_in",
]


_TAG_PREFIX = "mlflow.sharedViewState."
_MOST_PARAMETERS = 12
_RUN_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo", "duration")
_DATASET = "attributes.`Dataset`"
_NARROW, _WIDE = 110, 240
_NAME_WIDTH = 270


@dataclass(frozen=True, kw_only=True)
class View:
    """A list of runs."""

    # What a link names it by.
    key: str
    name: str
    # Names of the columns, in order.
    tags: tuple[str, ...]
    metrics: tuple[str, ...]
    order_by: str
    ascending: bool = True
    # Search filter of MLflow; all runs if empty.
    only: str = ""

    @property
    def tag(self) -> str:
        """Name of the experiment's tag that holds it."""
        return _TAG_PREFIX + self.key

    def of(self, dataset: str) -> "View":
        """Leave the runs of one data set: scores on different scales have no order."""
        quote = '"' if "'" in dataset else "'"
        only = f"tags.dataset = {quote}{dataset}{quote}"
        slug = re.sub(r"[^\w.-]", "-", dataset)[:100]
        return replace(
            self,
            key=f"{self.key}-{slug}",
            name=f"{self.name}: {dataset}",
            only=f"{self.only} AND {only}" if self.only else only,
        )

    def as_json(self, params: Iterable[str] = ()) -> str:
        """Write it as MLflow keeps it."""
        columns = [f"tags.`{name}`" for name in self.tags]
        columns += [f"metrics.`{name}`" for name in self.metrics]
        columns += [f"params.`{name}`" for name in params]
        state = {
            "searchFilter": self.only,
            "orderByKey": self.order_by,
            "orderByAsc": self.ascending,
            "selectedColumns": [*columns, _DATASET],
            "columnOrder": [*_RUN_COLUMNS, *columns, _DATASET],
            "columnWidths": dict.fromkeys(columns, _NARROW)
            | {_RUN_COLUMNS[0]: _NAME_WIDTH, _DATASET: _WIDE},
        }
        # MLflow shows no date of a view; the same view is the same text.
        envelope = {"name": self.name, "createdAt": 0, "state": json.dumps(state)}
        return json.dumps(envelope)


TRIALS_VIEW = View(
    key="harness-trials",
    name="best trials first",
    tags=("family", "state"),
    metrics=("rmse", "rmse_fold_sd", "fit_seconds", "mae"),
    order_by="metrics.`rmse`",
    only="tags.level = 'trial'",
)
"""Sorted by a metric, MLflow shows no nesting: only trials have this one, and lead."""

FINALS_VIEW = View(
    key="harness-finals",
    name="final models",
    tags=("experiment", "verdict"),
    metrics=(
        *("test_rmse", "test_rmse_low", "test_rmse_high", "fit_seconds"),
        *("latency_p95_ms", "model_mb", "ndcg_at_10", "search_rmse"),
    ),
    order_by="metrics.`test_rmse`",
    only="tags.level = 'final'",
)

NESTED_VIEW = View(
    key="harness-nested",
    name="experiments, studies, final models",
    tags=("family", "state"),
    metrics=("test_rmse", "best_rmse", "rmse", "rmse_fold_sd", "fit_seconds"),
    # Only in the order of time does MLflow show which run stands below which.
    order_by="attributes.start_time",
    ascending=False,
    # MLflow loads a hundred runs at a time, folded in or not: trials would be most.
    only="tags.level != 'trial'",
)

VIEWS = (FINALS_VIEW, NESTED_VIEW, TRIALS_VIEW)
"""In the order in which they are of interest."""


def views_in(tags: Mapping[str, str]) -> dict[str, str]:
    """Name the lists that an experiment offers, and what a link names each by."""
    return {
        json.loads(tags[tag])["name"]: tag.removeprefix(_TAG_PREFIX)
        for view in VIEWS
        for tag in sorted(tags)
        # One for each data set; but what is folded in needs no order by scores.
        if tag.startswith(f"{view.tag}-") or tag == view.tag == NESTED_VIEW.tag
    }


def merge_trials_view(
    tags: Mapping[str, str], params: Iterable[str], view: View
) -> str:
    """Describe the list of trials, the best one first, with their parameters."""
    shown = [*trial_parameters(tags, view)]
    shown += [name for name in params if name not in shown]
    return view.as_json(shown[:_MOST_PARAMETERS])


def trial_parameters(tags: Mapping[str, str], view: View) -> list[str]:
    """List the parameters that the list of trials shows."""
    try:
        kept = json.loads(tags.get(view.tag, "{}"))
        columns = json.loads(kept["state"])["selectedColumns"]
        params = [c for c in columns if c.startswith("params.`")]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    return [name.removeprefix("params.`").removesuffix("`") for name in params]
