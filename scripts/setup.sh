#!/usr/bin/env bash
# Makes the virtual environment, in parts, so that a first result waits for nothing it does not need.
# Run it as often as you like: what is there is recognized in an instant.
#
#   scripts/setup.sh base      PyTorch and mdsrec_pyg with what training needs
#   scripts/setup.sh dev       base, and the development tools with every extra but the compiled ones
#   scripts/setup.sh sparse    base, and torch-scatter and torch-sparse, which compile for minutes
#   scripts/setup.sh           dev and sparse
#   scripts/setup.sh missing   installs nothing, says whether the compiled extras are still to come
#
#   VENV=.venv                the environment's folder; an existing one is completed
#   PYTHON=python3.12         the interpreter (default: python3 if it fits, else the newest that does)
#   MDSREC_SKIP_SPARSE=1      leave the compiled extras out; the library runs without them
#   MDSREC_REQUIRE_SPARSE=1   fail where the compiled extras are asked for and cannot be had (the
#                             default where CI is set, unless to 0 or false)
#   FORCE_ONLY_CPU=0          let the extras compile CUDA kernels too (needs the CUDA toolkit)
#
# pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf, ...) are honored throughout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CPU_TORCH="2.13.0" # what a machine without a GPU gets
CPU_INDEX="https://download.pytorch.org/whl/cpu"

WANT_DEV=0 WANT_SPARSE=0 ONLY_SAY=0
for part in ${@:-dev sparse}; do
    case "$part" in
    base) ;;
    dev) WANT_DEV=1 ;;
    sparse) WANT_SPARSE=1 ;;
    missing) ONLY_SAY=1 ;;
    *) echo "error: a part must be base, dev, sparse or missing, got '$part'" >&2 && exit 1 ;;
    esac
done

VENV="${VENV:-.venv}"
PY="$VENV/bin/python"
STAMP="$VENV/.mdsrec-setup"
LOG="$VENV/setup.log"
if [ "${MDSREC_SKIP_SPARSE:-0}" = 1 ]; then WANT_SPARSE=0; fi
case "${CI:-}" in
"" | 0 | [Ff]alse | FALSE) IN_CI=0 ;;
*) IN_CI=1 ;;
esac
REQUIRE_SPARSE="${MDSREC_REQUIRE_SPARSE:-$IN_CI}"
export FORCE_ONLY_CPU="${FORCE_ONLY_CPU:-1}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1

# A requirement as pyproject.toml states it, so that no version stands in two places.
requirement() { sed -n "s/.*\"\($1[><=][^\"]*\)\".*/\1/p" pyproject.toml; }
TORCH="$(requirement torch)"
SCATTER="$(requirement torch-scatter)"
SPARSE="$(requirement torch-sparse)"

# ---- what the user sees: one line a step, the rest in the log -----------------------------------

OPEN_LINE=0
STARTED=0
step() {
    printf '==> %-13s' "$1"
    OPEN_LINE=1 STARTED=$SECONDS
}
note() { printf '%s ... ' "$1"; }
close_line() {
    [ "$OPEN_LINE" = 0 ] || echo
    OPEN_LINE=0
}
ok() {
    printf '%s, %d s\n' "$1" $((SECONDS - STARTED))
    OPEN_LINE=0
}
warn() {
    close_line
    printf 'warning: %s\n' "$1" >&2
}
fail() {
    close_line
    if [ -s "$LOG" ]; then
        tail -n 15 "$LOG" | cut -c1-240 >&2
        printf 'The whole log: %s\n' "$LOG" >&2
    fi
    printf 'error: %s\n' "$1" >&2
    exit 1
}
logged() {
    printf '\n$ %s\n' "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1
}
install() { logged "$PY" -m pip install "$@"; }
# pip turns Ctrl-C into a failure of its own, which must not pass for a build that failed.
trap 'close_line; exit 130' INT
trap 'close_line; exit 143' TERM

# ---- Python -------------------------------------------------------------------------------------

fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }
version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if fits "$candidate"; then echo "$candidate" && return; fi
    done
    if [ -n "${PYTHON:-}" ]; then
        fail "PYTHON must be a Python 3.10 to 3.13, got '$PYTHON': $("$PYTHON" --version 2>&1 || true)"
    fi
    fail "found no Python 3.10 to 3.13; install one, or name it: make test PYTHON=/path/to/python"
}

# Whether an interpreter sees a torch within pyproject's range.
has_torch() {
    "$1" - "$TORCH" >/dev/null 2>&1 <<'END'
import sys
from importlib.metadata import version
from pip._vendor.packaging.requirements import Requirement
sys.exit(not Requirement(sys.argv[1]).specifier.contains(version("torch"), prereleases=True))
END
}

# An environment with pip, also where the distribution packs ensurepip apart from Python (Debian).
# In a subshell, so that nothing half made stays behind, however it ends.
create_venv() (
    base="$1" options=()
    LOG="$(mktemp)"
    trap 'rm -rf "$VENV"' EXIT
    # A torch that the machine has (GPU images) saves gigabytes and fits its driver.
    if has_torch "$base"; then options=(--system-site-packages); fi
    if "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        logged "$base" -m venv ${options[@]+"${options[@]}"} "$VENV" || fail "$base -m venv failed"
    elif command -v virtualenv >/dev/null; then
        logged virtualenv -p "$base" ${options[@]+"${options[@]}"} "$VENV" || fail "virtualenv failed"
    else
        logged "$base" -m venv --without-pip ${options[@]+"${options[@]}"} "$VENV" &&
            logged "$base" -m pip --python "$PY" install pip ||
            fail "$base lacks what makes environments; on Debian or Ubuntu: apt install python3-venv"
    fi
    mv "$LOG" "$VENV/setup.log"
    trap - EXIT
)

prepare_python() {
    step python
    if [ -x "$PY" ]; then
        : >"$LOG"
        if ! fits "$PY"; then fail "$VENV holds no working Python 3.10 to 3.13; remove it and run again"; fi
    elif [ -e "$VENV" ]; then
        LOG=""
        fail "VENV must be a virtual environment or not exist yet, got '$VENV'"
    else
        local base
        base="$(find_python)"
        create_venv "$base"
    fi
    if ! logged "$PY" -m pip --version; then logged "$PY" -m ensurepip || fail "$VENV has no pip"; fi
    install "pip>=24" "$(requirement setuptools)" || fail "could not install pip and setuptools"
    ok "$(version_of "$PY") in $VENV"
}

# ---- PyTorch and the package --------------------------------------------------------------------

has_gpu() { [ -e /dev/nvidia0 ] || nvidia-smi -L >/dev/null 2>&1; }

# Whether pip is set up such that it finds a CPU build by itself.
finds_cpu_build() {
    local versions
    versions="$("$PY" -m pip index versions torch 2>>"$LOG" || true)"
    [[ "$versions" == *" $CPU_TORCH+cpu"* ]]
}

install_torch() {
    step torch
    if has_torch "$PY"; then
        :
    elif has_gpu; then
        install "$TORCH" || fail "could not install $TORCH"
    elif finds_cpu_build; then
        install "torch==$CPU_TORCH+cpu" || fail "could not install torch==$CPU_TORCH+cpu"
    elif ! install --no-deps --timeout 5 --retries 0 --index-url "$CPU_INDEX" "torch==$CPU_TORCH"; then
        # Elsewhere only PyTorch's own index has it (its dependencies come with the package below).
        note "no answer from PyTorch's CPU index, taking the default build"
        install "torch==$CPU_TORCH" || fail "could not install torch==$CPU_TORCH"
    fi
    local version gpu="GPU found"
    version="$("$PY" -c 'from importlib.metadata import version; print(version("torch"))')"
    if ! has_gpu; then gpu="no $gpu"; fi
    ok "$version ($gpu)"
}

install_package() { # base or dev
    step mdsrec_pyg
    local extras=plot what="with what training needs"
    if [ "$1" = dev ]; then extras=dev what="with requirements and development tools"; fi
    install --no-build-isolation -e ".[$extras]" || fail "could not install mdsrec_pyg with its requirements"
    ok "$what"
}

. scripts/setup_sparse.sh

# ---- all of it ----------------------------------------------------------------------------------

stamp_key() {
    { cat pyproject.toml setup.cfg scripts/setup.sh scripts/setup_sparse.sh scripts/check_sparse.py &&
        "$PY" -VV && echo "$PWD $FORCE_ONLY_CPU"; } | cksum
}

# Sets INSTALLED (none, base or dev) and SPARSE_STATE to what the last set-up from these files left.
read_stamp() {
    INSTALLED=none SPARSE_STATE=none
    if [ -f "$STAMP" ] && fits "$PY" && [ "$(sed -n 1p "$STAMP")" = "$(stamp_key)" ]; then
        INSTALLED="$(sed -n 2p "$STAMP")" SPARSE_STATE="$(sed -n 3p "$STAMP")"
    fi
}
write_stamp() {
    printf '%s\n%s\n%s\n' "$(stamp_key)" "$INSTALLED" "$SPARSE_STATE" >"$STAMP.new" && mv "$STAMP.new" "$STAMP"
}

package_wanted() { [ "$INSTALLED" = none ] || [ "$WANT_DEV$INSTALLED" = 1base ]; }

# One set-up of a folder at a time. What it starts holds the lock, too: a build may outlive it.
wait_for_others() {
    command -v flock >/dev/null || return 0
    exec 9<scripts/setup.sh
    if ! flock -n 9; then
        echo "==> waiting for another set-up of this folder"
        flock 9
    fi
    read_stamp
}

if [ -n "${PYTHON:-}" ] && fits "$PY" && [ "$(version_of "$(find_python)")" != "$(version_of "$PY")" ]; then
    fail "$VENV holds Python $(version_of "$PY"), not PYTHON=$PYTHON; remove it or choose another VENV"
fi
if [ "$ONLY_SAY" = 1 ]; then
    report_later
    exit 0
fi
read_stamp
if package_wanted || sparse_wanted; then wait_for_others; fi
if package_wanted; then
    if [ "$INSTALLED" = none ]; then
        prepare_python
        rm -f "$STAMP"
        install_torch
    fi
    INSTALLED=base
    if [ "$WANT_DEV" = 1 ]; then INSTALLED=dev; fi
    install_package "$INSTALLED"
    write_stamp
fi
if sparse_wanted; then
    install_sparse
    write_stamp
fi
if [ "$WANT_SPARSE" = 1 ] && [ "$SPARSE_STATE" != built ]; then report_missing_sparse; fi
printf '==> %-13s%s, %d s\n' ready "$VENV/bin/python" "$SECONDS"
