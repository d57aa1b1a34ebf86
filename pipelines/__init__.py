"""DVC stages: ``python -m pipelines.<stage>`` reads its inputs and writes its outputs, nothing else."""
