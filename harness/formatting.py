"""How numbers and differences are written: as many digits as they can bear."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Comparison",
    "duration",
    "hide_password",
    "in_words",
    "milliseconds",
    "p_relation",
    "p_value",
    "percent",
    "probability",
    "setting",
    "shared_unit",
    "size",
    "stars",
    "unit_of_scale",
]


_UNITS = ("B", "kB", "MB", "GB")


def stars(value: float) -> str:
    """Write an error in stars."""
    text = f"{value:.4f}"
    return "0.0000" if text == "-0.0000" else text


def percent(share: float, digits: int = 0) -> str:
    """Write a share.

    Examples
    --------
    >>> percent(0.1333), percent(-0.001, 1), percent(0.004), percent(0)
    ('13 %', '-0.1 %', '< 1 %', '0 %')
    >>> percent(0.0004, 1), percent(0.9996, 1)
    ('< 0.1 %', '> 99.9 %')
    """
    # Only nothing is written as 0 %, and only all as 100 %.
    half = 0.5 * 10 ** -(digits + 2)
    if 0 < share < half:
        return f"< {10**-digits:g} %"
    if 1 - half < share < 1:
        return f"> {100 - 10**-digits:g} %"
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(100 * share, digits) + 0.0:.{digits}f} %"


def probability(value: float) -> str:
    """Write a probability of what is never certain; floats round it to 0 and 1.

    Examples
    --------
    >>> probability(1.0), probability(0.25)
    ('> 99.9 %', '25.0 %')
    """
    return percent(min(max(value, 1e-12), 1 - 1e-12), 1)


def unit_of_scale(scale: Sequence[float] | None) -> str:
    """Name the unit of ratings: stars on a scale that ends at 5, points on any other.

    Examples
    --------
    >>> unit_of_scale((0.5, 5)), unit_of_scale((0, 100)), unit_of_scale(None)
    ('stars', 'points', 'stars')
    """
    if scale is None:
        return "stars"
    low, high = scale
    return "stars" if high == 5 and 0 <= low <= 1 else "points"


def p_value(value: float) -> str:
    """Write a p-value.

    Examples
    --------
    >>> p_value(0.0123), p_value(0.0001)
    ('0.012', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_relation(value: float) -> str:
    """Write a p-value with its sign of relation, to stand behind a letter p.

    Examples
    --------
    >>> p_relation(0.0123), p_relation(0.0001)
    ('= 0.012', '< 0.001')
    """
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def in_words(parts: Sequence[str]) -> str:
    """List parts of a sentence.

    Examples
    --------
    >>> in_words(["svd", "cf", "content"])
    'svd, cf and content'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def setting(value: object) -> str:
    """Write the value of a hyperparameter.

    Examples
    --------
    >>> setting(0.002826826), setting(190), setting(True), setting(2.5e-07)
    ('0.002827', '190', 'true', '2.5e-07')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Write a length of time.

    Examples
    --------
    >>> duration(0.0614), duration(7.3), duration(75), duration(7260)
    ('61 ms', '7.3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.001 else "< 1 ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def milliseconds(value: float) -> str:
    """Write a latency.

    Examples
    --------
    >>> milliseconds(0.0512), milliseconds(0.2), milliseconds(1234.5)
    ('0.051 ms', '0.20 ms', '1,234 ms')
    """
    return f"{value:#.2g} ms" if value < 9.95 else f"{value:,.0f} ms"


def size(n_bytes: float) -> str:
    """Write a size of memory or of a file.

    Examples
    --------
    >>> size(512), size(1_340_000), size(250e6)
    ('512 B', '1.3 MB', '250 MB')
    """
    power = min((len(f"{n_bytes:.0f}") - 1) // 3, len(_UNITS) - 1)
    value = n_bytes / 1000**power
    digits = 1 if power and value < 9.95 else 0
    return f"{value:,.{digits}f} {_UNITS[power]}"


def shared_unit(*texts: str) -> tuple[list[str], str]:
    """Take the unit off numbers that all have the same, to write it once.

    Examples
    --------
    >>> shared_unit("272 ms", "157 ms", "< 1 ms"), shared_unit("0.5", "0.6")
    ((['272', '157', '< 1'], ' ms'), (['0.5', '0.6'], ''))
    >>> shared_unit("950 ms", "1.1 s")
    (['950 ms', '1.1 s'], '')
    """
    found = [re.fullmatch(r"([<> ]*[-+]?[\d.,]+)( \D+)", text) for text in texts]
    units = {match[2] if match else "" for match in found}
    if len(units) > 1 or "" in units:
        return list(texts), ""
    return [match[1] for match in found if match], units.pop()


def hide_password(text: str) -> str:
    """Replace the passwords of the URIs in a text.

    Examples
    --------
    >>> hide_password("postgresql://ann:secret@host/runs")
    'postgresql://ann:***@host/runs'
    """
    text = re.sub(r"(://[^:/@\s]*):[^/\s]*@", r"\1:***@", text)
    # libpq and others also take it as a parameter: "postgresql:///runs?password=..."
    return re.sub(r"(?i)([?&](?:password|passwd|pwd|token)=)[^&\s'\"]+", r"\1***", text)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One model against another one on the same test ratings.

    Parameters
    ----------
    other : str
        Name of the other one.
    value, low, high : float
        Objective of the one minus that of the other, turned so that less is better, and
        the ends of the interval, adjusted for the number of comparisons.
    p_value : float
        Of no difference, adjusted alike.
    significance : float, default 0.05
        The p-value from which on a difference may be chance.
    n_compared : int, default 1
        Number of comparisons that answer the same question, this one included.
    """

    other: str
    value: float
    low: float
    high: float
    p_value: float
    significance: float = 0.05
    n_compared: int = 1

    @property
    def p_text(self) -> str:
        """The p-value with its sign of relation, such as ``= 0.012`` or ``< 0.001``."""
        return p_relation(self.p_value)

    @property
    def apart(self) -> tuple[float, float, float]:
        """How far the two are apart, and the ends of its interval: from the better one."""
        if self.value < 0:
            return -self.value, -self.high, -self.low
        return self.value, self.low, self.high

    @property
    def outcome(self) -> Literal["better", "worse", "unclear"]:
        """How the one does; unclear if the difference may be chance."""
        if self.p_value >= self.significance:
            return "unclear"
        return "better" if self.value < 0 else "worse"
