"""Import-linter contracts of our own: a third party stays in its folder, and the core keeps to an allow-list.

Both tolerate packages that do not exist yet: what is not there imports nothing.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
from importlinter import Contract, ContractCheck, fields, output

SOURCE_ROOT = Path(__file__).resolve().parent.parent / "src"


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


class OnlyInContract(Contract):
    """`places` holds lines `external: package package…`: only modules in these packages import that external one."""

    type_name = "only_in"
    places = fields.ListField(subfield=fields.StringField())

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 (its signature)
        places: list[str] = self.places  # pyright: ignore[reportAssignmentType] (fields become values when loaded)
        problems: list[str] = []
        for place in places:
            external, _, allowed = place.partition(":")
            if external not in graph.modules:
                continue
            problems += [
                f"{importer} imports {external}, which belongs to {allowed.strip()} only"
                for importer in sorted(graph.find_modules_that_directly_import(external))
                if not any(within(importer, package) for package in allowed.split())
            ]
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for problem in check.metadata["problems"]:
            output.print_error(f"- {problem}", bold=False)


class AllowListContract(Contract):
    """`package` imports itself and the modules in `allowed`, nothing else, and never speaks a name in `forbidden_names`."""

    type_name = "allow_list"
    package = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField())
    forbidden_names = fields.SetField(subfield=fields.StringField())

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 (its signature)
        package, allowed = str(self.package), set(self.allowed)  # pyright: ignore[reportArgumentType] (as above)
        forbidden = set(self.forbidden_names)  # pyright: ignore[reportArgumentType] (as above)
        problems: list[str] = []
        for module in sorted(graph.modules):
            if not within(module, package):
                continue
            problems += [
                f"{module} imports {imported}, which is not on the allow-list of {package}"
                for imported in sorted(graph.find_modules_directly_imported_by(module))
                if not within(imported, package) and imported not in allowed
            ]
            problems += [f"{module}:{line} uses {name}" for line, name in impure_names(source_of(module), forbidden)]
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for problem in check.metadata["problems"]:
            output.print_error(f"- {problem}", bold=False)


def source_of(module: str) -> str:
    path = SOURCE_ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8") if file.exists() else ""


def impure_names(source: str, forbidden: set[str]) -> Iterator[tuple[int, str]]:
    """Calls of a forbidden name, plain (`open(…)`) or on a module or class (`datetime.now(…)`), with their lines."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in forbidden:
            yield node.lineno, node.func.id
        if isinstance(node.func, ast.Attribute) and node.func.attr in forbidden:
            yield node.lineno, node.func.attr
