"""Reading a tree of nodes by the tables of `model`: every field by its kind, every unknown one named, all faults in one pass.

A field that could not be read is left out of the result and its step marked `broken`, so that one mistake is told once, and not again by
whoever misses what it would have said.
"""

from collections.abc import Mapping as Map
from dataclasses import dataclass, field

from treadle.authoring import model
from treadle.authoring.kinds import StepType
from treadle.authoring.nodes import Document, Mapping, Node, Scalar, Sequence
from treadle.authoring.old_names import field_meant
from treadle.authoring.problems import did_you_mean, listed, nearest
from treadle.authoring.reading import Owner, Reader
from treadle.authoring.tree import FileTree, NotYet, StepTree, TaskTree
from treadle.functions import FunctionInfo


def parse(document: Document, functions: Map[str, FunctionInfo] | None = None) -> FileTree:
    """Read a document as a workflow. `functions` are the registered functions that it can see."""
    return _Parser(document, functions or {}).file()


@dataclass(slots=True)
class _Ids:
    """The ids of a file: where each was written, and how many steps of a type have none."""

    written: dict[str, Node] = field(default_factory=dict[str, Node])
    folded: dict[str, str] = field(default_factory=dict[str, str])
    unnamed: dict[str, int] = field(default_factory=dict[str, int])
    implicit: dict[str, StepTree] = field(default_factory=dict[str, StepTree])


class _Parser(Reader):
    def __init__(self, document: Document, functions: Map[str, FunctionInfo]) -> None:
        super().__init__(document, functions)
        self.ids = _Ids()
        self.defaults: dict[str, dict[str, Node]] = {}

    def file(self) -> FileTree:
        root = self.document.root
        main = TaskTree(name="", node=root if isinstance(root, Mapping) else Mapping(1, 1, 0))
        tree = FileTree(
            document=self.document, name="", main=main, problems=self.problems, not_yet=self.not_yet, visible=self.templates.infos
        )
        if not isinstance(root, Mapping):
            if root is not None:
                self.error("not_a_workflow", root, "a workflow file is a map with `name` and `steps`", "begin with `name: …`")
            return tree
        self._read_defaults(root)
        self.read_fields(root, model.FILE, main, "the file")
        tree.fields, tree.places = main.fields, main.places
        name = main.fields.get("name")
        tree.name = name if isinstance(name, str) else ""
        tasks = main.fields.get("tasks")
        tree.tasks = tasks if isinstance(tasks, dict) else {}
        self._check_ids()
        return tree

    # Steps

    def steps(self, node: Node, owner: Owner, name: str) -> object:
        """Read a list of steps into its owner's lists."""
        if not isinstance(node, Sequence):
            hint = "put `- ` before the step" if isinstance(node, Mapping) else ""
            raise self.unread("wrong_type", node, f"`{name.rsplit('.', maxsplit=1)[-1]}` is a list of steps", hint)
        found = [step for item in node.items if (step := self._step(item)) is not None]
        if not node.items and name == "steps":
            raise self.unread("no_steps", node, "`steps` is empty; a workflow has at least one step", "write `- prompt: What now?`")
        if isinstance(owner, StepTree):
            owner.lists[name] = found
        elif name == "finally":
            owner.finally_steps = found
        else:
            owner.steps = found
        return found

    def _step(self, node: Node) -> StepTree | None:
        if not isinstance(node, Mapping):
            hint = "write `- type: …`" + (f" or `- {node.text}: …`" if isinstance(node, Scalar) and node.text in model.SHORTHANDS else "")
            self.error("wrong_type", node, "a step is a map", hint)
            return None
        step = StepTree(id="", type="", node=node)
        found = self._type_of(node)
        self._name(step, found[0] if found else "")
        if found is None:
            # Its lists may hold steps that others refer to: their ids count although the step itself means nothing.
            self._salvage(node, step)
            return step
        step.type, shorthand = found
        spec = model.TYPES[step.type]
        if spec.later:
            self.later(f"the step type `{step.type}`", node)
        self._read_step(step, spec, shorthand)
        return step

    def _read_step(self, step: StepTree, spec: StepType, shorthand: str) -> None:
        fields = dict(model.COMMON) | spec.fields
        node = step.node
        if shorthand:
            value = node.entries[shorthand]
            node = Mapping(node.line, node.column, node.start, node.path, node.end, dict(node.entries), dict(node.keys))
            del node.entries[shorthand]
            if spec.main and spec.main in node.entries:
                self.error(
                    "two_types",
                    node.keys[spec.main],
                    f"`{shorthand}:` says what `{spec.main}:` says; here both stand",
                    f"delete `{spec.main}:`",
                )
            if spec.main:
                node.entries = {spec.main: value, **{k: v for k, v in node.entries.items() if k != spec.main}}
                node.keys[spec.main] = step.node.keys[shorthand]
            elif not (isinstance(value, Scalar) and value.value is None):
                self.error("wrong_type", value, f"`{shorthand}` takes nothing", f"write `- type: {shorthand}`")
        node = self._with_defaults(step.type, node)
        for name, why in spec.without.items():
            if name in node.entries:
                self.error(
                    "field_not_allowed",
                    node.keys[name],
                    f"`{name}` may not stand on `{step.type}`: it {why}",
                    self._instead(name, spec),
                )
                node.entries = {k: v for k, v in node.entries.items() if k != name}
        own = {k: v for k, v in fields.items() if k not in spec.without}
        self.read_fields(node, own, step, f"`{step.type}`", also={"type", *(k for k in node.entries if k in model.SHORTHANDS)})

    def _instead(self, name: str, spec: StepType) -> str:
        if name == "timeout" and "within" not in spec.without:
            return "write `within`"
        return f"delete `{name}`"

    def _type_of(self, node: Mapping) -> tuple[str, str] | None:
        """Give type and shorthand key of a step, `""` where `type` is written out; None when there is none to be found."""
        keys = [key for key in node.entries if key in model.SHORTHANDS]
        if "type" in node.entries:
            return self._written_type(node, keys)
        if not keys:
            self._no_type(node)
            return None
        main = keys[0]
        spec = model.TYPES[model.SHORTHANDS[main]]
        for key in keys[1:]:
            if key not in spec.fields:
                self._second(node, key, main)
        return model.SHORTHANDS[main], main

    def _written_type(self, node: Mapping, keys: list[str]) -> tuple[str, str] | None:
        value = node.entries["type"]
        written = value.text if isinstance(value, Scalar) else ""
        if written not in model.TYPES:
            meant = model.OTHER_NAMES.get(written) or nearest(written, model.TYPES)
            message = f"there is no step type `{written}`" if written else "`type` is the name of a step type"
            self.error(
                "unknown_step_type",
                value,
                message,
                f"did you mean `{meant}`?" if meant else f"types: {listed(model.TYPES, most=40)}",
            )
            return None
        spec = model.TYPES[written]
        for key in keys:
            if key not in spec.fields and key not in model.COMMON:
                self._two_types(node, key, written)
        return written, ""

    def _second(self, node: Mapping, key: str, main: str) -> None:
        """Tell what a second key that is a type's name means beside the first."""
        if main == "repeat" and key == "condition":
            hint = "`repeat` asks `until` after each round; write that, or `while` with `condition`"
            self.error("unknown_field", node.keys[key], "`repeat` has no field `condition`", hint)
        else:
            self._two_types(node, key, main)

    def _two_types(self, node: Mapping, key: str, main: str) -> None:
        old = field_meant(key, main, model.TYPES[main].fields) if main in model.TYPES else ""
        hint = f"did you mean `{old}`?" if old else "make two steps of it"
        if key == "if" and not old:
            hint = "to run a step only sometimes, write `when`"
        self.error("two_types", node.keys[key], f"`{key}` makes this step a second type beside `{main}`", hint)

    def _no_type(self, node: Mapping) -> None:
        for key, at in node.keys.items():
            meant = model.OTHER_NAMES.get(key, "") if key not in model.COMMON else ""
            meant = meant or ("" if key in model.COMMON else nearest(key, model.SHORTHANDS))
            if meant:
                self.error("missing_type", at, f"this step has no `type`, and `{key}` is none", f"did you mean `{meant}`?")
                return
        self.error("missing_type", node, "this step has no `type`", f"types: {listed(model.TYPES, most=40)}")

    def _salvage(self, node: Mapping, step: StepTree) -> None:
        step.broken = True
        for name in ("then", "else", "do", "default"):
            child = node.entries.get(name)
            if isinstance(child, Sequence):
                self.steps(child, step, name)

    # Ids

    def _name(self, step: StepTree, type_name: str) -> None:
        written = step.node.entries.get("id")
        if isinstance(written, Scalar) and isinstance(written.value, str) and written.value:
            step.id = written.value
            self._note_id(step.id, written)
        elif type_name:
            number = self.ids.unnamed.get(type_name, 0)
            self.ids.unnamed[type_name] = number + 1
            step.id, step.implicit = f"{type_name}_{number}", True
            self.ids.implicit[step.id] = step

    def _note_id(self, name: str, node: Scalar) -> None:
        first = self.ids.written.get(name)
        if first is not None:
            self.error(
                "duplicate_id",
                node,
                f"the id `{name}` stands twice: first at line {first.line}, column {first.column}",
                "give one of them another id",
            )
            return
        self.ids.written[name] = node
        folded = name.replace("-", "_")
        other = self.ids.folded.setdefault(folded, name)
        if other != name:
            first = self.ids.written[other]
            self.error(
                "id_collision", node,
                f"`{name}` and `{other}` (line {first.line}) are one name in expressions, where `-` is written `_`", "rename one of them",
            )  # fmt: skip

    def _check_ids(self) -> None:
        for name, step in self.ids.implicit.items():
            written = self.ids.written.get(name) or self.ids.written.get(self.ids.folded.get(name, ""))
            if written is not None:
                message = f"the id `{name}` is what the step at line {step.node.line}, which has none, is called"
                self.error("implicit_id_taken", written, message, "give that step an id, or this one another")

    # Defaults

    def _read_defaults(self, root: Mapping) -> None:
        node = root.entries.get("defaults")
        if node is None:
            return
        if not isinstance(node, Mapping):
            self.error("wrong_type", node, "`defaults` is a map of step types")
            return
        for name, entry in node.entries.items():
            if name not in model.TYPES:
                self.error(
                    "unknown_step_type",
                    node.keys[name],
                    f"there is no step type `{name}`",
                    did_you_mean(name, model.TYPES),
                )
            elif name in model.WITHOUT_DEFAULTS:
                self.error(
                    "field_not_allowed",
                    node.keys[name],
                    f"`{name}` takes no defaults: it is written out where it stands",
                    "write it on each step",
                )
            elif not isinstance(entry, Mapping):
                self.error("wrong_type", entry, f"the defaults of `{name}` are a map of fields")
            else:
                self.defaults[name] = self._allowed_defaults(name, entry)

    def _allowed_defaults(self, type_name: str, entry: Mapping) -> dict[str, Node]:
        spec = model.TYPES[type_name]
        known = {**model.COMMON, **spec.fields}
        allowed = [k for k, f in known.items() if k not in model.DEFAULTS_WITHOUT and k not in spec.without and not f.required]
        on_error = entry.entries.get("on_error")
        if isinstance(on_error, Mapping) and "do" in on_error.entries:
            self.error(
                "field_not_allowed",
                on_error.keys["do"],
                "steps may not stand under `defaults`: each step has its own",
                "write them on the step",
            )
            allowed.remove("on_error")
        probe = StepTree(
            id="",
            type=type_name,
            node=Mapping(
                entry.line,
                entry.column,
                entry.start,
                entry.path,
                entry.end,
                {k: v for k, v in entry.entries.items() if k != "on_error" or k in allowed},
                entry.keys,
            ),
        )
        self.read_fields(probe.node, {name: known[name] for name in allowed}, probe, f"the defaults of `{type_name}`")
        return {name: node for name, node in entry.entries.items() if name in probe.fields}

    def _with_defaults(self, type_name: str, node: Mapping) -> Mapping:
        missing = {k: v for k, v in self.defaults.get(type_name, {}).items() if k not in node.entries}
        if not missing:
            return node
        keys = {**node.keys, **{name: Scalar(v.line, v.column, v.start, v.path, v.end) for name, v in missing.items()}}
        return Mapping(node.line, node.column, node.start, node.path, node.end, {**node.entries, **missing}, keys)

    # Tasks

    def task(self, name: str, node: Mapping) -> TaskTree:
        """Read an entry of `tasks:`."""
        task = TaskTree(name=name, node=node)
        self.read_fields(node, model.TASK, task, f"the task `{name}`")
        return task

    def later(self, feature: str, node: Node) -> None:
        """Record a feature that nothing carries out yet."""
        found = NotYet(feature=feature, path=node.path, line=node.line, file=self.document.source.file)
        if found not in self.not_yet:
            self.not_yet.append(found)
