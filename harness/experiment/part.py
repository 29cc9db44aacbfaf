"""What all tables of an experiment file have in common."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Part"]


class Part(BaseModel):
    """A table of the file: unknown keys are errors, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
