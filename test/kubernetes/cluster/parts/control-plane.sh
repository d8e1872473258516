# Starts etcd, the API server, and what stands on them. Sourced.

start_etcd() {
  service etcd "$BIN/etcd" --name kube --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster kube=http://127.0.0.1:2380
  until_ok 60 etcd curl -fsS http://127.0.0.1:2379/health
}

start_api_server() {
  local pki=$STATE/pki
  service kube-apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 \
    --advertise-address "$HOST" --service-cluster-ip-range "$SERVICES" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --kubelet-client-certificate "$pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key "$pki/apiserver-kubelet-client.key" --kubelet-certificate-authority "$pki/ca.crt" \
    --kubelet-preferred-address-types InternalIP --requestheader-client-ca-file "$pki/front-proxy-ca.crt" \
    --requestheader-allowed-names front-proxy-client --requestheader-extra-headers-prefix X-Remote-Extra- \
    --requestheader-group-headers X-Remote-Group --requestheader-username-headers X-Remote-User \
    --proxy-client-cert-file "$pki/front-proxy-client.crt" --proxy-client-key-file "$pki/front-proxy-client.key" \
    --enable-aggregator-routing
}

# NAME: of a program with a kubeconfig of its own, which it also asks who may ask it.
start_controller() {
  local name=$1 config=$STATE/pki/$1.kubeconfig
  shift
  service "$name" "$BIN/$name" --kubeconfig "$config" --authentication-kubeconfig "$config" \
    --authorization-kubeconfig "$config" --leader-elect=false "$@"
}

start_controllers() {
  local pki=$STATE/pki
  start_controller kube-scheduler
  start_controller kube-controller-manager --root-ca-file "$pki/ca.crt" \
    --service-account-private-key-file "$pki/sa.key" --use-service-account-credentials \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --horizontal-pod-autoscaler-sync-period 5s --node-monitor-grace-period 20s
}

start_network() {
  local config=$STATE/kubeconfig
  service kube-proxy "$BIN/kube-proxy" --config "$STATE/etc/proxy.yaml"
  service coredns "$BIN/coredns" -conf "$STATE/etc/Corefile"
  service network-policies "$BIN/network-policies" "$config" node1
  service metrics-server "$BIN/metrics-server" --kubeconfig "$config" --authentication-kubeconfig "$config" \
    --authorization-kubeconfig "$config" --bind-address "$HOST" --secure-port 10261 \
    --cert-dir "$STATE/pki/metrics-server" --kubelet-preferred-address-types InternalIP \
    --kubelet-certificate-authority "$STATE/pki/ca.crt" --metric-resolution 10s --kubelet-request-timeout 8s
}

start_nodes() {
  local node
  for node in $(nodes); do
    service "kubelet$node" "$BIN/kubelet" --config "$STATE/node$node/kubelet.yaml" \
      --kubeconfig "$STATE/pki/node$node.kubeconfig" --root-dir "$STATE/node$node/kubelet" \
      --hostname-override "node$node" --node-ip "10.245.0.$node"
  done
}

wait_for_nodes() {
  local node
  for node in $(nodes); do
    until_ok 60 "kubelet$node" "$BIN/kubectl" get node "node$node"
    until_ok 120 "kubelet$node" "$BIN/kubectl" wait --for=condition=Ready "node/node$node" --timeout=1s
  done
}

wait_for_network() {
  until_ok 60 kube-proxy curl -fsS http://127.0.0.1:10256/healthz
  until_ok 60 coredns curl -fsS http://127.0.0.1:8181/ready
  until_ok 60 metrics-server "$BIN/kubectl" wait --for=condition=Available apiservice/v1beta1.metrics.k8s.io --timeout=1s
}
