# torch-scatter and torch-sparse: compiled once, kept as wheels. A part of setup.sh, which reads it.

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

kept_wheels() { ls -i "$1"/*.whl 2>/dev/null || true; }

# Builds both wheels in a scratch folder and moves them to their place when both are done; where
# another checkout is at it, waits for those.
build_wheels() (
    wheels="$1"
    mkdir -p "$wheels" || exit 1
    before="$(kept_wheels "$wheels")"
    if command -v flock >/dev/null; then exec 8<"$wheels" && flock 8; fi
    if [ "$(kept_wheels "$wheels")" != "$before" ]; then exit 0; fi
    work="$(mktemp -d "$wheels/.build.XXXXXX")" || exit 1
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
    local reason="they failed to build, see $LOG; to try again: make sparse"
    if [ "$SPARSE_STATE" = no-compiler ]; then
        reason="no working C++ compiler with Python's headers (Debian or Ubuntu: apt install g++ python3-dev)"
    fi
    if [ "$REQUIRE_SPARSE" = 1 ]; then fail "torch-scatter and torch-sparse are required: $reason"; fi
    warn "going on without torch-scatter and torch-sparse: $reason"
}

# What is said after a first result that went without them.
report_later() {
    if [ "${MDSREC_SKIP_SPARSE:-0}" = 1 ]; then return; fi
    if "$PY" -c 'from importlib.metadata import version; version("torch-sparse")' 2>/dev/null; then return; fi
    echo "torch-scatter and torch-sparse are not installed; only a SparseTensor needs them. To compile"
    echo "them (some minutes, once): make sparse. make test and make bench do so, too."
}

# Whether to attempt the extras, given how the last attempt ended.
sparse_wanted() {
    if [ "$WANT_SPARSE" = 0 ]; then return 1; fi
    case "$SPARSE_STATE" in
    built) return 1 ;;
    no-compiler) [ "$REQUIRE_SPARSE" = 1 ] || has_compiler ;;
    failed) [ "$REQUIRE_SPARSE" = 1 ] ;;
    *) return 0 ;;
    esac
}
