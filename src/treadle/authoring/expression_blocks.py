"""Blocks in text: `{% if %}`, `{% for %}`, `{% set %}`; their structure is checked before Jinja's parser, which says less.

As in Jinja, a loop's names end with its turn and an `if` makes no names of its own. What is set in some branches only is looked up at run time:
the slot, and if that is empty, the name further out.
"""

from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from treadle.authoring.expression_compiler import Compiler, Scope
from treadle.authoring.expression_names import BLOCK_HINTS, FUNCTIONS_NOT_THERE
from treadle.authoring.expression_scan import BLOCKS, Raw, SourceFault
from treadle.core.expr.tree import Node, Tree
from treadle.core.nearest import nearest

_ENDS: Final = {"endif": "if", "endfor": "for", "endset": "set"}


def block_faults(raws: list[Raw]) -> Iterator[SourceFault]:
    """Find blocks that are not there, and those that are opened and not closed."""
    stack: list[Raw] = []
    for index, raw in enumerate(raws):
        if raw.kind != "block_begin" or index + 1 == len(raws):
            continue
        word = raws[index + 1]
        if word.text not in BLOCKS:
            yield _unknown_block(word)
        elif word.text in {"if", "for"} or (word.text == "set" and not _assigns(raws, index)):
            stack.append(word)
        elif word.text in _ENDS:
            if stack and stack[-1].text == _ENDS[word.text]:
                stack.pop()
                continue
            yield SourceFault("syntax", f"`{{% {word.text} %}}` closes nothing", word.offset, _open_hint(stack))
        elif word.text in {"else", "elif"} and (not stack or stack[-1].text == "set" or (word.text == "elif" and stack[-1].text == "for")):
            yield SourceFault("syntax", f"`{{% {word.text} %}}` stands in no `{{% if %}}`", word.offset, _open_hint(stack))
    for word in stack:
        yield SourceFault("syntax", f"`{{% {word.text} … %}}` is not closed", word.offset, f"end it with `{{% end{word.text} %}}`")


def _assigns(raws: list[Raw], index: int) -> bool:
    for raw in raws[index:]:
        if raw.kind == "block_end":
            return False
        if raw.kind == "operator" and raw.text == "=":
            return True
    return False


def _open_hint(stack: list[Raw]) -> str:
    return f"`{{% {stack[-1].text} … %}}` is still open" if stack else ""


def _unknown_block(word: Raw) -> SourceFault:
    hint = BLOCK_HINTS.get(word.text.removeprefix("end"))
    if hint is not None:
        return SourceFault("not_in_language", f"there is no `{{% {word.text} %}}`", word.offset, hint)
    meant = nearest(word.text, sorted(BLOCKS))
    return SourceFault(
        "syntax",
        f"there is no block `{word.text[:40]}`; there are if, for, set and raw",
        word.offset,
        f"did you mean `{meant}`?" if meant else "",
    )


class Blocks:
    """Compiles a text with its blocks."""

    def __init__(self, compiler: Compiler) -> None:
        """Begin outside of all loops."""
        self.compiler = compiler
        # Slots that are set within the innermost loop: each turn begins with them empty.
        self.set_slots: list[list[int]] = [[]]

    def text(self, template: nodes.Template) -> Node:
        """Compile the whole; text without anything to evaluate is a constant."""
        block = self._block(template.body, Scope())
        if all(isinstance(part, str) for part in block[1:]):
            return ("const", "".join(part for part in block[1:] if isinstance(part, str)))
        return block

    def _block(self, body: list[nodes.Node], scope: Scope) -> Node:
        parts: list[Tree] = []
        for part in (part for node in body for part in self._parts(node, scope)):
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part != "":
                parts.append(part)
        return ("text", *parts)

    def _parts(self, node: nodes.Node, scope: Scope) -> Iterator[Tree]:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    yield part.data if isinstance(part, nodes.TemplateData) else self.compiler.expr(part, scope)
            case nodes.If():
                yield self._if(node, scope)
            case nodes.For():
                yield self._for(node, scope)
            case nodes.Assign():
                value = self.compiler.expr(node.node, scope)
                yield self.compiler.placed(("set", self._target(node.target, scope, setting=True), value), node.lineno)
            case nodes.AssignBlock():
                yield self._capture(node, scope)
            case _:
                self.compiler.fault("not_in_language", f"`{{% {type(node).__name__.lower()} %}}` is not there", node.lineno)

    def _if(self, node: nodes.If, scope: Scope) -> Node:
        before = set(scope.certain)
        certain: list[set[str]] = []
        parts: list[Tree] = []
        for branch in (node, *node.elif_):
            test = self.compiler.expr(branch.test, scope)
            parts += [test, self._block(branch.body, scope)]
            certain.append(scope.certain)
            scope.certain = set(before)
        otherwise = self._block(node.else_, scope) if node.else_ else None
        certain.append(scope.certain)
        scope.certain = before | set.intersection(*certain)
        return ("branch", *parts, otherwise)

    def _for(self, node: nodes.For, scope: Scope) -> Node:
        if node.recursive:
            self.compiler.fault("not_in_language", "there are no recursive loops", node.lineno, FUNCTIONS_NOT_THERE["loop"])
        base = self.compiler.expr(node.iter, scope)
        inner = Scope(scope)
        target = self._target(node.target, inner, setting=False)
        test = None if node.test is None else self.compiler.expr(node.test, inner)
        if "loop" in inner.slots:
            self.compiler.fault("syntax", "`loop` is the loop itself", node.target.lineno, "name the item otherwise")
        loop_slot = inner.slots["loop"] = self.compiler.slot()
        inner.certain.add("loop")
        inner.used.discard("loop")
        self.set_slots.append([])
        body = self._block(node.body, inner)
        resets = tuple(dict.fromkeys(self.set_slots.pop()))
        otherwise = self._block(node.else_, Scope(scope)) if node.else_ else None
        found: Node = (
            "for",
            target,
            loop_slot if "loop" in inner.used else None,
            base,
            test,
            body,
            otherwise,
            resets or None,
        )
        return self.compiler.placed(found, node.lineno)

    def _target(self, node: nodes.Node, scope: Scope, *, setting: bool) -> Tree:
        if isinstance(node, nodes.Tuple | nodes.List):
            return tuple(self._target(item, scope, setting=setting) for item in node.items)
        if not isinstance(node, nodes.Name):
            self.compiler.fault("not_in_language", "values cannot be changed", node.lineno, FUNCTIONS_NOT_THERE["namespace"])
            return self.compiler.slot()
        slot = scope.slots.get(node.name)
        if slot is None:
            slot = scope.slots[node.name] = self.compiler.slot()
        scope.certain.add(node.name)
        if setting:
            self.set_slots[-1].append(slot)
        return slot

    def _capture(self, node: nodes.AssignBlock, scope: Scope) -> Node:
        if node.filter is not None:
            self.compiler.fault(
                "not_in_language",
                "a block has no filter",
                node.lineno,
                "write the filter behind the name: `{{ x | upper }}`",
            )
        block = self._block(node.body, Scope(scope))
        target = self._target(node.target, scope, setting=True)
        if isinstance(target, tuple):
            self.compiler.fault("syntax", "a text is set to one name", node.lineno)
        return ("capture", target, block)
