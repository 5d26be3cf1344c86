# Sourced by the other scripts: makes the private environment .venv in the clone, from the lock file.
# It is made anew only when the lock file, the packaging or the interpreter changed, so a second run costs nothing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '%s\n' "$*" >&2; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      printf '%s' "$candidate"
      return
    fi
  done
  say "error: no Python 3.11 or newer with venv was found"
  say "hint: install one (Debian: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python $0"
  exit 2
}

make_environment() {
  local python stamp wanted
  python=$(find_python)
  wanted=$({ "$python" -VV; cat requirements.lock pyproject.toml; printf '%s' "$root"; } | cksum)
  stamp=.venv/.made-from
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return; fi
  say "-- making .venv with $("$python" -V) (once; about a minute)"
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --requirement requirements.lock
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
  printf '%s' "$wanted" >"$stamp"
}

make_environment
export PATH="$root/.venv/bin:$PATH"
unset PYTHONPATH PYTHONUNBUFFERED
