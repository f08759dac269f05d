"""Finding workflows: places, names, closures of tasks, and files that are broken."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.authoring.support import project_at
from treadle.authoring import find
from treadle.authoring.problems import DefinitionError
from treadle.config.project import Project
from treadle.core.definition import Foreach
from treadle.core.errors import RequestError

TASK = """
    name: {name}
    inputs: {{topic: {{type: string, required: true}}}}
    steps: [{{return: "{{{{ inputs.topic }}}}"}}]
    """
USES = """
    name: {name}
    steps: [{{foreach: [x], task: {task}}}]
    """


def test_a_workflow_is_found_by_declared_name_stem_and_path(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__deep__my_file_yaml=TASK.format(name="team:research"))
    for name in (
        "team:research",
        "my_file",
        "workflows/deep/my_file.yaml",
        tmp_path / "workflows" / "deep" / "my_file.yaml",
    ):
        loaded = find.load(project, name)
        assert (loaded.name, loaded.shown, loaded.origin) == ("team:research", "workflows/deep/my_file.yaml", "project")
        assert loaded.definition is not None


def test_a_declared_name_goes_before_a_stem(tmp_path: Path) -> None:
    project = project_at(
        tmp_path,
        workflows__review_yaml=TASK.format(name="code:review"),
        workflows__other_yaml=TASK.format(name="review"),
    )
    assert find.load(project, "review").shown == "workflows/other.yaml"


def test_two_files_of_one_name_in_one_place_are_listed_and_neither_is_taken(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__a_yaml=TASK.format(name="x"), workflows__b_yaml=TASK.format(name="x"))
    with pytest.raises(RequestError) as error:
        find.load(project, "x")
    assert error.value.code == "ambiguous_name"
    assert "workflows/a.yaml, workflows/b.yaml" in error.value.message


def test_an_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as error:
        find.load(project_at(tmp_path), "planning:interactivee")
    assert (error.value.code, error.value.hint) == ("unknown_workflow", "did you mean `planning:interactive`?")


def test_places_are_searched_in_their_order(tmp_path: Path) -> None:
    extra, home = tmp_path / "extra", tmp_path / "home"
    files = {
        "workflows__f_yaml": 1, ".treadle/workflows/f_yaml": 2, "../extra/f_yaml": 3, "../home/.treadle/workflows/f_yaml": 4,
    }  # fmt: skip
    root = tmp_path / "project"
    root.mkdir()
    for name in files:
        project = project_at(root, **{name: TASK.format(name="f")})
    order = ["workflows/f.yaml", ".treadle/workflows/f.yaml", f"{extra}/f.yaml", "~/.treadle/workflows/f.yaml"]
    for shown in order:
        loaded = find.load(project, "f", paths=[extra], user_home=home)
        assert loaded.shown == shown
        loaded.source_path.unlink()
    with pytest.raises(RequestError):
        find.load(project, "f", paths=[extra], user_home=home)


def test_a_broken_file_is_listed_as_broken_and_never_vanishes(tmp_path: Path) -> None:
    project = project_at(
        tmp_path, workflows__good_yaml=TASK.format(name="good"), workflows__bad_yaml="name: bad\nsteps: [", workflows__later_yaml="""
            name: later
            steps: [{flow: x}]
        """, workflows__empty_yaml="", workflows__good_test_yaml="answers: []",
    )  # fmt: skip
    (tmp_path / "workflows" / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "workflows" / "note.test.yaml").write_text("workflow: good")
    rows = {row.shown: row for row in find.list_workflows(project) if row.origin == "project"}
    assert {shown: row.status for shown, row in rows.items()} == {
        "workflows/bad.yaml": "broken", "workflows/binary.yaml": "broken", "workflows/empty.yaml": "broken", "workflows/good.yaml": "ready",
        "workflows/good_test.yaml": "broken", "workflows/later.yaml": "not_yet",
    }  # fmt: skip
    assert "yaml_syntax" in rows["workflows/bad.yaml"].problem
    assert rows["workflows/bad.yaml"].name == "bad"
    assert "`flow`" in rows["workflows/later.yaml"].problem


def test_other_formats_are_listed_and_say_that_they_are_not_read_yet(tmp_path: Path) -> None:
    project = project_at(
        tmp_path,
        **{".claude/workflows/p_json": '{"pattern": "sequential"}', ".claude/pipelines/x-graph_yaml": "nodes: []"},
    )
    rows = [row for row in find.list_workflows(project) if row.origin == "project"]
    assert [(row.name, row.status, row.problem) for row in rows] == [
        ("p", "not_yet", "a JSON pattern"),
        ("x-graph", "not_yet", "a graph pipeline"),
    ]
    for name, words in (
        ("p", ".claude/workflows/p.json is a JSON pattern"),
        ("x-graph", ".claude/pipelines/x-graph.yaml is a graph pipeline"),
        (".claude/workflows/p.json", "is a JSON pattern"),
    ):
        loaded = find.load(project, name)
        assert (loaded.problems, loaded.definition) == ((), None)
        with pytest.raises(RequestError) as error:
            loaded.require()
        assert error.value.code == "not_yet"
        assert words in error.value.message
        assert "workflows/" in error.value.hint


def test_every_place_is_searched_in_the_order_of_the_ruling(tmp_path: Path) -> None:
    root, extra, home = tmp_path / "project", tmp_path / "extra", tmp_path / "home"
    own = TASK.format(name="planning:interactive")
    files = [
        root / "workflows" / "planning-interactive.yaml", root / ".treadle" / "workflows" / "planning-interactive.yml",
        extra / "deep" / "planning-interactive.yaml", home / ".treadle" / "workflows" / "planning-interactive.yaml",
    ]  # fmt: skip
    for path in files:
        path.parent.mkdir(parents=True)
        path.write_text(dedent(own).lstrip(), encoding="utf-8")
    project = Project(root=root, home=root)
    shown = [
        "workflows/planning-interactive.yaml", ".treadle/workflows/planning-interactive.yml", f"{extra}/deep/planning-interactive.yaml",
        "~/.treadle/workflows/planning-interactive.yaml", "library/planning-interactive.yaml",
    ]  # fmt: skip
    for at, place in enumerate(shown):
        rows = [row for row in find.list_workflows(project, paths=[extra], user_home=home) if row.name == "planning:interactive"]
        assert [(row.shown, row.hidden_by) for row in rows] == [(place, ""), *((hidden, place) for hidden in shown[at + 1 :])]
        loaded = find.load(project, "planning:interactive", paths=[extra], user_home=home)
        assert (loaded.shown, loaded.origin) == (place, ("project", "project", "project", "user", "library")[at])
        if at < len(files):
            files[at].unlink()


def test_a_workflow_goes_before_a_file_of_another_format_with_its_stem(tmp_path: Path) -> None:
    project = project_at(
        tmp_path, **{".claude/workflows/p_json": '{"pattern": "sequential"}', ".treadle/workflows/p_yaml": TASK.format(name="team:p")}
    )
    assert find.load(project, "p").shown == ".treadle/workflows/p.yaml"
    assert find.load(project, tmp_path / ".claude" / "workflows" / "p.json").foreign == "a JSON pattern"


def test_only_graph_files_are_taken_from_pipelines_and_only_json_from_patterns(tmp_path: Path) -> None:
    project = project_at(
        tmp_path,
        **{
            ".claude/pipelines/notes_yaml": "x: 1", ".claude/pipelines/a-graph_yaml": "nodes: []", ".claude/workflows/readme_yaml": "x: 1",
            ".claude/workflows/b_json": "{}",
        },
    )  # fmt: skip
    rows = [row.shown for row in find.list_workflows(project) if row.origin == "project"]
    assert rows == [".claude/workflows/b.json", ".claude/pipelines/a-graph.yaml"]


def test_files_of_one_name_in_one_place_are_each_listed_as_hidden_by_the_other(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__a_yaml=TASK.format(name="x"), workflows__b_yaml=TASK.format(name="x"))
    rows = [(row.shown, row.hidden_by) for row in find.list_workflows(project) if row.origin == "project"]
    assert rows == [("workflows/a.yaml", "workflows/b.yaml"), ("workflows/b.yaml", "workflows/a.yaml")]
    assert find.load(project, "workflows/a.yaml").require().name == "x"


def test_two_files_of_one_stem_are_ambiguous_by_it_and_not_by_their_names(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__a__f_yaml=TASK.format(name="one"), workflows__b__f_yaml=TASK.format(name="two"))
    with pytest.raises(RequestError, match=r"workflows/a/f\.yaml, workflows/b/f\.yaml") as error:
        find.load(project, "f")
    assert error.value.code == "ambiguous_name"
    assert find.load(project, "two").shown == "workflows/b/f.yaml"


def test_a_declared_name_is_found_however_the_file_begins(tmp_path: Path) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "a.json").write_bytes(b'\xef\xbb\xbf  {"name": "in:json", "steps": [{"prompt": "hi"}]}')
    (folder / "b.yaml").write_text('# a remark\n"name": in:quotes\nsteps: [{prompt: hi}]\n')
    (folder / "c.yaml").write_text("{name: in:flow, steps: [{prompt: hi}]}\n")
    project = Project(root=tmp_path, home=tmp_path)
    for name in ("in:json", "in:quotes", "in:flow"):
        assert find.load(project, name).require().name == name


def test_the_library_is_always_there(tmp_path: Path) -> None:
    rows = [row for row in find.list_workflows(project_at(tmp_path)) if row.origin == "library"]
    assert {row.status for row in rows} == {"ready"}
    assert {(row.name, row.shown) for row in rows} >= {
        ("planning:interactive", "library/planning-interactive.yaml"), ("planning:research_task", "library/planning-research-task.yaml"),
        ("fix:bug", "library/fix-bug.yaml"), ("incident:respond", "library/incident-respond.yaml"), ("release:gated", "library/release-gated.yaml"),
        ("review:changes", "library/review-changes.yaml"), ("upgrade:dependency", "library/upgrade-dependency.yaml"),
    }  # fmt: skip
    assert len(rows) == len(list(find.LIBRARY_DIR.glob("*.yaml")))


def test_a_task_may_be_another_file_by_name_or_stem_with_tasks_of_its_own(tmp_path: Path) -> None:
    project = project_at(
        tmp_path,
        workflows__main_yaml="""
            name: main
            steps: [{foreach: [x], task: team:child}, {foreach: [y], task: child}, {foreach: [z], task: own}]
            tasks: {own: {inputs: {n: {type: string}}, steps: [{return: 1}]}}
        """,
        workflows__child_yaml="""
            name: team:child
            inputs: {topic: {type: string, required: true}}
            steps: [{foreach: ["{{ inputs.topic }}"], task: own}]
            tasks: {own: {inputs: {n: {type: string}}, steps: [{return: 2}]}}
        """,
    )
    definition = find.load(project, "main").require()
    assert list(definition.tasks) == ["team:child", "team:child/own", "own"]
    keys = [step.spec.task for step in definition.main.steps if isinstance(step.spec, Foreach)]
    assert keys == ["team:child", "team:child", "own"]
    inner = definition.tasks["team:child"].steps[0].spec
    assert isinstance(inner, Foreach)
    assert inner.task == "team:child/own"


def test_a_task_entry_and_a_file_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    project = project_at(
        tmp_path,
        workflows__main_yaml="""
            name: main
            steps: [{foreach: [x], task: child}]
            tasks: {child: {inputs: {n: {type: string}}, steps: [{return: 1}]}}
        """,
        workflows__child_yaml=TASK.format(name="team:child"),
    )
    (problem,) = find.load(project, "main").problems
    assert (problem.code, problem.line, problem.column) == ("ambiguous_name", 2, 30)
    assert "workflows/child.yaml" in problem.message


def test_a_broken_task_file_breaks_what_uses_it_and_both_are_told(tmp_path: Path) -> None:
    project = project_at(
        tmp_path,
        workflows__main_yaml=USES.format(name="main", task="child"),
        workflows__child_yaml="name: child\nsteps: []",
    )
    loaded = find.load(project, "main")
    assert [(p.code, p.file, p.line) for p in loaded.problems] == [("broken_task", "workflows/main.yaml", 2)]
    assert "`steps` is empty" in loaded.problems[0].message
    with pytest.raises(DefinitionError) as error:
        loaded.require()
    assert "broken_task" in error.value.message


def test_files_that_use_each_other_are_a_cycle(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__a_yaml=USES.format(name="a", task="b"), workflows__b_yaml=USES.format(name="b", task="a"))
    problems = find.load(project, "a").problems
    assert [p.code for p in problems] == ["cyclic_tasks"]
    assert "a → b → a" in problems[0].message


def test_a_file_that_uses_itself_is_a_cycle(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__a_yaml=USES.format(name="a", task="a"))
    assert [p.code for p in find.load(project, "a").problems] == ["cyclic_tasks"]


def test_what_a_task_file_cannot_do_yet_keeps_its_user_from_starting(tmp_path: Path) -> None:
    project = project_at(
        tmp_path, workflows__main_yaml=USES.format(name="main", task="child"), workflows__child_yaml="""
            name: child
            steps: [{flow: x}]
        """,
    )  # fmt: skip
    loaded = find.load(project, "main")
    assert loaded.problems == ()
    assert [(row.feature, row.file, row.line) for row in loaded.not_yet] == [("the step type `flow`", "workflows/child.yaml", 2)]
    with pytest.raises(RequestError) as error:
        loaded.require()
    assert error.value.code == "not_yet"
    assert "workflows/child.yaml:2" in error.value.message


def test_a_missing_file_is_an_unknown_workflow(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as error:
        find.load(project_at(tmp_path), "workflows/none.yaml")
    assert error.value.code == "unknown_workflow"


def test_json_is_a_workflow_file_too(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__j_json='{"name": "in:json", "steps": [{"prompt": "hi"}]}')
    assert find.load(project, "in:json").require().name == "in:json"


def test_a_gate_that_nobody_could_pass_is_a_warning_and_keeps_the_workflow_from_being_started(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__g_yaml="name: g\nsteps: [{approve: x, by: {user: anna, never: anna}}]")
    loaded = find.load(project, "g")
    assert [(p.code, p.severity) for p in loaded.problems] == [("impossible_gate", "warning")]
    with pytest.raises(RequestError) as error:
        loaded.require()
    assert error.value.code == "impossible_gate"
