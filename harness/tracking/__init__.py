"""Tracking: studies, trials and experiments as MLflow runs."""
