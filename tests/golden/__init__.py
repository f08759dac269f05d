"""Golden histories: runs as they were recorded once, folded again by the core of today (ruling 18).

`history.py` is the form of a recorded history and the comparison; `ways.py` says what is recorded; `record.py` records (`python -m
tests.golden.record`). A history that folds to another state, gives other commands or other notes is a mistake, or a new semantics number.
"""
