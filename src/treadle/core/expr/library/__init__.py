"""What expressions call: filters, tests, functions, dates. The evaluator reaches it through `expr/table.py` alone."""
