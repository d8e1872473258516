# What all scripts of the test cluster share: versions, addresses, folders. Sourced.

# k8s.io/kubernetes 1.35 and later refuse to start on cgroup v1 unless told otherwise; Helm is the release on the same client-go.
KUBERNETES=v1.34.2
ETCD=v3.6.4
COREDNS=v1.12.4
METRICS_SERVER=v0.8.0
NETWORK_POLICIES=v0.8.0
HELM=v3.19.4

CACHE=${KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/conclave-kubernetes}   # programs, by version
STATE=${KUBE_STATE:-/var/tmp/conclave-kubernetes}                          # the cluster's data, logs and sockets
IMAGES=${KUBE_IMAGES:-$CACHE/images}                                       # buildah's store

SERVICES=10.96.0.0/16
KUBERNETES_IP=10.96.0.1
DNS_IP=10.96.0.10
PODS=10.244.0.0/16   # node N has 10.244.N.0/24
HOST=10.245.0.1      # node N is 10.245.0.N; the API server, DNS and metrics-server are at the first
PAUSE=localhost/kube-e2e-pause:1
VOLUMES=20           # volumes of the default StorageClass on each node; none is used twice

# Debian's programs live there too; a plain user's PATH lacks them.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$(basename "$0"): $*"
  exit 1
}

nodes() {
  if [ -e "$STATE/nodes" ]; then cat "$STATE/nodes"; else seq "${KUBE_NODES:-1}"; fi
}

# PACKAGE...: those of Debian's that are missing are installed.
need_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" = 0 ] && return
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
