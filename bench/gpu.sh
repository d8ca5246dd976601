#!/usr/bin/env bash
# Epochs per second of the trainer and of PyTorch, on the same rows and device. Needs no server, so that a machine with a
# GPU can do it:
#
#   bench/gpu.sh                  on the first GPU, or on the CPU where there is none
#   DEVICE=cpu bench/gpu.sh       on the CPU; cuda, cuda:N
#
# Of the data and the training: ROWS, COLUMNS, BATCH (0: all rows in every step), EPOCHS, HIDDEN, SEED.
# Where things are: TRAINER, the program pg_recommend_trainer; LIBTORCH, the folder whose lib/ it loads (for a GPU: all
# of PyTorch 2.11.0, such as site-packages/torch); PYTHON, one with torch, numpy and pyarrow.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
trainer=${TRAINER:-$repository/target/release/pg_recommend_trainer}
libtorch=${LIBTORCH:-$repository/.local/libtorch}
python=${PYTHON:-$repository/.local/bench/venv/bin/python}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

[ -x "$trainer" ] || fail "there is no $trainer: build it (cargo build --release -p pg_recommend_trainer), or set TRAINER."
[ -e "$libtorch/lib/libtorch_cpu.so" ] || fail "there is no libtorch in $libtorch/lib: set LIBTORCH."
"$python" -c 'import numpy, pyarrow, torch' || fail "$python lacks torch, numpy or pyarrow: install them, or set PYTHON."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PYTHONDONTWRITEBYTECODE=1 "$python" "$repository/bench/gpu.py" --trainer "$trainer" --libtorch "$libtorch/lib" --folder "$work" \
    --device "${DEVICE:-auto}" --rows "${ROWS:-2000000}" --columns "${COLUMNS:-30}" --batch "${BATCH:-65536}" \
    --epochs "${EPOCHS:-10}" --hidden "${HIDDEN:-128}" --seed "${SEED:-1}"
