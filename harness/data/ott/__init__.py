"""A simulated streaming service."""

from harness.data.ott.service import generate_ott

__all__ = ["generate_ott"]
