"""The small Temporal engine: one generic workflow drains an inbox through the core; what it cannot do yet refuses as `not_yet`."""
