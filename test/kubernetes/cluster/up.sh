#!/usr/bin/env bash
# A real Kubernetes on one machine, for tests: containerd and runc run real containers, and real kubelets run the pods.
# Nothing comes from an image registry: programs are built from Go modules or installed from Debian, images are made here.
#
# usage: up.sh             builds what the cache lacks, starts what does not run, waits until all is ready
#        up.sh build       only builds; prints the folder of kubectl, helm and the rest
#        up.sh load TAR..  imports image archives (docker or OCI) on every node
#
# README.md beside it says what it needs and which variables it reads.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"
for part in "$here"/parts/*.sh; do . "$part"; done

began=$(date +%s%N) last=$began
done_with() { # WHAT: says how long it took
  local now
  now=$(date +%s%N)
  printf '%7.1f s  %s\n' "$(((now - last) / 100000000))e-1" "$1" >&2
  last=$now
}

up() {
  [ "$(id -u)" = 0 ] || die "must be root"
  umask 022
  local node
  need_packages containerd runc containernetworking-plugins nftables iptables
  done_with "Debian packages"
  build_programs
  done_with "programs"
  configure
  ln -sfn "$BIN" "$STATE/bin"
  make_certificates
  prepare_machine
  done_with "configuration, certificates, network"

  for node in $(nodes); do service "containerd$node" containerd --config "$STATE/node$node/containerd.toml"; done
  start_etcd
  start_api_server
  load_pause
  done_with "etcd, containerd"
  export KUBECONFIG=$STATE/kubeconfig
  until_ok 120 kube-apiserver "$BIN/kubectl" get --raw /readyz
  done_with "kube-apiserver"
  start_controllers
  start_nodes
  start_network
  "$BIN/kubectl" apply -f "$STATE/etc/addons.yaml" >/dev/null
  wait_for_nodes
  done_with "nodes"
  until_ok 60 kube-controller-manager "$BIN/kubectl" -n default get serviceaccount default
  done_with "controllers"
  wait_for_network
  done_with "service proxy, DNS, metrics"
  last=$began
  done_with "in all"
  echo "KUBECONFIG=$STATE/kubeconfig"
  say "kubectl and helm: $STATE/bin"
}

case ${1:-up} in
  up) up ;;
  build)
    build_programs
    echo "$BIN"
    ;;
  load)
    shift
    load_images "$@"
    ;;
  *) die "no such command: $1" ;;
esac
