"""How two models differ on the test set, in words and digits."""

from dataclasses import dataclass
from typing import Literal

from harness.report.digits import stars

__all__ = ["Comparison"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One model against another one on the same test ratings.

    Parameters
    ----------
    other : str
        Name of the other one.
    value, low, high : float
        Test RMSE of the one minus that of the other, in stars, and the ends of the
        interval; negative if the one is better.
    p_value : float
        Of no difference, adjusted for the number of comparisons.
    significance : float, default 0.05
        The p-value from which on a difference may be chance.
    """

    other: str
    value: float
    low: float
    high: float
    p_value: float
    significance: float = 0.05

    @property
    def p_text(self) -> str:
        """The p-value with its sign of relation, such as ``= 0.012`` or ``< 0.001``."""
        return "< 0.001" if self.p_value < 0.001 else f"= {self.p_value:.3f}"

    @property
    def outcome(self) -> Literal["better", "worse", "tied"]:
        """How the one does; tied if the difference may be chance."""
        if self.p_value >= self.significance:
            return "tied"
        return "better" if self.value < 0 else "worse"

    @property
    def size(self) -> str:
        """The difference without its sign, with its interval."""
        ends = sorted((self.low, self.high), reverse=self.value < 0)
        low, high = ends if self.value >= 0 else (-ends[0], -ends[1])
        return f"{stars(abs(self.value))} [{stars(low)}, {stars(high)}]"
