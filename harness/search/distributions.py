"""The distributions a hyperparameter can be sampled from, as written in TOML."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.plain import Params
from harness.toml import Part

if TYPE_CHECKING:
    import optuna

__all__ = [
    "Categorical",
    "Distribution",
    "Epochs",
    "Fixed",
    "Float",
    "Int",
    "Value",
    "ends_of",
    "is_log",
    "is_multiple",
]


Value = bool | int | float | str
# TOML has lists, which a strict tuple would refuse.
Choices = Annotated[tuple[Value, ...], Field(strict=False)]
Condition = Mapping[str, Value | Choices]


class _Base(Part):
    HABITS: ClassVar[Mapping[str, str]] = {
        "min": "low",
        "max": "high",
        "values": "choices",
        "options": "choices",
    }

    when: Condition | None = None

    def is_active(self, params: Params) -> bool:
        """Say whether the condition `when` holds for parameters already drawn."""
        return self.can_be_active({name: params.get(name) for name in self.when or {}})

    def can_be_active(self, fixed: Params) -> bool:
        """Say whether the condition can hold where some parameters are fixed."""
        return all(
            fixed[name] in (wanted if isinstance(wanted, tuple) else (wanted,))
            for name, wanted in (self.when or {}).items()
            if name in fixed
        )


def _require_sound(low: float, high: float, *, log: bool, step: float | None) -> None:
    if low > high:
        raise ValueError(f"low must not exceed high, but low={low} and high={high}")
    if log and low <= 0:
        raise ValueError(f"a log range must start above 0, but low={low}")
    if log and step is not None:
        raise ValueError("log and step exclude each other: give one of them")
    if step is not None and step <= 0:
        raise ValueError(f"step must be greater than 0, but step={step}")
    if step is not None and not is_multiple(high - low, step):
        raise ValueError(
            "high must be low plus a multiple of step, "
            f"but low={low}, high={high} and step={step}"
        )


def is_multiple(distance: float, step: float) -> bool:
    """Say whether a distance is a whole number of steps, as Optuna judges it."""
    n_steps = distance / step
    return abs(n_steps - round(n_steps)) < 1e-8


class Int(_Base):
    """An integer between `low` and `high`, both included.

    Parameters
    ----------
    when : mapping, optional
        Sample it only if these parameters have one of these values.
    type : "int"
        Tells the distribution in a file.
    low, high : int
        Ends of the range, ``low <= high``.
    log : bool, default False
        Sample the logarithm uniformly; needs ``low > 0``.
    step : int, optional
        Distance between neighbouring values.
    """

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_sound(self.low, self.high, log=self.log, step=self.step)
        return self

    def suggest(self, trial: "optuna.Trial", name: str) -> int:
        """Draw a value for `name`, and record it on `trial`."""
        return trial.suggest_int(
            name, self.low, self.high, log=self.log, step=self.step or 1
        )

    def corners(self) -> list[Value]:
        """List the ends of the range."""
        return [self.low, self.high]

    def grid(self) -> list[Value] | None:
        """List all values, or None where there is no end of them."""
        return list(range(self.low, self.high + 1, self.step or 1))


class Float(_Base):
    """A real number between `low` and `high`, both included.

    Parameters
    ----------
    when : mapping, optional
        Sample it only if these parameters have one of these values.
    type : "float"
        Tells the distribution in a file.
    low, high : float
        Ends of the range, ``low <= high``.
    log : bool, default False
        Sample the logarithm uniformly; needs ``low > 0``.
    step : float, optional
        Distance between neighbouring values.
    """

    type: Literal["float"]
    low: Annotated[float, Field(strict=False)]
    high: Annotated[float, Field(strict=False)]
    log: bool = False
    step: Annotated[float | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_sound(self.low, self.high, log=self.log, step=self.step)
        return self

    def suggest(self, trial: "optuna.Trial", name: str) -> float:
        """Draw a value for `name`, and record it on `trial`."""
        return trial.suggest_float(
            name, self.low, self.high, log=self.log, step=self.step
        )

    def corners(self) -> list[Value]:
        """List the ends of the range."""
        return [self.low, self.high]

    def grid(self) -> list[Value] | None:
        """List all values, or None where there is no end of them."""
        if self.step is None:
            return None
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [self.low + k * self.step for k in range(count)]


class Categorical(_Base):
    """One of a few values that have no order.

    Parameters
    ----------
    when : mapping, optional
        Sample it only if these parameters have one of these values.
    type : "categorical"
        Tells the distribution in a file.
    choices : tuple
        At least one string, number or truth value.
    """

    type: Literal["categorical"]
    choices: Annotated[tuple[Value, ...], Field(min_length=1, strict=False)]

    def suggest(self, trial: "optuna.Trial", name: str) -> Any:
        """Draw a value for `name`, and record it on `trial`."""
        return trial.suggest_categorical(name, self.choices)

    def corners(self) -> list[Value]:
        """List all choices."""
        return list(self.choices)

    def grid(self) -> list[Value] | None:
        """List all choices."""
        return list(self.choices)


class Fixed(_Base):
    """A value that is not searched, in place of the family's default.

    Parameters
    ----------
    when : mapping, optional
        Sample it only if these parameters have one of these values.
    type : "fixed"
        Tells the distribution in a file.
    value : str, int, float or bool
        The value.
    """

    type: Literal["fixed"]
    value: Value

    def corners(self) -> list[Value]:
        """List the one value."""
        return [self.value]


class Epochs(_Base):
    """The number of epochs, found on the way: each training is scored after every epoch.

    Training stops `patience` epochs after the last improvement, at the latest after
    `high`. The trial gets the epoch that is best in the mean over its folds.

    Parameters
    ----------
    when : mapping, optional
        Sample it only if these parameters have one of these values.
    type : "epochs"
        Tells the distribution in a file.
    high : int
        Largest number of epochs; at least 1.
    patience : int, default 5
        Epochs without improvement after which a training stops; at least 1.
    """

    type: Literal["epochs"]
    high: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)] = 5

    def corners(self) -> list[Value]:
        """List the ends of the range."""
        return [1, self.high]


Distribution = Annotated[
    Int | Float | Categorical | Fixed | Epochs, Field(discriminator="type")
]
"""Any of them; the key ``type`` tells which."""


def ends_of(distribution: Distribution) -> tuple[float, float] | None:
    """Find the ends of a range; None for what is none."""
    match distribution:
        case Int() | Float():
            return distribution.low, distribution.high
        case Epochs():
            return 1, distribution.high
        case _:
            return None


def is_log(distribution: Distribution) -> bool:
    """Say whether the logarithm is sampled uniformly."""
    return isinstance(distribution, Int | Float) and distribution.log
