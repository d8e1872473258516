#!/usr/bin/env bash
# Builds the image of the repository's Dockerfile as an archive for the cluster. It can run beside other work.
# Exits with 75 where this machine is at fault: packages cannot be fetched, or buildah, memory or disk is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster/settings.sh"
cd "$here/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# What this machine has compiled and downloaded already need not be again.
caches=()
cache() { # FOLDER PLACE
  mkdir -p "$1"
  caches+=(--volume "$1:$2")
}
cache "$(npm config get cache)" /root/.npm
if command -v ccache >/dev/null; then cache "$(ccache --get-config cache_dir)" /root/.cache/ccache; fi
if ! "$here/cluster/images/build.sh" localhost/conclave:test . "$CACHE/conclave.tar" "${caches[@]}" 2>&1 | tee "$log"; then
  case $(grep -o 'building at STEP ".*' "$log" | tail -n 1) in '' | *'"RUN apt-get '* | *'"RUN npm ci '*) exit 75 ;; esac
  if grep -qE 'No space left on device|Cannot allocate memory|Killed' "$log"; then exit 75; fi
  exit 1
fi
