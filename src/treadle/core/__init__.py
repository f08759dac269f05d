"""The pure core: definition, events, commands, state and the one function `advance`.

Imports the standard library only. No clock, no random numbers, no input or output, no logging: time and identity come in
with events, intents go out as commands. Start reading at `advance.py`.
"""
