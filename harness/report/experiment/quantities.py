"""How each measured quantity is called and written."""

from harness.experiment.measures import BLOCK, DATA, PARAM, label_of
from harness.report.data_tables import NAMES as DATA_NAMES
from harness.report.digits import duration, metric, milliseconds, size
from harness.report.markdown import code, escape

__all__ = ["label", "write", "write_difference", "write_published", "write_tolerance"]

_SHARES = {"coverage", "catalogue_coverage"}
_UNITLESS = {"ndcg_at_10", "recall_at_10", "intra_list_diversity", "serendipity"}
_NOTHING = "-"
_ROUNDING = 1e-9


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


def write_difference(name: str, one: float, other: float) -> str:
    """Write by how much one value exceeds another, with its sign.

    Parameters
    ----------
    name : str
        As in `label`.
    one, other : float
        Two values.

    Returns
    -------
    str
        Markdown: as many decimals as the values have in a table, one more for weights;
        shares in percentage points; 0 where nothing is left after rounding.

    Examples
    --------
    >>> write_difference("data.mean", 3.7006, 3.7), write_difference("data.mean", 3.9, 3.7)
    ('+0.001', '+0.2')
    >>> write_difference("within_one_star", 0.919, 0.9118), write_difference("rmse", 1, 1)
    ('+0.7 points', '0')
    """
    gap = one - other
    if name in _SHARES or name.startswith("within_"):
        size = f"{100 * abs(gap):.1f} points"
    elif name.startswith((PARAM, DATA)):
        size = f"{round(abs(gap), _n_decimals(max(abs(one), abs(other)))):.4g}"
    elif name.startswith(BLOCK):
        size = f"{abs(gap):.3f}"
    else:
        size = write(name, abs(gap))
    if not any(digit in size for digit in "123456789") or abs(gap) < _ROUNDING:
        return "0"
    return f"{'-' if gap < 0 else '+'}{size}"


def _n_decimals(value: float) -> int:
    """Count the decimals that a value with four significant digits has at most."""
    whole = len(f"{value:.0f}") if value >= 1 else 0
    return max(0, 4 - whole)


def write_tolerance(name: str, value: float) -> str:
    """Write how large a difference may be.

    Parameters
    ----------
    name : str
        As in `label`.
    value : float
        The tolerance.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> write_tolerance("within_one_star", 0.02), write_tolerance("rmse", 0.02)
    ('2 points', '0.02')
    """
    if name in _SHARES or name.startswith("within_"):
        return f"{100 * value:.6g} points"
    return write_published(name, value)
