#!/usr/bin/env bash
# Says whether containers run on the cluster and reach each other by the names of Services: what is missing then is this
# machine's fault, and of nothing that is tested. Needs the images of the tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"
export KUBECONFIG=$STATE/kubeconfig
PATH=$STATE/bin:$PATH

script='const look = () => fetch("http://canary.canary.svc:8222/healthz").then(({ status }) => process.exit(status === 200 ? 0 : 1))
  .catch(() => setTimeout(look, 200));
look();'
kubectl create namespace canary
until_made() { until kubectl -n canary get serviceaccount default >/dev/null 2>&1; do sleep 0.2; done; }
export -f until_made
timeout 60 bash -c until_made
kubectl -n canary run canary --image localhost/nats:test --port 8222 --expose --command -- nats-server -m 8222
kubectl -n canary run caller --image localhost/conclave:test --restart Never --command -- node --eval "$script"
kubectl -n canary wait --for=jsonpath='{.status.phase}'=Succeeded pod/caller --timeout=60s || {
  kubectl -n canary describe pods
  echo 'containers do not run, or do not reach each other' && exit 1
}
kubectl delete namespace canary --wait=false
