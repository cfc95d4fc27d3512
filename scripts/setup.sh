#!/usr/bin/env bash
# Makes the virtual environment: PyTorch, mdsrec_pyg with its development tools, and the compiled
# extras torch-scatter and torch-sparse. Run it as often as you like: a finished set-up is
# recognized in an instant.
#
#   VENV=.venv                the environment's folder; an existing one is completed
#   PYTHON=python3.12         the interpreter (default: python3 if it fits, else the newest that does)
#   MDSREC_SKIP_SPARSE=1      leave the compiled extras out; the library runs without them
#   MDSREC_REQUIRE_SPARSE=1   fail without the compiled extras (the default where CI is
#                             set, unless to 0 or false)
#   FORCE_ONLY_CPU=0          let the extras compile CUDA kernels too (needs the CUDA toolkit)
#
# pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf, ...) are honored throughout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CPU_TORCH="2.13.0" # what a machine without a GPU gets
CPU_INDEX="https://download.pytorch.org/whl/cpu"

VENV="${VENV:-.venv}"
PY="$VENV/bin/python"
STAMP="$VENV/.mdsrec-setup"
LOG="$VENV/setup.log"
SKIP_SPARSE="${MDSREC_SKIP_SPARSE:-0}"
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

install_package() {
    step mdsrec_pyg
    install --no-build-isolation -e '.[dev]' || fail "could not install mdsrec_pyg with its requirements"
    ok "with requirements and development tools"
}

# ---- torch-scatter and torch-sparse -------------------------------------------------------------

# Whether the compiler makes Python extensions at all.
has_compiler() {
    local include
    include="$("$PY" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')"
    logged "${CXX:-c++}" -std=c++17 -I"$include" -fsyntax-only -x c++ - <<'END'
#include <Python.h>
#include <vector>
END
}

# One compiler process a core, as far as memory goes: each takes up to 2 GiB.
build_jobs() {
    local cores memory
    cores="$(nproc)"
    memory="$(awk '/^MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)"
    if [ "${memory:-1}" -lt 1 ]; then memory=1; fi
    echo $((cores < ${memory:-1} ? cores : ${memory:-1}))
}

# Torch's ABI, Python and architecture decide which wheels fit.
wheel_folder() {
    "$PY" - "${XDG_CACHE_HOME:-$HOME/.cache}" <<'END'
import platform, sys
from importlib.metadata import version
python = f"cp{sys.version_info.major}{sys.version_info.minor}"
print(f"{sys.argv[1]}/mdsrec_pyg/wheels/torch-{version('torch')}-{python}-{platform.machine()}")
END
}

# Builds both wheels in a scratch folder and moves them to their place when both are done.
build_wheels() (
    wheels="$1"
    mkdir -p "$wheels" && work="$(mktemp -d "$wheels/.build.XXXXXX")" || exit 1
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/bin"
    # torch prefers ninja, which breaks parallel=: all extensions would share one build.ninja.
    printf '#!/bin/sh\nexit 1\n' >"$work/bin/ninja" && chmod +x "$work/bin/ninja"
    printf '[build_ext]\nparallel=%s\n' "$(build_jobs)" >"$work/distutils.cfg"
    export PATH="$work/bin:$PATH" DIST_EXTRA_CONFIG="$work/distutils.cfg"
    export CFLAGS="-O3 -DNDEBUG -g0" CXXFLAGS="-O3 -DNDEBUG -g0"
    # Not pip's own cache: its key knows nothing of the torch version.
    logged "$PY" -m pip wheel --no-deps --no-cache-dir --no-build-isolation --use-pep517 \
        -w "$work" "$SCATTER" "$SPARSE" &&
        mv -f "$work"/torch_scatter-*.whl "$work"/torch_sparse-*.whl "$wheels"
)

install_wheels() {
    install --no-deps --no-index --force-reinstall "$1"/torch_scatter-"${SCATTER##*=}"-*.whl \
        "$1"/torch_sparse-"${SPARSE##*=}"-*.whl && logged "$PY" scripts/check_sparse.py
}

# Sets SPARSE_STATE to built, no-compiler or failed.
install_sparse() {
    local wheels
    wheels="$(wheel_folder)"
    if [ "$FORCE_ONLY_CPU" != 1 ]; then wheels="$wheels-cuda"; fi
    step torch-sparse
    SPARSE_STATE=built
    if logged "$PY" scripts/check_sparse.py; then
        ok "already installed"
    elif install_wheels "$wheels"; then
        ok "from $wheels"
    elif ! has_compiler; then
        SPARSE_STATE=no-compiler
    else
        note "compiling for some minutes, once"
        if build_wheels "$wheels" && install_wheels "$wheels"; then
            ok "wheels kept in $wheels"
        else
            SPARSE_STATE=failed
            # Broken leftovers would be worse than nothing.
            logged "$PY" -m pip uninstall -y torch-scatter torch-sparse || true
        fi
    fi
}

report_missing_sparse() {
    local reason="they failed to build, see $LOG; to try again: MDSREC_REQUIRE_SPARSE=1 make test"
    if [ "$SPARSE_STATE" = no-compiler ]; then
        reason="no working C++ compiler with Python's headers (Debian or Ubuntu: apt install g++ python3-dev)"
    fi
    if [ "$REQUIRE_SPARSE" = 1 ]; then fail "torch-scatter and torch-sparse are required: $reason"; fi
    warn "going on without torch-scatter and torch-sparse: $reason"
}

# Whether another attempt at the extras makes sense, given how the last one ended.
sparse_wanted() {
    case "$SPARSE_STATE" in
    built) return 1 ;;
    no-compiler) [ "$REQUIRE_SPARSE" = 1 ] || has_compiler ;;
    failed) [ "$REQUIRE_SPARSE" = 1 ] ;;
    *) return 0 ;;
    esac
}

# ---- all of it ----------------------------------------------------------------------------------

stamp_key() {
    { cat pyproject.toml setup.cfg scripts/setup.sh scripts/check_sparse.py &&
        "$PY" -VV && echo "$PWD $FORCE_ONLY_CPU"; } | cksum
}

if [ -n "${PYTHON:-}" ] && fits "$PY" && [ "$(version_of "$(find_python)")" != "$(version_of "$PY")" ]; then
    fail "$VENV holds Python $(version_of "$PY"), not PYTHON=$PYTHON; remove it or choose another VENV"
fi
SPARSE_STATE=none
if [ -f "$STAMP" ] && fits "$PY" && [ "$(sed -n 1p "$STAMP")" = "$(stamp_key)" ]; then
    SPARSE_STATE="$(sed -n 2p "$STAMP")"
else
    prepare_python
    rm -f "$STAMP"
    install_torch
    install_package
fi
if [ "$SKIP_SPARSE" != 1 ]; then
    if sparse_wanted; then install_sparse; fi
    if [ "$SPARSE_STATE" != built ]; then report_missing_sparse; fi
fi
printf '%s\n%s\n' "$(stamp_key)" "$SPARSE_STATE" >"$STAMP.new" && mv "$STAMP.new" "$STAMP"
printf '==> %-13s%s, %d s\n' ready "$VENV/bin/python" "$SECONDS"
