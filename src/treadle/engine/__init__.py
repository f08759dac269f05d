"""Engines: leaves that store events, deliver commands and feed results back. No policy lives here (design §2)."""
