"""The pure functions of the shipped planning workflows: text in, structure out, the same each time.

No model is asked and nothing is invented: they arrange what people, agents and tools said. A second variant of the workflows can have
agents do the same work with judgement.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from treadle.functions import function

_QUESTIONS: Final = {
    "objective": "How can this objective be reached: {}?",
    "constraint": "What follows from this constraint, and how is it met: {}?",
    "timeline": "What can be done in this time, and in which order: {}?",
    "other": "What should be known about: {}?",
}
_SECTIONS: Final = {
    "objective": re.compile(r"(key |main )?(objectives?|goals?|aims?|outcomes?)", re.IGNORECASE),
    "constraint": re.compile(r"(constraints?|preferences?|limits?|limitations?|restrictions?|non-goals?)( (and|or) (constraints?|preferences?))?", re.IGNORECASE),
    "timeline": re.compile(r"(expected )?(timeline|timing|schedule|deadlines?|time ?frame)", re.IGNORECASE),
}  # fmt: skip
_SIGNS: Final = {
    "timeline": re.compile(
        r"\b(deadline|timeline|by (monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|january|february|march|april|may|june|july"
        r"|august|september|october|november|december|the end of|end of|q[1-4])|within \d+|(in|next|per) (\d+|a|one|two|three|four|six)? ?"
        r"(hour|day|week|month|quarter|year)s?|\d+ (hour|day|week|month|quarter|year)s?)\b", re.IGNORECASE),
    "constraint": re.compile(
        r"\b(must|must not|may not|cannot|can't|only|no more than|at most|at least|without|avoid|never|should not|shouldn't|prefer|preferably"
        r"|budget|limited|keep|compatible|comply|compliance|instead of|rather than)\b", re.IGNORECASE),
    "objective": re.compile(
        r"\b(goal|objective|aim|want|need|achieve|improve|reduce|increase|enable|allow|build|create|support|deliver|so that)\b", re.IGNORECASE),
}  # fmt: skip
_BULLET = re.compile(r"\A\s*(?:[-*+•]|\d{1,3}[.)]|[a-zA-Z][.)])\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])|\s*;\s*")
_HEADING = re.compile(r"(#{1,6})\s+(?:\d+[.)]\s*)?(.+?)\s*#*\s*\Z")
_REVIEW_HEADING: Final = "Changes from review"
_CONFIDENCE: Final = ("low", "medium", "high")


@function(version="1", pure=True)
def generate_research_tasks(task_description: str, requirements: str) -> list[str]:
    """Make one question of each objective, constraint and timeline in the requirements, between one on approaches and one on risks.

    Lines under a heading such as `Constraints:` belong to it; other lines are sorted by the words they hold. Most general first, then
    objectives, constraints, timeline, all else, risks last; each question once.
    """
    task = _clean(task_description)
    found: dict[str, list[str]] = {kind: [] for kind in _QUESTIONS}
    for kind, text in _statements(requirements):
        found[kind].append(_QUESTIONS[kind].format(text))
    questions = [f"Which approaches have proven themselves for: {task}?"]
    questions += [question for kind in _QUESTIONS for question in found[kind]]
    questions.append(f"What commonly goes wrong with: {task}, and what prevents it?")
    return list({question.casefold(): question for question in reversed(questions)}.values())[::-1]


def _statements(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in text.splitlines():
        bare = _BULLET.sub("", line, count=1).strip().strip("#*_ ")
        head, colon, rest = bare.partition(":")
        named = next((kind for kind, words in _SECTIONS.items() if words.fullmatch(head.strip(" *_#"))), "")
        if not bare:
            continue
        if named and (colon or line.lstrip().startswith("#")):
            section, bare = named, rest
        elif named and not rest:
            section, bare = named, ""
        for part in _SENTENCE.split(bare):
            statement = _clean(part)
            if len(statement) > 1:
                yield section or _sorted_by_words(statement), statement


def _sorted_by_words(statement: str) -> str:
    return next((kind for kind, words in _SIGNS.items() if words.search(statement)), "other")


def _clean(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().strip("*_ ").rstrip(".!?,;: ")


@function(version="1", pure=True)
def merge_plan_with_feedback(plan: str, feedback: dict | str | None) -> str:
    """Write a review's changes into a plan: under the heading that a point names, the others in a closing section.

    `feedback` is `{feedback: [{point, change}], verdict}`; a text is taken as one change. Nothing of the plan is removed, and a change that
    already stands there is not written again, so merging twice is merging once.
    """
    changes = _changes(feedback)
    lines = plan.rstrip().splitlines()
    headings = [(index, found[2]) for index, line in enumerate(lines) if (found := _HEADING.fullmatch(line)) is not None]
    inserts: dict[int, list[str]] = {}
    closing: list[str] = []
    for point, change in changes:
        entry = f"- Review: {change}" + (f" ({point})" if point else "")
        if entry in lines or entry in closing:
            continue
        at = _end_of_section(lines, headings, point)
        if at is None:
            closing.append(entry)
        elif entry not in inserts.setdefault(at, []):
            inserts[at].append(entry)
    merged: list[str] = []
    for index in range(len(lines) + 1):
        merged += inserts.get(index, [])
        merged += lines[index : index + 1]
    if closing:
        merged += ([] if f"## {_REVIEW_HEADING}" in lines else ["", f"## {_REVIEW_HEADING}", ""]) + closing
    return "\n".join(merged) + "\n" if changes else plan


def _changes(feedback: object) -> list[tuple[str, str]]:
    if isinstance(feedback, str):
        return [("", _clean_line(feedback))] if _clean_line(feedback) else []
    rows = feedback.get("feedback", []) if isinstance(feedback, dict) else []
    found: list[tuple[str, str]] = []
    for row in rows if isinstance(rows, list) else []:
        point, change = (row.get("point", ""), row.get("change", "")) if isinstance(row, dict) else ("", row)
        if isinstance(change, str) and _clean_line(change):
            found.append((_clean_line(str(point)), _clean_line(change)))
    return found


def _clean_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _end_of_section(lines: list[str], headings: list[tuple[int, str]], point: str) -> int | None:
    """Give the line before which a change to the section that `point` names belongs; the longest heading that it names wins."""
    named = [(len(title), index) for index, title in headings if re.search(rf"\b{re.escape(title)}\b", point, re.IGNORECASE)]
    if not named:
        return None
    start = max(named, key=lambda row: (row[0], -row[1]))[1]
    end = next((index for index, _ in headings if index > start), len(lines))
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    return end


@function(version="1", pure=True)
def analyze_search_results(search_results: dict, reading: dict | None = None) -> dict:
    """Match findings with the sources that were found: `{findings, unsupported, sources, unused, confidence}`.

    `search_results` is what `web.search` gives, `reading` is `{findings: [{statement, sources}], confidence}`. A finding that cites none of the
    sources found is listed as unsupported, and confidence is low where no finding is supported, whatever the reader said. Without a
    reading the snippets stand as findings, of low confidence: nobody has read them.
    """
    sources = _distinct_sources(search_results)
    if reading is None:
        findings = [{"statement": row["snippet"], "sources": [row["url"]]} for row in sources.values() if row["snippet"]]
        return _analysis(findings, [], sources, "low")
    supported: list[dict[str, object]] = []
    unsupported: list[str] = []
    rows = reading.get("findings", [])
    for row in rows if isinstance(rows, list) else []:
        statement = _clean_line(str(row.get("statement", "") if isinstance(row, dict) else row))
        cited = row.get("sources", []) if isinstance(row, dict) else []
        keys = [key for key in dict.fromkeys(map(_address, map(str, cited if isinstance(cited, list) else []))) if key in sources]
        if statement and keys:
            supported.append({"statement": statement, "sources": [sources[key]["url"] for key in keys]})
        elif statement:
            unsupported.append(statement)
    said = reading.get("confidence")
    return _analysis(supported, unsupported, sources, said if supported and said in _CONFIDENCE else "low")


def _distinct_sources(search_results: dict[str, object]) -> dict[str, dict[str, str]]:
    rows = search_results.get("sources", [])
    found: dict[str, dict[str, str]] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("url"):
            entry = {key: _clean_line(str(row.get(key) or "")) for key in ("title", "url", "snippet")}
            found.setdefault(_address(entry["url"]), entry)
    return found


def _address(url: str) -> str:
    """Give an address without what does not change the page: scheme, case of the host, fragment, a last slash."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url.strip()
    return urlunsplit(("", parts.netloc.lower().removeprefix("www."), parts.path.rstrip("/"), parts.query, ""))


def _analysis(
    findings: list[dict[str, object]], unsupported: list[str], sources: dict[str, dict[str, str]], confidence: object
) -> dict[str, object]:
    used = {url for row in findings for url in (row["sources"] if isinstance(row["sources"], list) else [])}
    return {
        "findings": findings,
        "unsupported": unsupported,
        "sources": [{"title": row["title"], "url": row["url"]} for row in sources.values()],
        "unused": [row["url"] for row in sources.values() if row["url"] not in used],
        "confidence": confidence,
    }
