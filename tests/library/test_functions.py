"""Registered functions: read without executing, executed only when trusted, called with plain JSON."""

import sys
from pathlib import Path

import pytest

from tests.authoring.support import load as load_text
from tests.authoring.support import project_at
from treadle import functions
from treadle.authoring import find
from treadle.config.project import Project
from treadle.core.values import BlobRef, Value
from treadle.ports import FunctionFailedError, Functions
from treadle.trust import TrustItem, TrustStore, function_digest

HEAD = "from treadle.functions import function\n"


def project_with(root: Path, source: str, name: str = "mine") -> Project:
    return project_at(root, **{f"functions__{name}_py": HEAD + source})


def trusted(project: Project, root: Path) -> TrustStore:
    store = TrustStore(root / "data")
    items = []
    for path in sorted((project.root / "functions").glob("*.py")):
        place = path.relative_to(project.root).as_posix()
        items.append(TrustItem(kind="functions", name=place, text="", digest=function_digest(place, path.read_bytes())))
    store.accept(project, items)
    return store


def registry(project: Project, root: Path) -> functions.Registry:
    return functions.Registry(functions.catalog(project), project, trusted(project, root))


def call_only(project: Project, root: Path, *args: Value, **kwargs: Value) -> Value:
    (info,) = [f for f in functions.catalog(project).functions if f.origin == "project"]
    return registry(project, root).call(info.name, info.version, args, kwargs)


def test_the_registry_is_the_port() -> None:
    port: Functions = functions.Registry(functions.catalog(None))
    assert port.call("generate_research_tasks", "1", ["a", ""], {})


def test_names_versions_and_signatures_are_read_without_executing(tmp_path: Path) -> None:
    source = """
        import sys
        sys.modules["executed_by_catalog"] = sys
        raise SystemExit("never executed")

        @function(version="2", pure=True)
        def double(x: int, *, times: int = 2) -> int:
            \"\"\"Multiply.

            More.
            \"\"\"
            return x * times

        def private(x): return x
        """
    project = project_at(tmp_path, functions__mine_py=source)
    path = tmp_path / "functions" / "mine.py"
    path.write_text(HEAD + path.read_text())
    (info,) = [f for f in functions.catalog(project).functions if f.origin == "project"]
    assert (info.name, info.version, info.pure, info.doc) == ("double", "2", True, "Multiply.")
    assert (info.signature, info.place, info.line) == ("double(x: int, *, times: int=2) -> int", "functions/mine.py", 7)
    text = "name: a\nsteps: [{return: '{{ double(2) }}'}]"
    loaded = find.load_text(project, text, "a.yaml")
    assert loaded.require().functions == {"double": "2"}
    assert "executed_by_catalog" not in sys.modules


@pytest.mark.parametrize(
    "imports",
    [
        "from treadle.functions import function as offer",
        "import treadle.functions as offer_",
        "import treadle.functions",
        "from treadle import functions",
    ],
)
def test_the_decorator_is_known_under_every_name_that_it_is_imported_by(tmp_path: Path, imports: str) -> None:
    decorator = {
        "from treadle.functions import function as offer": "offer", "import treadle.functions as offer_": "offer_.function",
        "import treadle.functions": "treadle.functions.function", "from treadle import functions": "functions.function",
    }[imports]  # fmt: skip
    project = project_at(
        tmp_path,
        functions__f_py=f'import functools\n{imports}\n@{decorator}(version="1")\ndef f(): return 1\n@functools.cache\ndef g(): return 2\n',
    )
    assert [f.name for f in functions.catalog(project).functions if f.origin == "project"] == ["f"]
    assert registry(project, tmp_path).call("f", "1", [], {}) == 1


def versions(tmp_path: Path, source: str) -> dict[str, str]:
    project = project_with(tmp_path, source)
    return {f.name: f.version for f in functions.catalog(project).functions if f.origin == "project"}


def test_without_a_version_any_change_of_the_function_or_of_what_it_uses_is_a_new_one(tmp_path: Path) -> None:
    source = "RATE = 2\ndef helper(x): return x * RATE\n@function()\ndef f(x): return helper(x)\n@function()\ndef g(x): return x\n"
    first = versions(tmp_path, source)
    assert len(set(first.values())) == 2
    assert versions(tmp_path, "# a remark\n\n" + source) == first
    changed = versions(tmp_path, source.replace("RATE = 2", "RATE = 3"))
    assert changed["f"] != first["f"]
    assert changed["g"] == first["g"]
    assert versions(tmp_path, source.replace("x * RATE", "x / RATE"))["f"] != first["f"]


@pytest.mark.parametrize(
    "source,code",
    [
        ("@function(version=VERSION)\ndef f(): return 1\n", "function_decorator"),
        ("@function\ndef f(): return 1\n", "function_decorator"),
        ("@function()\nasync def f(): return 1\n", "async_function"),
        ("def f(:\n", "python_syntax"),
        ("@function()\ndef f(): return 1\n@function()\ndef f(): return 2\n", "duplicate_function"),
    ],
)
def test_what_cannot_be_offered_is_told_with_its_place(tmp_path: Path, source: str, code: str) -> None:
    problems = functions.catalog(project_with(tmp_path, source)).problems
    assert [(p.code, p.place) for p in problems] == [(code, "functions/mine.py")]
    assert problems[0].line >= 1


def test_a_file_that_is_not_trusted_is_never_executed(tmp_path: Path) -> None:
    flag = tmp_path / "executed"
    project = project_with(tmp_path, f'open({str(flag)!r}, "w").close()\n@function(version="1")\ndef f(): return 1\n')
    untrusting = functions.Registry(functions.catalog(project), project, TrustStore(tmp_path / "data"))
    with pytest.raises(FunctionFailedError, match="not trusted"):
        untrusting.call("f", "1", [], {})
    with pytest.raises(FunctionFailedError, match="not trusted"):
        functions.Registry(functions.catalog(project), project).call("f", "1", [], {})
    assert not flag.exists()
    assert registry(project, tmp_path).call("f", "1", [], {}) == 1
    assert flag.exists()


def test_a_file_changed_since_it_was_trusted_is_never_executed(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="1")\ndef f(): return 1\n')
    store = trusted(project, tmp_path)
    (tmp_path / "functions" / "mine.py").write_text(HEAD + '@function(version="1")\ndef f(): return 2\n')
    with pytest.raises(FunctionFailedError, match="has changed since"):
        functions.Registry(functions.catalog(project), project, store).call("f", "1", [], {})


def test_a_version_that_is_gone_is_told_and_no_other_is_called(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="2")\ndef f(): return 1\n')
    with pytest.raises(FunctionFailedError, match=r"not here in version 1.*here is: 2"):
        registry(project, tmp_path).call("f", "1", [], {})
    with pytest.raises(FunctionFailedError, match="no registered function `nope`"):
        registry(project, tmp_path).call("nope", "1", [], {})


def test_what_a_function_raises_is_a_failure_with_its_line(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="1")\ndef f(x):\n    return 1 / x\n')
    with pytest.raises(FunctionFailedError, match=r"`f` raised ZeroDivisionError: .*functions/mine.py:4"):
        call_only(project, tmp_path, 0)


def test_a_file_that_fails_to_load_is_a_failure_of_the_call(tmp_path: Path) -> None:
    project = project_with(tmp_path, 'import not_there\n@function(version="1")\ndef f(x): return x\n')
    with pytest.raises(FunctionFailedError, match="could not be loaded: ModuleNotFoundError"):
        call_only(project, tmp_path, 0)


@pytest.mark.parametrize("result", ["{1, 2}", "object()", "float('nan')", "2**70", "{1: 2}"])
def test_a_result_that_is_not_json_is_a_failure(tmp_path: Path, result: str) -> None:
    project = project_with(tmp_path, f'@function(version="1")\ndef f(): return {result}\n')
    with pytest.raises(FunctionFailedError, match="not JSON"):
        call_only(project, tmp_path)


def test_results_are_made_plain_and_arguments_are_copies(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="1")\ndef f(xs):\n    xs.append(3)\n    return (xs, 2.0)\n')
    given: list[Value] = [1]
    assert call_only(project, tmp_path, given) == [[1, 3], 2]
    assert given == [1]


def test_a_value_that_was_set_aside_is_refused_as_an_argument(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="1")\ndef f(x): return x\n')
    with pytest.raises(FunctionFailedError, match="no plain JSON value"):
        call_only(project, tmp_path, BlobRef(digest="sha256:0", size_bytes=1, kind="text", length=1))


@pytest.mark.parametrize("hint,good,bad",
    [
        ("str", "x", 1), ("int", 1, True), ("float", 1, "1"), ("bool", True, 1), ("list[int]", [1], ["x"]), ("dict[str, int]", {"a": 1}, {"a": "x"}),
        ("str | None", None, 1), ("object", 1, ...), ("'str'", "x", 1), ("None", None, 0),
    ],
)  # fmt: skip
def test_arguments_are_compared_with_annotations(tmp_path: Path, hint: str, good: Value, bad: object) -> None:
    project = project_with(tmp_path, f'@function(version="1")\ndef f(x: {hint}): return x\n')
    assert call_only(project, tmp_path, good) == good
    if bad is not ...:
        with pytest.raises(FunctionFailedError, match="`x` of `f` must be"):
            call_only(project, tmp_path, bad)  # type: ignore[arg-type]


def test_a_function_that_is_not_pure_stands_in_no_expression(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="1")\ndef f(): return 1\n')
    loaded = find.load_text(project, "name: a\nsteps: [{return: '{{ f() }}'}]", "a.yaml")
    assert len(loaded.problems) == 1
    assert "pure" in loaded.problems[0].message + loaded.problems[0].suggestion


def test_a_function_of_the_project_hides_one_of_the_library_but_not_from_the_library(tmp_path: Path) -> None:
    project = project_with(tmp_path, '@function(version="9", pure=True)\ndef generate_research_tasks(a, b): return []\n')
    own = find.load_text(project, "name: a\nsteps: [{return: '{{ generate_research_tasks(1, 2) }}'}]", "a.yaml")
    assert own.require().functions == {"generate_research_tasks": "9"}
    shipped = find.load(project, "planning:interactive").require()
    assert shipped.functions["generate_research_tasks"] == "1"
    both = registry(project, tmp_path)
    assert both.call("generate_research_tasks", "9", [1, 2], {}) == []
    assert both.call("generate_research_tasks", "1", ["x", ""], {}) != []


def test_an_unknown_function_suggests_the_nearest() -> None:
    (problem,) = load_text("name: a\nsteps: [{return: \"{{ generate_reserch_tasks('a', 'b') }}\"}]").problems
    assert "generate_research_tasks" in problem.message + problem.suggestion
