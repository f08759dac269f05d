"""Checking what a file means: names, state, steps, loops, gates; everything that can be known before anything runs (language.md §5, §8).

Each subject has a module of its own: `check_reads` says what an expression may see at its place, `check_state` what a step reads and
writes, `check_effects` what would be done twice, `check_gates` who allows what, `check_steps` and `check_blocks` what goes together,
`check_shapes` what values can be, and `flow` what is written on which path. All work on the tree of `parse`, for every step type, also
those that nothing carries out yet.
"""

from collections.abc import Mapping as Map

from treadle.authoring import (
    check_answers,
    check_blocks,
    check_effects,
    check_gates,
    check_reads,
    check_shapes,
    check_state,
    check_steps,
    flow,
)
from treadle.authoring.check_effects import effect_of, is_repeatable
from treadle.authoring.check_state import inferred_reads
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope
from treadle.authoring.shape_of import Shapes
from treadle.authoring.tree import FileTree

__all__ = ["check", "effect_of", "inferred_reads", "is_repeatable"]


def check(tree: FileTree, tool_effects: Map[str, str] | None = None) -> None:
    """Add to a tree's problems what is wrong with its meaning. `tool_effects` are those that the configuration confirms."""
    to = Reporter(tree, tool_effects or {})
    for task in tree.scopes():
        scope = Scope(task, is_main=task is tree.main, file=tree)
        check_reads.check_task(scope, to)
        for site in scope.sites:
            assert site.step is not None
            check_reads.check_step(site, scope, to)
            check_state.check_step(site, scope, to)
            check_effects.check_step(site.step, to)
            check_gates.check_step(site.step, scope, to)
            check_steps.check_step(site, scope, to)
            check_blocks.check_step(site, scope, to)
        check_shapes.check_scope(scope, Shapes(scope), to)
        check_answers.check_scope(scope, to)
        flow.check(scope, to)
    check_reads.check_secrets(to)
