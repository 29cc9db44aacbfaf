"""Tracking: studies and trials as MLflow runs."""

from harness.tracking.live import MLflowTracker
from harness.tracking.projection import SyncCounts
from harness.tracking.sync import log_report, sync

__all__ = ["MLflowTracker", "SyncCounts", "log_report", "sync"]
