# Configuration files of the cluster's programs, in $STATE. Sourced.

# FILE: writes standard input to it, unless it says that already (kube-proxy ends when its file changes).
put() {
  cat >"$1.new"
  if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

configure_containerd() { # NODE
  local folder=$STATE/node$1
  put "$folder/containerd.toml" <<TOML
version = 2
root = "$folder/containerd"
state = "$folder/containerd-run"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "$folder/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true   # without CAP_SYS_RESOURCE no process may get a lower score than its parent
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$folder/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "$folder/runc"
TOML
  put "$folder/cni/10-kube-e2e.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "kube-e2e",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "$folder/ipam",
        "ranges": [[{ "subnet": "10.244.$1.0/24" }]],
        "routes": [{ "dst": "0.0.0.0/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
JSON
}

configure_kubelet() { # NODE
  local folder=$STATE/node$1
  put "$folder/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /kube-e2e/node$1
failCgroupV1: false
failSwapOn: false
address: 10.245.0.$1
healthzPort: 0
tlsCertFile: $STATE/pki/node$1-server.crt
tlsPrivateKeyFile: $STATE/pki/node$1-server.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $STATE/pki/ca.crt}
authorization: {mode: Webhook}
clusterDomain: cluster.local
clusterDNS: [$HOST]
resolvConf: $STATE/etc/resolv.conf
podLogsDir: $folder/logs
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100   # an image that is removed can't be pulled again
maxPods: 60
makeIPTablesUtilChains: false
serializeImagePulls: false
YAML
}

configure_network() {
  : >"$STATE/etc/resolv.conf"
  put "$STATE/etc/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $STATE/pki/kube-proxy.kubeconfig}
hostnameOverride: node1
mode: nftables
clusterCIDR: $PODS
nodePortAddresses: [10.245.0.0/24]
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
  put "$STATE/etc/Corefile" <<CORE
.:53 {
  bind $HOST
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $STATE/kubeconfig
    pods insecure
    ttl 2
  }
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
CORE
}

# Of kind "local", so that a pod's fsGroup is applied.
volume() { # NODE NUMBER
  cat <<YAML
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: node$1-$2}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany]
  storageClassName: standard
  local: {path: $STATE/node$1/volumes/$2}
  nodeAffinity:
    required:
      nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node$1]}]}]
YAML
}

# A service of a program that runs on this machine.
machine_service() { # NAME SPEC PORTS
  cat <<YAML
---
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: kube-system}
spec: $2
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $1, namespace: kube-system, labels: {kubernetes.io/service-name: $1}}
addressType: IPv4
endpoints: [{addresses: [$HOST], conditions: {ready: true}}]
ports: $3
YAML
}

addons() {
  local node number
  cat <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
YAML
  for node in $(nodes); do for number in $(seq "$VOLUMES"); do volume "$node" "$number"; done; done
  machine_service kube-dns \
    "{clusterIP: $DNS_IP, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}" \
    '[{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]'
  machine_service metrics-server '{ports: [{name: https, port: 443, targetPort: 10261}]}' '[{name: https, port: 10261}]'
  cat <<YAML
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: metrics-server, namespace: kube-system}
YAML
}

configure() {
  local node number
  mkdir -p "$STATE"/{etc,log,pid}
  [ -e "$STATE/nodes" ] || seq "${KUBE_NODES:-1}" >"$STATE/nodes"
  for node in $(nodes); do
    mkdir -p "$STATE/node$node"/{cni,containerd,kubelet,logs}
    for number in $(seq "$VOLUMES"); do mkdir -p -m 777 "$STATE/node$node/volumes/$number"; done
    configure_containerd "$node"
    configure_kubelet "$node"
  done
  configure_network
  addons | put "$STATE/etc/addons.yaml"
}
