"""How fast this scanner is beside others: ``python -m benchmarks``, and two load tests of our own."""
