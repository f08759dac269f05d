"""Verdicts as JUnit XML, which continuous integration systems read."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from treadle.testing.report import miss_lines, story_lines
from treadle.testing.suite import Checked, Verdict

# What XML 1.0 cannot hold, however it is written.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, files: Sequence[tuple[Checked, Sequence[Verdict], Sequence[str]]]) -> None:
    """Write a suite per file; the last of each triple are faults of the file itself. Raises OSError."""
    root = Element("testsuites", name="treadle")
    for checked, verdicts, faults in files:
        failed = sum(not verdict.passed for verdict in verdicts)
        seconds = sum(verdict.took_ms for verdict in verdicts) / 1000
        suite = SubElement(
            root, "testsuite", name=_safe(checked.file.shown), tests=str(len(verdicts) + bool(faults)), failures=str(failed),
            errors=str(int(bool(faults))), skipped="0", time=f"{seconds:.6f}",
        )  # fmt: skip
        for verdict in verdicts:
            _case(suite, verdict)
        if faults:
            case = SubElement(suite, "testcase", name="(file)", classname=_safe(checked.file.shown), time="0")
            SubElement(case, "error", message=_safe(faults[0])).text = _safe("\n".join(faults))
    indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(suite: Element, verdict: Verdict) -> None:
    case = verdict.case
    row = SubElement(
        suite, "testcase", name=_safe(case.name), classname=_safe(case.shown), file=_safe(case.shown), line=str(case.place.line),
        time=f"{verdict.took_ms / 1000:.6f}",
    )  # fmt: skip
    if not verdict.passed:
        text = "\n".join([*miss_lines(verdict), "", *story_lines(verdict)])
        first = verdict.misses[0]
        SubElement(row, "failure", message=_safe(first.message), type=first.code).text = _safe(text)


def _safe(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
