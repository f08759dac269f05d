"""Mending a text in tests, and what every mended file must hold to."""

import difflib
from collections import Counter
from textwrap import dedent

from tests.authoring.support import NOWHERE
from treadle.authoring.find import Entry, Finder
from treadle.authoring.mend import Mended, mend
from treadle.authoring.mend_files import examine
from treadle.authoring.mend_ground import Ground
from treadle.config.project import Project


def mended(text: str, project: Project = NOWHERE, shown: str = "test.yaml") -> Mended:
    finder = Finder(project)
    entry = Entry(name="", path=project.root / shown, origin="path", shown=shown, place=project.root)
    return mend(text, lambda changed: examine(finder, entry, changed))


def fixed_text(text: str) -> str:
    """Mend a text as a test writes it, and check what holds of every mending."""
    done = mended(dedent(text).lstrip("\n"))
    assert_promises(done)
    return done.text


def assert_promises(done: Mended) -> None:
    """A second time changes nothing; only lines that are told are touched; what was mended is gone, and nothing readable is lost."""
    again = mended(done.text)
    assert (again.fixed, again.text) == ((), done.text)
    assert bool(done.fixed) == done.is_changed
    told = {line for fixed in done.fixed for part in (fixed.before, fixed.after) for line in part.splitlines()}
    before, after = done.before.splitlines(), done.text.splitlines()
    for kind, start, end, to, until in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        touched = before[start:end] or after[to:until]
        assert kind == "equal" or set(touched) <= told, (before[start:end], after[to:until])
    was = examined(done.before)
    if was.root is None:
        # Reading stopped at the first fault; what comes to light behind it may be of its kind.
        assert done.ground.root is not None or not done.fixed or done.ground.problems != was.problems
        return
    assert done.ground.root is not None
    before_count, left = (Counter((p.code, p.message) for p in problems) for problems in (was.problems, done.ground.problems))
    for problem, count in Counter((f.problem.code, f.problem.message) for f in done.fixed).items():
        assert left[problem] <= max(before_count[problem] - count, 0), problem


def examined(text: str) -> Ground:
    """Check a text as it is."""
    entry = Entry(name="", path=NOWHERE.root / "test.yaml", origin="path", shown="test.yaml", place=NOWHERE.root)
    return examine(Finder(NOWHERE), entry, text)
