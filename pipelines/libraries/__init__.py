"""Benign files that many libraries save, in many versions: how ``data/seed/libraries.parquet`` is made."""
