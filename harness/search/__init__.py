"""Search: spaces, samplers, pruners, the trial engine, storage and resume."""
