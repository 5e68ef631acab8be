# shellcheck shell=bash
# Sourced by run, test and benchmark: makes .venv in the repository and installs atml_exp there, once.
#
#   set_up [EXTRA]    after it $VENV/bin/python has atml_exp, with that extra of pyproject.toml
#
# It installs again only when something that an installation depends on has changed, and ends with a plain message
# where it can't. $PYTHON names the interpreter to use; without it, one that is new enough is looked for.

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv

set_up() {
    is_current "${1:-}" && return
    find_python
    mkdir -p "$VENV"
    exec 9>"$VENV/.lock"
    wait_for_lock
    is_current "${1:-}" || install "${1:-}"
    exec 9>&-
}

say() { printf '%s\n' "$@" >&2; }

# Whether the last finished installation (with this extra) is the one that would be made now.
is_current() {
    local version stamp=$VENV/installed-${1:-base}
    version=$(version_of "$VENV/bin/python") && is_wanted "$version" &&
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint "$version")" ]
}

# All that an installation depends on. The paths in it are absolute, so a moved repository counts as changed.
fingerprint() {
    printf '%s\n' "$ROOT" "$1"
    cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt"
}

version_of() { "$1" -E -S -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

is_wanted() { [ -z "${PYTHON:-}" ] || [ "$1" = "$(version_of "$PYTHON")" ]; }

# Asks an interpreter, which may be as old as Python 2, what it is good for.
PROBE='
import sys
verdict = "ok"
try:
    import ensurepip, venv
except ImportError:
    verdict = "bare"
if sys.version_info < (3, 11):
    verdict = "old"
print("%d.%d.%d" % sys.version_info[:3] + " " + verdict)
'

# Sets BASE and BASE_VERSION. Candidates are run, not only looked up: a shim may stand for nothing.
find_python() {
    local candidate answer tried=()
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11; fi
    for candidate in "$@"; do
        answer=$("$candidate" -E -S -c "$PROBE" 2>/dev/null) || answer=""
        BASE=$candidate BASE_VERSION=${answer% *}
        case $answer in
            *" ok") return ;;
            *" old") tried+=("  $candidate is version $BASE_VERSION: too old") ;;
            *" bare") tried+=("  $candidate is version $BASE_VERSION, but its venv module (ensurepip) is missing;"
                "    on Debian and Ubuntu: sudo apt install python${BASE_VERSION%.*}-venv") ;;
            *) tried+=("  $candidate is not there, or doesn't run") ;;
        esac
    done
    say "atml_exp needs Python 3.11 or newer, with its venv module. Tried:" "${tried[@]}" \
        "Install one (https://www.python.org/downloads), or name one that you have: PYTHON=/path/to/python3 $0"
    exit 1
}

# The lock on file descriptor 9 is given back when this process and its children have closed it, however they end.
wait_for_lock() {
    "$BASE" -E -S -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.stderr.write("Another set-up is going on here: waiting for its end.\n")
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # a file system without locks
'
}

# Stamps are written last, so that an installation cut off is done again. Each extra brings the base with it.
install() {
    local log=$VENV/.install.log name version
    venv_works || make_venv "$log"
    say "Installing atml_exp${1:+ [$1]} and what it needs into $VENV (the first time takes some minutes) ..."
    rm -f "$VENV/installed-base" "$VENV/installed-${1:-base}"
    (CDPATH='' cd -- "$ROOT" && "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input \
        --progress-bar off -c constraints.txt -e ".${1:+[$1]}") >"$log" 2>&1 || fail "Installing" "$log"
    version=$(version_of "$VENV/bin/python")
    for name in base "${1:-base}"; do
        fingerprint "$version" >"$VENV/.stamp"
        mv "$VENV/.stamp" "$VENV/installed-$name"
    done
}

venv_works() {
    local version python=$VENV/bin/python
    version=$(version_of "$python") && is_wanted "$version" && [ "$("$python" -E -S -c "$PROBE")" != "$version old" ] &&
        { "$python" -m pip --version || "$python" -m ensurepip; } >/dev/null 2>&1
}

make_venv() {
    say "Making $VENV with Python $BASE_VERSION ..."
    find "$VENV/" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
    "$BASE" -m venv "$VENV" >"$1" 2>&1 || fail "Making .venv" "$1"
}

fail() {
    say "$1 failed. The end of $2:"
    tail -n 15 "$2" | sed 's/^/  /' >&2
    say "Nothing is lost: once that is mended, the same command starts the set-up again."
    exit 1
}
