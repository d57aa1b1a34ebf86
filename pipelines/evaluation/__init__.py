"""What stage `evaluate` measures, and how it says so: sets, metrics, tables, plots, errors, model card."""
