# Sourced by tools/demo and tools/test: makes .venv with the locked packages and this checkout, once.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
stamp="$venv/.locked"

say() { printf '%s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in ${PERCEPTION_PYTHON:-} python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
            2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "Python 3.11 or 3.12 with venv is needed; set PERCEPTION_PYTHON to one."
    exit 2
}

# Open3D links against these; everything else works without them.
system_packages() {
    local missing=() pair
    for pair in libusb-1.0.so.0:libusb-1.0-0 libGL.so.1:libgl1 libEGL.so.1:libegl1 libgomp.so.1:libgomp1 libX11.so.6:libx11-6; do
        ldconfig -p 2>/dev/null | grep -q "${pair%%:*}" || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        say "Installing system libraries: ${missing[*]}"
        apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2
    else
        say "System libraries are missing; install them and run again: ${missing[*]}"
        exit 2
    fi
}

system_packages
want=$(cat "$root/tools/requirements.lock" "$root/pyproject.toml" | sha256sum | cut -d' ' -f1)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
    python=$(find_python)
    say "Setting up $venv with $("$python" --version); about 4 minutes and 7 GB the first time."
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --quiet -r "$root/tools/requirements.lock" >&2
    "$venv/bin/python" -m pip install --quiet --quiet --no-deps -e "$root" >&2
    printf '%s\n' "$want" >"$stamp"
fi
export PATH="$venv/bin:$PATH"
export PYTHONDONTWRITEBYTECODE=1
cd "$root"
