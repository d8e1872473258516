# Images in the nodes' containerd. Sourced.

ctr_() { # NODE ARGUMENT...
  local node=$1
  shift
  ctr --address "$STATE/node$node/containerd.sock" --namespace k8s.io "$@"
}

# The image of the sandbox of every pod: a docker archive of one layer with one program.
write_pause_image() { # FILE
  local work layer config
  work=$(mktemp -d)
  mkdir "$work/root"
  chmod 755 "$work/root"
  install -m 755 "$BIN/pause" "$work/root/pause"
  tar -C "$work/root" --numeric-owner --sort=name --mtime=@0 --owner=0 --group=0 -cf "$work/layer.tar" .
  layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "$layer" >"$work/config"
  config=$(sha256sum "$work/config" | cut -d' ' -f1)
  mv "$work/config" "$work/$config.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$PAUSE" >"$work/manifest.json"
  tar -C "$work" -cf "$1" manifest.json "$config.json" layer.tar
  rm -rf "$work"
}

load_pause() {
  local node
  [ -e "$STATE/pause.tar" ] || write_pause_image "$STATE/pause.tar"
  for node in $(nodes); do
    until_ok 60 "containerd$node" ctr_ "$node" version
    ctr_ "$node" images ls -q | grep -qxF "$PAUSE" || ctr_ "$node" images import "$STATE/pause.tar" >/dev/null
  done
}

load_images() { # ARCHIVE...
  local archive node job
  for archive in "$@"; do
    for node in $(nodes); do ctr_ "$node" images import "$archive" >/dev/null & done
    for job in $(jobs -p); do wait "$job" || die "cannot import $archive"; done
  done
}
