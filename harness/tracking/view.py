"""The list of runs that MLflow's web interface opens on: its columns and its order.

MLflow's "shared view" keeps these as JSON in a tag of the experiment, and a link names
the tag. Without it the list has neither metrics nor parameters, and shows one row, the
study. Tried with MLflow 3.17; an interface that does not know the tag sorts by date.
"""

import json
from collections.abc import Iterable, Mapping

__all__ = ["VIEW_KEY", "VIEW_TAG", "merge_view", "view_parameters"]

VIEW_KEY = "harness"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"

_MOST_PARAMETERS = 12
_METRICS = ("rmse", "mae")
_FIRST_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo", "duration")
_DATASET = "attributes.`Dataset`"


def merge_view(tags: Mapping[str, str], params: Iterable[str]) -> str:
    """Describe the list of runs: the best trial first, with metrics and parameters.

    Parameters
    ----------
    tags : mapping of str to str
        Tags of the experiment; the columns of a view that is there are kept.
    params : iterable of str
        Names of the parameters to show, those of one family.

    Returns
    -------
    str
        JSON, the value of `VIEW_TAG`.
    """
    shown = [*view_parameters(tags)]
    shown += [name for name in params if name not in shown]
    numbers = [f"metrics.`{name}`" for name in _METRICS]
    numbers += [f"params.`{name}`" for name in shown[:_MOST_PARAMETERS]]
    state = {
        "orderByKey": "metrics.`rmse`",
        "orderByAsc": True,
        "selectedColumns": [*numbers, _DATASET],
        "columnOrder": [*_FIRST_COLUMNS, *numbers, _DATASET],
        "columnWidths": {_DATASET: 240} | dict.fromkeys(numbers, 105),
    }
    return json.dumps(state)


def view_parameters(tags: Mapping[str, str]) -> list[str]:
    """List the parameters that a view shows.

    Parameters
    ----------
    tags : mapping of str to str
        Tags of the experiment.

    Returns
    -------
    list of str
        Names; none where there is no view, or one that cannot be read.
    """
    try:
        columns = json.loads(tags.get(VIEW_TAG, "{}"))["selectedColumns"]
        params = [c for c in columns if c.startswith("params.`")]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    return [name.removeprefix("params.`").removesuffix("`") for name in params]
