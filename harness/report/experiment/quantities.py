"""How each measured quantity is called and written."""

from harness.experiment.measures import BLOCK, DATA, PARAM, label_of
from harness.report.data_tables import NAMES as DATA_NAMES
from harness.report.digits import duration, metric, milliseconds, size
from harness.report.markdown import code, escape

__all__ = ["label", "write", "write_published"]

_SHARES = {"coverage", "catalogue_coverage"}
_UNITLESS = {"ndcg_at_10", "recall_at_10", "intra_list_diversity", "serendipity"}
_NOTHING = "-"


def label(name: str) -> str:
    """Name a quantity for people.

    Parameters
    ----------
    name : str
        As in the claims and criteria of an experiment file.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> label("latency_p95_ms"), label("param.n_factors"), label("data.sparsity")
    ('p95 latency', '`n_factors`', 'sparsity')
    """
    if name.startswith(PARAM):
        return code(label_of(name))
    # Those of data have their units here, as in the report on data.
    return DATA_NAMES.get(name.removeprefix(DATA)) or escape(label_of(name))


def write(name: str, value: float | str | None) -> str:
    """Write a value as such quantities are usually read.

    Parameters
    ----------
    name : str
        As in `label`.
    value : float, str or None
        What was measured or published.

    Returns
    -------
    str
        Markdown; ``-`` for None.

    Examples
    --------
    >>> write("latency_p95_ms", 7.34), write("rmse", 0.5749), write("ndcg_at_10", 0.21)
    ('7.3 ms', '0.5749', '0.210')
    """
    if value is None or isinstance(value, str):
        return _NOTHING if value is None else escape(value)
    if name.startswith((PARAM, DATA)):
        return f"{value:.4g}"
    if name.endswith("_ms"):
        return milliseconds(value)
    if name.endswith("_seconds"):
        return duration(value)
    if name.endswith("_bytes"):
        return size(value)
    return _plain(name, value)


def _plain(name: str, value: float) -> str:
    if name in _SHARES:
        return f"{100 * value:.1f} %"
    if name.startswith(BLOCK):
        return f"{value:.2f}"
    if name in _UNITLESS:
        return f"{value:.3f}"
    return f"{value:.1f} bits" if name == "novelty" else metric(name, value)


def write_published(name: str, value: float | str | None) -> str:
    """Write a figure as somebody has given it: 0.89 is not 0.8900.

    Parameters
    ----------
    name : str
        As in `label`.
    value : float, str or None
        What was published or required.

    Returns
    -------
    str
        Markdown; ``-`` for None.

    Examples
    --------
    >>> write_published("rmse", 0.89), write_published("within_half_star", 0.6225)
    ('0.89', '62.25 %')
    >>> write_published("latency_p95_ms", 8), write_published("fit_seconds", 150)
    ('8 ms', '2 min 30 s')
    """
    if value is None or isinstance(value, str) or name.endswith(("_seconds", "_bytes")):
        return write(name, value)
    if name in _SHARES or name.startswith("within_"):
        return f"{100 * value:.6g} %"
    return f"{value:.6g}{' ms' if name.endswith('_ms') else ''}"
