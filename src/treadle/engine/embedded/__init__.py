"""The embedded engine: one SQLite file per project, shared safely by several processes (rulings 32-39)."""
