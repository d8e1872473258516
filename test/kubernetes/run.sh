#!/usr/bin/env bash
# The tests on a real Kubernetes: builds the image, brings a cluster up on this machine, runs them, and takes it down again.
# Where the machine cannot run a cluster they are skipped, with the reason.
# usage: run.sh [vitest arguments]     KUBE_KEEP=1: the cluster stays, and is used again; cluster/down.sh ends it
#                                      KUBE_SECONDS: begins no file that is likely to take longer than what is left of them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster/settings.sh"
. "$here/obstacle.sh"
cd "$here/../.."
tests=(npx vitest run --project kubernetes "$@")
log=$(mktemp)
finish() {
  rm -f "$log"
  [ -n "${KUBE_KEEP:-}" ] || "$here/cluster/down.sh"
}
trap finish EXIT

skip() { # REASON
  KUBERNETES_OBSTACLE=$1 "${tests[@]}"
  exit
}
or_skip() { # WHAT COMMAND...: of this machine, not of what is tested
  local what=$1
  shift
  "$@" >"$log" 2>&1 && return
  cat "$log"
  skip "$what: $(tail -n 1 "$log")"
}

reason=$(obstacle)
[ -z "$reason" ] || skip "$reason"
[ -n "${KUBE_KEEP:-}" ] || "$here/cluster/down.sh"
or_skip 'the cluster cannot be built' "$here/prepare.sh"

# What this machine has compiled and downloaded already need not be again.
caches=(--volume "$(npm config get cache):/root/.npm")
if command -v ccache >/dev/null; then caches+=(--volume "$(ccache --get-config cache_dir):/root/.cache/ccache"); fi
"$here/cluster/images/build.sh" localhost/conclave:test . "$CACHE/conclave.tar" "${caches[@]}"

or_skip 'the cluster does not start' "$here/cluster/up.sh"
or_skip 'definitions of other projects are missing' "$here/cluster/definitions.sh"
"$here/cluster/up.sh" load "$CACHE/nats.tar" "$CACHE/conclave.tar"
export KUBE_STATE=$STATE
if [ $# -gt 0 ]; then
  "${tests[@]}"
  exit
fi

# What must hold comes first; each file with the seconds that it takes on two cores.
files=(chart:30 install:75 disruptions:260 upgrades:250 security:50 autoscaling:70 pools:90 hub:80 docs:150)
for file in "$here"/*.test.ts; do
  name=$(basename "$file" .test.ts)
  case " ${files[*]}" in *" $name:"*) ;; *) echo "run.sh: expected $name among the files, with its seconds" >&2 && exit 1 ;; esac
done
status=0
for file in "${files[@]}"; do
  name=${file%:*} seconds=${file#*:} began=$SECONDS
  if [ -n "${KUBE_SECONDS:-}" ] && [ $((SECONDS + seconds)) -gt "$KUBE_SECONDS" ]; then
    echo "skipped: $name.test.ts takes about $seconds s, and $((KUBE_SECONDS - SECONDS)) s are left"
    continue
  fi
  "${tests[@]}" "test/kubernetes/$name.test.ts" || status=$?
  echo "$name: $((SECONDS - began)) s"
done
exit "$status"
