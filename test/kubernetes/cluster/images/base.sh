#!/usr/bin/env bash
# Makes the image that the Dockerfile begins with, NODE_IMAGE, from Debian's packages and this machine's Node.js, in
# buildah's store: no image registry is needed. It carries this machine's settings of registry clients (certificate
# authorities, apt, npm), so that the Dockerfile's steps work as they do here; it is for tests, never to be shipped.
# usage: base.sh NODE_IMAGE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/settings.sh"
need_packages debootstrap buildah
store=(buildah --root "$IMAGES/store" --runroot "$IMAGES/run" --storage-driver overlay)
debian=localhost/debian:bookworm-slim
wanted=localhost/$1

has() { "${store[@]}" inspect --type image "$1" >/dev/null 2>&1; }

# The first address that apt has.
mirror() {
  awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null
}

copy_settings() { # ROOT
  cp -a /usr/local/share/ca-certificates/. "$1/usr/local/share/ca-certificates/" 2>/dev/null || true
  chroot "$1" update-ca-certificates >/dev/null 2>&1
  if ls /etc/apt/sources.list.d/*.sources >/dev/null 2>&1; then
    cp /etc/apt/sources.list.d/*.sources "$1/etc/apt/sources.list.d/"
    rm -f "$1/etc/apt/sources.list"
  else
    cp /etc/apt/sources.list "$1/etc/apt/"
  fi
  grep -lE '^Acquire::' /etc/apt/apt.conf.d/* 2>/dev/null | while read -r file; do cp "$file" "$1/etc/apt/apt.conf.d/"; done
}

make_debian() {
  local root container
  root=$(mktemp -d)
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$(mirror)" >"$IMAGES/debootstrap.log" 2>&1 ||
    { tail "$IMAGES/debootstrap.log" >&2 && die "debootstrap failed"; }
  copy_settings "$root"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
    "$root"/usr/share/{doc,man,locale}/*
  container=$("${store[@]}" from scratch)
  "${store[@]}" add -q "$container" "$root" / >/dev/null
  "${store[@]}" config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd bash "$container"
  "${store[@]}" commit -q --rm "$container" "$debian" >/dev/null
  rm -rf "$root"
}

# As the official image has it: Node.js and npm in /usr/local, and a user "node" with the id 1000.
make_node() {
  local container root node include program
  container=$("${store[@]}" from --pull-never "$debian")
  root=$("${store[@]}" mount "$container")
  node=$(readlink -f "$(command -v node)")
  install -m 755 "$node" "$root/usr/local/bin/node"
  mkdir -p "$root"/usr/local/{lib/node_modules,etc,include}
  cp -a "$(npm root -g)/npm" "$root/usr/local/lib/node_modules/"
  for program in npm npx; do ln -s "../lib/node_modules/npm/bin/$program-cli.js" "$root/usr/local/bin/$program"; done
  include=$(dirname "$(dirname "$node")")/include/node
  [ ! -d "$include" ] || cp -a "$include" "$root/usr/local/include/node"
  printf 'cafile=/etc/ssl/certs/ca-certificates.crt\nnodedir=/usr/local\nregistry=%s\n' "$(npm config get registry)" \
    >"$root/usr/local/etc/npmrc"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
  "${store[@]}" umount "$container" >/dev/null
  "${store[@]}" config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt --cmd node "$container"
  "${store[@]}" commit -q --rm "$container" "$wanted" >/dev/null
}

mkdir -p "$IMAGES"
has "$debian" || make_debian
has "$wanted" || make_node
