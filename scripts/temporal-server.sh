#!/bin/sh
# Print the path of a `temporal` command line for the tests (it carries a development server).
#
# usage: scripts/temporal-server.sh            look at TREADLE_TEMPORAL_CLI, PATH and Go's bin folder; exit 1 if none is there
#        scripts/temporal-server.sh --install  else build it with Go 1.25 or newer (some minutes the first time)
#
# v1.5.1 is the newest version without `replace` lines, which `go install` refuses.
set -eu
MODULE=github.com/temporalio/cli/cmd/temporal@v1.5.1

if [ -n "${TREADLE_TEMPORAL_CLI:-}" ]; then
    [ -x "$TREADLE_TEMPORAL_CLI" ] && { printf '%s\n' "$TREADLE_TEMPORAL_CLI"; exit 0; }
    echo "TREADLE_TEMPORAL_CLI names $TREADLE_TEMPORAL_CLI, which is not an executable file" >&2
    exit 1
fi
command -v temporal && exit 0

go=$(command -v go || true)
[ -n "$go" ] || [ ! -x /usr/local/go/bin/go ] || go=/usr/local/go/bin/go
if [ -n "$go" ]; then
    folder=$("$go" env GOBIN)
    built=${folder:-$("$go" env GOPATH)/bin}/temporal
    if [ ! -x "$built" ] && [ "${1:-}" = "--install" ]; then
        echo "building the temporal command line with $("$go" version); this takes some minutes the first time" >&2
        "$go" install "$MODULE" >&2
    fi
    [ -x "$built" ] && { printf '%s\n' "$built"; exit 0; }
fi
echo "no temporal command line: put \`temporal\` on PATH, name one in TREADLE_TEMPORAL_CLI, or run scripts/temporal-server.sh --install (needs Go)" >&2
exit 1
