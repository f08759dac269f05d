"""Dies: in the middle of a call, with a grandchild that holds the pipes, by closing its output, or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from wire import answer, serve, text, write


def crash(number, arguments):
    os.write(2, b"Traceback: it is all over\n")
    os._exit(3)


def crash_in_line(number, arguments):
    write(f'{{"jsonrpc": "2.0", "id": {number}, "resu')
    os._exit(4)


def killed(number, arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def leave_grandchild(number, arguments):
    """The grandchild inherits stdout and stderr and sleeps; its process id goes to a file."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(arguments["pid_file"]).write_text(str(child.pid))
    os._exit(5)


def answer_and_leave(number, arguments):
    answer(number, text("last words"))
    os._exit(0)


def close_output(number, arguments):
    os.close(1)
    time.sleep(600)


def silence(number, arguments):
    return None


def deaf(number, arguments):
    """Answers no more, reads no more, and does not listen to reason either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def child_that_stays(number, arguments):
    """Ignores the end of its input and SIGTERM, and so does its child."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code])
    answer(number, text(str(child.pid)))
    deaf(number, arguments)


serve(
    {
        function.__name__: function
        for function in (
            crash,
            crash_in_line,
            killed,
            leave_grandchild,
            answer_and_leave,
            close_output,
            silence,
            deaf,
            child_that_stays,
        )
    }
)
