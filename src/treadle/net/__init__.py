"""The one way out to the web (ruling 55): requests that go where they may, take what fits, and leave nothing of the environment in."""
