#!/usr/bin/env bash
# Definitions of other projects' custom resources that the chart can make, from their Go modules: the API server can then say
# whether it takes them. The projects themselves do not run.
# usage: definitions.sh       needs a cluster, and Go
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"

module() { # MODULE@VERSION: its folder
  (cd / && GOFLAGS=-mod=mod go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
}
gateway=$(module sigs.k8s.io/gateway-api@v1.4.0)/config/crd/standard/gateway.networking.k8s.io
manager=$(module github.com/cert-manager/cert-manager@v1.19.1)/deploy/crds/cert-manager.io
prometheus=$(module github.com/prometheus-operator/prometheus-operator@v0.85.0)/example/prometheus-operator-crd/monitoring.coreos.com
keda=$(module github.com/kedacore/keda/v2@v2.18.1)/config/crd/bases/keda.sh
files=()
for file in "$gateway"_{httproutes,grpcroutes}.yaml "$manager"_{certificates,issuers}.yaml \
  "$prometheus"_{servicemonitors,podmonitors,prometheusrules}.yaml "$keda"_{scaledobjects,triggerauthentications}.yaml; do
  files+=(-f "$file")
done
export KUBECONFIG=$STATE/kubeconfig
"$STATE/bin/kubectl" apply --server-side "${files[@]}" >/dev/null
"$STATE/bin/kubectl" wait --for=condition=Established "${files[@]}" --timeout=60s >/dev/null
