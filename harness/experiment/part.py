"""What all tables of an experiment file have in common."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Part"]


class Part(BaseModel):
    """A table of the file: unknown keys are errors, so is "5" for 5; nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
