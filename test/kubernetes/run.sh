#!/usr/bin/env bash
# The tests on a real Kubernetes: brings a cluster up on this machine, runs them, and takes it down again. Where the machine
# cannot run containers they are skipped, with the reason.
# usage: run.sh [vitest arguments]     KUBE_KEEP=1: the cluster stays, and is used again; cluster/down.sh ends it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster/settings.sh"
. "$here/obstacle.sh"
cd "$here/../.."
tests=(npx vitest run --project kubernetes "$@")

reason=$(obstacle)
if [ -n "$reason" ]; then
  KUBERNETES_OBSTACLE=$reason exec "${tests[@]}"
fi
if [ -z "${KUBE_KEEP:-}" ]; then
  "$here/cluster/down.sh"
  trap '"$here/cluster/down.sh"' EXIT
fi
"$here/prepare.sh"
"$here/cluster/up.sh"
"$here/cluster/up.sh" load "$CACHE/nats.tar" "$CACHE/conclave.tar"
KUBE_STATE=$STATE "${tests[@]}"
