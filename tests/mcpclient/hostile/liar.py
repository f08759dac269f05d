"""Answers what is no answer: garbage before it, half a message, wrong types, broken text, too much of everything."""

import json
import os
import sys
import time

from wire import answer, serve, text, write


def raw(number, rest):
    """Begin an answer by the book and go on with anything."""
    write(f'{{"jsonrpc": "2.0", "id": {number}, {rest}\n')


def garbage(number, arguments):
    write('Server starting up...\n\n{not json}\n[]\n{"level": "info", "id": 7}\n\x1b[31mred\x1b[0m\n')
    write(b"\xff\xfe broken bytes \x80\n")
    return text("after the garbage")


def half(number, arguments):
    raw(number, '"result": {"content": [{"type": "tex')


def half_without_id(number, arguments):
    write('{"result": {"content": [{"type": "tex\n')


def wrong_type(number, arguments):
    raw(number, '"result": "just text"}')


def wrong_content(number, arguments):
    raw(number, '"result": {"content": [{"type": "hologram"}]}}')


def no_result(number, arguments):
    write(f'{{"jsonrpc": "2.0", "id": {number}}}\n')


def broken_utf8(number, arguments):
    write(b'{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", "text": "Z\xfcrich"}]}}\n' % number)


def half_surrogate(number, arguments):
    raw(number, '"result": {"content": [{"type": "text", "text": "x\\ud83d"}]}}')


def deep(number, arguments):
    value = "[" * 100_000 + "]" * 100_000
    raw(number, f'"result": {{"content": [], "structuredContent": {{"x": {value}}}}}}}')


def not_finite(number, arguments):
    raw(number, '"result": {"content": [], "structuredContent": {"x": NaN}}}')


def huge(number, arguments):
    """One line of many megabytes; where the id stands is for the caller to choose."""
    size, place = arguments["megabytes"], arguments.get("id", "last")
    write(f'{{"jsonrpc": "2.0", "id": {number}, ' if place == "first" else "{")
    write('"result": {"content": [{"type": "text", "text": "')
    for _ in range(size):
        write(b"x" * (1 << 20))
    write('"}]}')
    write(f', "jsonrpc": "2.0", "id": {number}}}\n' if place == "last" else "}\n")


def endless_line(number, arguments):
    while True:
        write(b"x" * (1 << 20))


def endless_garbage(number, arguments):
    while True:
        write("nothing to see here\n" * 1000)


def endless_questions(number, arguments):
    """Asks without reading a single reply."""
    line = '{"jsonrpc": "2.0", "id": "q", "method": "ping"}\n'
    while True:
        write(line * 100)


def endless_nothing(number, arguments):
    while True:
        write(b"\n" * 65_536)


def endless_long_lines(number, arguments):
    while True:
        write(b"x" * (1 << 20) + b"\n")


def endless_progress(number, arguments):
    params = json.dumps({"progressToken": number, "progress": 1})
    line = f'{{"jsonrpc": "2.0", "method": "notifications/progress", "params": {params}}}\n'
    while True:
        write(line * 100)


def log_flood(number, arguments):
    end = time.monotonic() + arguments["seconds"]
    while time.monotonic() < end:
        os.write(2, b"E: all is lost\n" * 1000)
    return text("logged")


def wrong_id(number, arguments):
    answer(number + 1000, text("for somebody else"))
    return text("for you")


def twice(number, arguments):
    answer(number, text("first"))
    return text("second")


def escape(number, arguments):
    os.write(2, b"\x1b]0;title\x07plain \xe2\x80\xaetxt\n")
    return text("done")


sys.setrecursionlimit(10_000)
TOOLS = [
    garbage,
    half,
    half_without_id,
    wrong_type,
    wrong_content,
    no_result,
    broken_utf8,
    half_surrogate,
    deep,
    not_finite,
    huge,
    endless_line,
    endless_garbage,
    endless_questions,
    endless_nothing,
    endless_long_lines,
    endless_progress,
    log_flood,
    wrong_id,
    twice,
    escape,
]
serve({function.__name__: function for function in TOOLS})
