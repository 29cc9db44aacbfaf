"""The card of a packaged model: what it is, how good, on which data, how to call it."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["write_card"]

_CALLS = """\
## How to call it

Served by `harness serve` or `mlflow models serve --env-manager local`; ids are text, and
whole numbers are taken as text.

The best titles for users (`n` for each, 10 if it is left out):

```sh
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
  -d '{"dataframe_records": [{"user": "USER"}], "params": {"n": 10}}'
```

Predicted ratings, one for each row:

```sh
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
  -d '{"dataframe_records": [{"user": "USER", "item": "ITEM"}]}'
```

Users and titles that the model does not know get its answer for strangers (the cold
start), never an error: `known` is false where the user, or the title asked for, has no
training ratings. Titles that a user rated in the training part are left out of its
recommendations, and one question gets at most 100,000 of them. `stars` lie within the rating
scale; `score` is what titles are ranked by, the prediction before it is clipped to the scale.
"""
_NAMES = {
    "rmse": "RMSE (stars)",
    "mae": "MAE (stars)",
    "r2": "R²",
    "within_half_star": "share within half a star",
    "within_one_star": "share within one star",
    "user_rmse": "mean RMSE per user (stars)",
}


def write_card(
    facts: Mapping[str, Any], params: Mapping[str, Any], *, has_report: bool
) -> str:
    """Write the card of a model.

    Parameters
    ----------
    facts : mapping
        Those of the packaged model.
    params : mapping
        Its hyperparameters.
    has_report : bool
        Whether the report of the study or experiment lies beside it.

    Returns
    -------
    str
        Markdown.
    """
    return "\n".join(
        [*_introduce(facts), *_list_params(params), *_judge(facts), _CALLS]
    ) + (
        "\nThe report that led to it is in the folder `report`.\n" if has_report else ""
    )


def _introduce(facts: Mapping[str, Any]) -> Iterator[str]:
    data, split = facts["dataset"], facts["split"]
    low, high = data["scale"]
    origin = f"study `{facts['study']}`"
    if facts["experiment"] is not None:
        origin += f" of the experiment `{facts['experiment']}`"
    if facts["trial"] is not None:
        origin += f", trial {facts['trial']}"
    yield f"# {facts['family']} on {data['name']}"
    yield ""
    yield f"A recommender of the family `{facts['family']}`: {origin}."
    yield ""
    if data["simulated"]:
        yield "**The ratings are simulated.**"
        yield ""
    yield (
        f"Trained on {facts['n_train']:,} of {data['n_ratings']:,} ratings "
        f"({low:g} to {high:g} stars) by {data['n_users']:,} users of "
        f"{data['n_items']:,} titles. Data `{data['fingerprint']}`, split "
        f"`{split['method']}` `{split['fingerprint']}`, harness {facts['code_version']}."
    )
    yield ""


def _list_params(params: Mapping[str, Any]) -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "| parameter | value |"
    yield "|---|---|"
    for name, value in params.items():
        shown = f"{value:.6g}" if isinstance(value, float) else value
        yield f"| `{name}` | {shown} |"
    yield ""


def _judge(facts: Mapping[str, Any]) -> Iterator[str]:
    if not facts["metrics"]:
        return
    yield "## On the sealed test set"
    yield ""
    yield "| metric | value | 95 % interval |"
    yield "|---|---|---|"
    for name, figure in facts["metrics"].items():
        interval = f"{figure['low']:.4f} to {figure['high']:.4f}"
        yield f"| {_NAMES.get(name, name)} | {figure['value']:.4f} | {interval} |"
    yield ""
