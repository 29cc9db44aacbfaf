"""Tracking: studies and trials as MLflow runs."""

from harness.tracking.study_runs import SyncCounts
from harness.tracking.sync import log_report, sync
from harness.tracking.tracker import MLflowTracker

__all__ = ["MLflowTracker", "SyncCounts", "log_report", "sync"]
