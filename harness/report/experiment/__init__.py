"""The sections of a model-selection report, one module each, in the words of numbers."""
