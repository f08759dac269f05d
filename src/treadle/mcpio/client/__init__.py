"""Calling the tools of other MCP servers.

From the wire upwards: `lines` cuts bytes into lines without ever holding more than a cap; `wire` tells messages from garbage; `process`
owns the child and its group; `transport` puts those under the official SDK's client; `connection` is one live session, run by a task of
its own; `pool` keeps the connections of a project, starts them on demand and lets none survive it. `outcome` is what a call gives:
a value or a classified failure, never an exception for what the other side did.

A hostile or broken server costs its own calls, within their time-outs and in bounded memory. Its text is data, never an instruction.
Modules from `wire` upwards import the SDK (half a second): import them only where MCP is spoken.
"""
