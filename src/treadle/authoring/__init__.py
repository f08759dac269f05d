"""Authoring: from a file to a Definition, or to every problem the file has, at once.

`yaml_reader` turns bytes into a tree whose every node knows its place; `parse` reads that tree by the tables of `model`; `check` follows
the data; `freeze` makes the immutable Definition; `find` knows where workflows live. Nothing of a project is executed on the way.
"""
