# Builds the cluster's programs from Go modules into $CACHE/KEY, by version, and sets BIN to that folder. Sourced.

# k8s.io/kubernetes requires its staging modules at v0.0.0: each is pointed at the release of the same number.
write_module() { # in the folder of main.go
  local source
  source=$(go mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  cp "$source/go.sum" .
  grep -oE '^\s*k8s.io/[a-z-]+ v0\.0\.0( //.*)?$' "$source/go.mod" | awk '{print $1}' | sort -u |
    while read -r module; do echo "-replace=$module=$module@v0.${KUBERNETES#v1.}"; done | xargs go mod edit
  go mod edit \
    -require="k8s.io/kubernetes@$KUBERNETES" \
    -require="go.etcd.io/etcd/server/v3@$ETCD" \
    -require="github.com/coredns/coredns@$COREDNS" \
    -require="sigs.k8s.io/metrics-server@$METRICS_SERVER" \
    -require="sigs.k8s.io/kube-network-policies@$NETWORK_POLICIES" \
    -require="helm.sh/helm/v3@$HELM"
}

# Programs say their version, which kubelet and kubectl compare.
linker_flags() {
  local minor=${KUBERNETES#v1.}
  printf '%s' "-s -w -X helm.sh/helm/v3/internal/version.version=$HELM" \
    " -X k8s.io/component-base/version.gitVersion=$KUBERNETES -X k8s.io/component-base/version.gitMajor=1" \
    " -X k8s.io/component-base/version.gitMinor=${minor%%.*} -X k8s.io/client-go/pkg/version.gitVersion=$KUBERNETES"
}

build_programs() {
  local key work name
  key=$({ cat "$here"/hyperkube/* && echo "$KUBERNETES $ETCD $COREDNS $METRICS_SERVER $NETWORK_POLICIES $HELM"; } |
    sha256sum | cut -c1-12)
  BIN=$CACHE/$key
  [ -e "$BIN/done" ] && return
  command -v go >/dev/null || die "needs Go 1.25 or later"
  work=$(mktemp -d)
  mkdir -p "$BIN"
  (
    cp "$here"/hyperkube/* "$work"
    cd "$work"
    export GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0
    printf 'module hyperkube\n\ngo 1.24\n' >go.mod
    write_module
    cc -Os -static -s -o "$BIN/pause" pause.c
    rm pause.c
    go build -o "$BIN/" -ldflags "$(linker_flags)" . helm.sh/helm/v3/cmd/helm >&2
  )
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy metrics-server \
    network-policies coredns kubectl; do
    ln -sf hyperkube "$BIN/$name"
  done
  rm -rf "$work"
  touch "$BIN/done"
}
