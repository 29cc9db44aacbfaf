"""Tracking: studies and trials as MLflow runs."""
