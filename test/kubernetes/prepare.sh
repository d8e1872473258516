#!/usr/bin/env bash
# Makes what the tests on Kubernetes need of this machine and of no commit: the cluster's programs, the image that the Dockerfile
# begins with, and an image of NATS. What is there is used again. It can run beside other work: `nice test/kubernetes/prepare.sh`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster/settings.sh"
mkdir -p "$CACHE"

"$here/cluster/up.sh" build
"$here/cluster/images/base.sh" "$(sed -n 's/^ARG NODE_IMAGE=//p' "$here/../../Dockerfile")"

# Of the nats-server that the other tests use.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$(command -v nats-server)" "$context"
"$here/cluster/images/build.sh" localhost/nats:test "$context" "$CACHE/nats.tar" -f "$here/cluster/images/nats.Dockerfile"
