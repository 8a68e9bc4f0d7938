# Shared by the scripts of this folder: paths, messages, timing. Sourced, never run.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# Tools that were installed here have priority over others of the same name; wasm-opt is in end2end's node_modules.
export PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$ROOT/end2end/node_modules/.bin:$PATH"

# Queries are checked against the committed data in .sqlx; only `make sqlx` uses a database.
export SQLX_OFFLINE=true
unset DATABASE_URL
# A text that differs from its snapshot fails the test, whatever the caller's environment: see .config/insta.yaml.
export INSTA_UPDATE=no INSTA_FORCE_PASS=0
# One target directory for everything; the caller may choose it.
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
STAMPS=$TARGET/stamps
STAGEGATE_BIN=$TARGET/release/stagegate
export STAGEGATE_BIN

if [ -t 1 ]; then BOLD=$'\033[1m' RED=$'\033[31m' DIM=$'\033[2m' PLAIN=$'\033[0m'; else BOLD='' RED='' DIM='' PLAIN=''; fi

say() { printf '%s\n' "    $*"; }
warn() { printf '%s\n' "${RED}    warning:${PLAIN} $*" >&2; }
die() { printf '%s\n' "${RED}error:${PLAIN} $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# stage "title" "expected time" command [args...]
# The command runs in a subshell under `set -e`, so a stage that fails half way ends the script. If STAGE_TIMES names a
# file, each stage adds a line to it: seconds, exit status, title.
stage() {
  local title=$1 expected=$2 before=$SECONDS status=0
  shift 2
  printf '%s\n' "${BOLD}==> $title${PLAIN} ${DIM}($expected)${PLAIN}"
  set +e
  (set -e; "$@")
  status=$?
  set -e
  [ -z "${STAGE_TIMES:-}" ] || printf '%s\t%s\t%s\n' "$((SECONDS - before))" "$status" "$title" >>"$STAGE_TIMES"
  if [ "$status" -ne 0 ]; then
    printf '%s\n' "${RED}==> $title: failed with status $status after $((SECONDS - before)) s${PLAIN}" >&2
    exit "$status"
  fi
  printf '%s\n' "${DIM}    done in $((SECONDS - before)) s${PLAIN}"
}

# bounded SECONDS command [args...]: ends the whole process group after this time or when the caller is interrupted.
bounded() {
  local seconds=$1 child status=0
  shift
  timeout --kill-after=30 "$seconds" "$@" &
  child=$!
  trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit 130' INT TERM
  wait "$child" || status=$?
  trap - INT TERM
  if [ "$status" -eq 124 ]; then warn "stopped after $seconds s: $*"; fi
  return "$status"
}

# digest_of path...: one hash over names and contents of the files below these paths, without build output and reports.
digest_of() {
  local path
  for path in "$@"; do
    [ -e "$path" ] || continue
    find "$path" \( -name target -o -name node_modules -o -name .git -o -name dist -o -name coverage \) -prune -o -type f -print0
  done | sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
}

# fresh NAME DIGEST: whether NAME was stamped with this digest.   stamp NAME DIGEST: stamps it.
fresh() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }
stamp() { mkdir -p "$STAMPS" && printf '%s\n' "$2" >"$STAMPS/$1"; }

engine_answers() { have docker && timeout 10 docker info >/dev/null 2>&1; }

# npm_ci FOLDER: installs exactly what the lock file says, once for each lock file and Node.js version.
npm_ci() {
  local folder=$1 want
  want="$(sha256sum "$folder/package-lock.json" | cut -d' ' -f1) $(node --version)"
  if [ "$(cat "$folder/node_modules/.stagegate-stamp" 2>/dev/null)" = "$want" ]; then return; fi
  say "npm ci in ${folder#"$ROOT"/}"
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
  printf '%s\n' "$want" >"$folder/node_modules/.stagegate-stamp"
}
