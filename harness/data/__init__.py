"""Data: ratings, catalogues, readers, downloads and the simulated data set."""
