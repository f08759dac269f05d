"""Regular expressions in linear time: `syntax` is the published language and its parser, `matching` the automaton."""
