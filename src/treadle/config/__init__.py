"""Configuration: read once, at the edge of the process, into frozen data; nothing below the edge reads the environment.

`settings.load` merges `treadle.toml` < environment < flags and remembers where each value came from. `project.find` says which
directory the user is in. `servers.load` lists the MCP servers that the project names. Importing any of it is cheap: the standard
library only, so that every command can afford it.
"""
