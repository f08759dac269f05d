"""MCP servers that come with Treadle: `memory` and `web`, started by `treadle server NAME` over stdio.

They are ordinary servers: Treadle calls them through its MCP client like anybody else's, and any other client may use them. stdout carries
the protocol only. `serving` is what they share.
"""
