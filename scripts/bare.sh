# Shared by scripts/test-bare and scripts/test-deb: a bare Debian in a folder, with processes and mounts of its own, which
# end with the script, however it ends. Sourced after lib.sh, never run.
#
#   $folder      what belongs to the machine, removed at the end
#   $machine     its root folder, in $folder
# shellcheck shell=bash

PATH_INSIDE=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

bare_tools() {
    if command -v mmdebstrap && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then return; fi
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mmdebstrap debian-archive-keyring
}

# bootstrap SUITE PACKAGES: from where this machine has its Debian packages, and by which way.
bootstrap() {
    local sources=() options=() file line
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/debian.list; do
        if grep -qs bookworm "$file"; then
            sed "s/bookworm/$1/g" "$file" >"$folder/${file##*/}"
            sources+=("$folder/${file##*/}")
        fi
    done
    while read -r line; do
        options+=("--aptopt=$line")
    done < <(apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::(Proxy|CaInfo|Verify-Peer)|Retries|Check-Valid-Until|Check-Date)')
    mmdebstrap --variant=minbase --include="$2" "${options[@]}" "$1" "$machine" "${sources[@]}"
    for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -f "$file" ] || cp -L "$file" "$machine$file"
    done
}

remove_machine() {
    # The mounts were the inner process's own; nothing that is still mounted may be removed through.
    if grep -q " $folder/" /proc/self/mounts; then
        echo "there are still mounts below $folder: it is left there" >&2
    else
        rm -rf --one-file-system "$folder"
    fi
}

# enter ARGUMENT...: this script again, as `inside ARGUMENT...`, with mounts and processes that are gone when it ends, also when it is killed.
enter() { unshare --mount --propagation private --pid --fork --kill-child "$0" inside "$@"; }

open_machine() {
    mount -t proc proc "$machine/proc"
    mount --rbind /dev "$machine/dev"
    mount -t tmpfs -o mode=1777 shm "$machine/dev/shm"
}

# Fills the array `environment` with the way to the package registries, which is all that a machine has of this session's.
way_to_registries() {
    local name
    environment=()
    while read -r name; do
        environment+=("$name=${!name}")
    done < <(compgen -e | grep -iE '^((https?|ftp|all|no)_proxy|SSL_CERT_(FILE|DIR)|(CURL|REQUESTS)_CA_BUNDLE|PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|PROXY|DEFAULT_TIMEOUT|RETRIES)|CARGO_(HTTP|NET|REGISTRIES|REGISTRY|SOURCE)_.*)$')
}
