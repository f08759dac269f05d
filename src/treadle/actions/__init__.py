"""Side effects, one kind per file: what a server-performed action does to the world."""
