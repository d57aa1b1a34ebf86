"""What every callable of the analysed packages can reach, derived from their source. Nothing is imported or run."""
