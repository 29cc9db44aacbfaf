"""Workflows: what a command does, from its settings to its result, without printing."""
