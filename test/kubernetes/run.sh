#!/usr/bin/env bash
# The tests on a real Kubernetes: builds the image, brings a cluster up on this machine, runs them, and takes it down again.
# Where the machine cannot run a cluster, or it does not come up in two tries, they are skipped, with the reason.
# usage: run.sh [vitest arguments]     KUBE_KEEP=1: the cluster stays, and is used again; cluster/down.sh ends it
#                                      KUBE_FILES: these files alone, such as "install security"
#                                      KUBE_SECONDS: what may be taken; a file that is likely to take more is skipped, and one
#                                      that does take more is ended
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster/settings.sh"
. "$here/obstacle.sh"
cd "$here/../.."
log=$(mktemp)
finish() {
  rm -f "$log"
  [ -n "${KUBE_KEEP:-}" ] || "$here/cluster/down.sh"
}
trap finish EXIT

left() { echo $((${KUBE_SECONDS:-86400} - SECONDS)); }
# SECONDS COMMAND...: ends it when so much more time has passed than there was.
within() {
  local more=$1 seconds
  shift
  seconds=$(($(left) + more))
  timeout --kill-after 10 "$((seconds > 1 ? seconds : 1))" "$@"
}
tests=(node_modules/.bin/vitest run --project kubernetes "$@")
skip() { # REASON
  echo "skipped: $1"
  KUBERNETES_OBSTACLE=$1 "${tests[@]}"
  exit
}
or_skip() { # WHAT COMMAND...: of this machine, not of what is tested
  local what=$1
  shift
  if "$@" >"$log" 2>&1; then return; fi
  tail -n 40 "$log"
  if [ "$(left)" -gt 300 ]; then
    echo "$what; a second try"
    if "$@" >"$log" 2>&1; then return; fi
    tail -n 40 "$log"
  fi
  skip "$what: $(tail -n 1 "$log")"
}
# Its last line says whether the repository is at fault: then nothing is skipped.
image() {
  local status=0
  within 0 "$here/image.sh" || status=$?
  case $status in 0) echo built ;; 75 | 124 | 137) return 1 ;; *) echo failed ;; esac
}
ready() {
  if [ -z "${KUBE_KEEP:-}" ]; then "$here/cluster/down.sh" || return; fi
  within 0 "$here/cluster/up.sh" && within 0 "$here/cluster/definitions.sh" &&
    within 0 "$here/cluster/up.sh" load "$CACHE/nats.tar" "$CACHE/conclave.tar" && within 0 "$here/cluster/canary.sh"
}

reason=$(obstacle)
[ -z "$reason" ] || skip "$reason"
or_skip 'the programs of the cluster cannot be built' within 0 "$here/prepare.sh"
or_skip 'the image cannot be built here, or not in time' image
if [ "$(tail -n 1 "$log")" = failed ]; then cat "$log" && exit 1; fi
or_skip 'the cluster does not start' ready
echo "the cluster is up after $SECONDS s"
export KUBE_STATE=$STATE KUBE_CACHE=$CACHE
if [ $# -gt 0 ]; then
  "${tests[@]}"
  exit
fi

# What says most for its time comes first, what ends the release last; each file with the seconds that it takes on two cores.
# api-server: the tests that need no more of Kubernetes, which npm test leaves out where its programs are not built yet.
files=(api-server:25 chart:15 install:65 disruptions:155 security:25 upgrades:200 autoscaling:40 pools:75 hub:65 uninstall:160 docs:75)
for file in "$here"/*.test.ts; do
  name=$(basename "$file" .test.ts)
  case " ${files[*]}" in *" $name:"*) ;; *) echo "run.sh: expected $name among the files, with its seconds" >&2 && exit 1 ;; esac
done
# What is there when a file has failed.
explain() {
  local kubectl=("$STATE/bin/kubectl" --kubeconfig "$STATE/kubeconfig")
  "${kubectl[@]}" get pods --all-namespaces || true
  "${kubectl[@]}" -n conclave get events --sort-by=.lastTimestamp | tail -n 40 || true
  "${kubectl[@]}" -n conclave logs --prefix --tail 30 --selector app.kubernetes.io/instance=conclave || true
}
status=0
results=
run_file() { # NAME SECONDS
  local name=$1 seconds=$2 began=$SECONDS result=0
  if [ -n "${KUBE_FILES:-}" ] && [[ " $KUBE_FILES " != *" $name "* ]]; then
    results+="  skipped  $name: not among KUBE_FILES"$'\n'
    return
  fi
  # Machines differ: as much slower as the files before were.
  if [ "$expected" -gt 0 ] && [ "$taken" -gt "$expected" ]; then seconds=$((seconds * taken / expected)); fi
  if [ "$seconds" -gt "$(left)" ]; then
    results+="  skipped  $name: takes about $seconds s, and $(left) s are left"$'\n'
    return
  fi
  local arguments=(--project kubernetes "test/kubernetes/$name.test.ts")
  if [ "$name" = api-server ]; then arguments=(--project process test/integration/kubernetes); fi
  within 60 node_modules/.bin/vitest run --bail 1 "${arguments[@]}" || result=$?
  taken=$((taken + SECONDS - began)) expected=$((expected + $2))
  if [ "$result" = 0 ]; then
    results+="  passed   $name: $((SECONDS - began)) s"$'\n'
  elif [ "$(left)" -lt 0 ] && { [ "$result" = 124 ] || [ "$result" = 137 ]; }; then
    results+="  ended    $name: after $((SECONDS - began)) s, for want of time; nothing had failed"$'\n'
  else
    results+="  FAILED   $name: $((SECONDS - began)) s"$'\n'
    explain
    status=1
  fi
}
taken=0 expected=0
for file in "${files[@]}"; do run_file "${file%:*}" "${file#*:}"; done
printf '\nOn Kubernetes, after %d s:\n%s' "$SECONDS" "$results"
exit "$status"
