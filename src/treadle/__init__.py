"""Treadle: durable workflows for agent work, one recorded step at a time."""

__version__ = "0.1.0"
