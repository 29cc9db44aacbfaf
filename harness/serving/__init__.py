"""Serving: packaged models, the registry and promotion, predictions, explanations, HTTP."""
