"""What ships with Treadle: workflows that are useful unchanged, and the pure functions they call."""
