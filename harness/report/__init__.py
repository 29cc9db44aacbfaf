"""Reports: figures, tables and markdown."""
