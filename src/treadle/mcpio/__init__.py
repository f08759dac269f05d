"""MCP: the server that Treadle is (`server`), and the client by which it calls others (`client`)."""
