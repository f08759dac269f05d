"""The terminal: thin over the service, one file per group of commands.

`main` answers help and version from a table; `group` dresses click; `frame` is what every command shares; `screen` is how things look. `performing`
carries a run on in this process: with a person (`person`, `keyboard`, `asking`), with a script (`script`), or with nobody, and `live` and `facts` show it.
"""
