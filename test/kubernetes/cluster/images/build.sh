#!/usr/bin/env bash
# Builds a Dockerfile with buildah and writes the image as a docker archive for `up.sh load`. Pods name it with its host part
# (localhost/app:test) and an imagePullPolicy of Never or IfNotPresent.
# usage: build.sh NAME:TAG CONTEXT OUT.tar [buildah flags, such as --target x or --build-arg A=B]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/settings.sh"
need_packages buildah
name=$1 context=$2 archive=$3
shift 3
store=(buildah --root "$IMAGES/store" --runroot "$IMAGES/run" --storage-driver overlay)
# chroot isolation: steps run on this machine's network, and need no container runtime.
"${store[@]}" bud --isolation chroot --network host --pull-never --layers --format docker -t "$name" "$@" "$context"
rm -f "$archive"
"${store[@]}" push -q "$name" "docker-archive:$archive:$name"
