#!/usr/bin/env bash
# Builds what the tests on Kubernetes need and a running cluster does not: its programs, and the images of Conclave and NATS.
# What is built already is used again. It can run beside other work: `nice test/kubernetes/prepare.sh`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/cluster/settings.sh"
mkdir -p "$CACHE"

"$here/cluster/up.sh" build
node_image=$(sed -n 's/^ARG NODE_IMAGE=//p' "$root/Dockerfile")
"$here/cluster/images/base.sh" "$node_image"

# Of the nats-server that the other tests use.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$(command -v nats-server)" "$context"
"$here/cluster/images/build.sh" localhost/nats:test "$context" "$CACHE/nats.tar" -f "$here/cluster/images/nats.Dockerfile"
# What this machine has compiled and downloaded already need not be again.
caches=(--volume "$(npm config get cache):/root/.npm")
! command -v ccache >/dev/null || caches+=(--volume "$(ccache --get-config cache_dir):/root/.cache/ccache")
"$here/cluster/images/build.sh" localhost/conclave:test "$root" "$CACHE/conclave.tar" "${caches[@]}"
