# The machine's network, kernel settings and cgroups. down.sh takes all of it back. Sourced.

# The nodes' addresses, and the services', are on an interface of their own (a bridge without ports): none of their
# traffic leaves the machine.
make_interface() {
  local node
  ip link show kube-e2e >/dev/null 2>&1 && return
  ip link add kube-e2e type bridge
  for node in $(nodes); do ip address add "10.245.0.$node/32" dev kube-e2e; done
  ip link set kube-e2e up
  ip route add "$SERVICES" dev kube-e2e
}

# Pods talk to pods and to this machine, to nothing else.
fence_pods() {
  nft delete table inet kube-e2e 2>/dev/null || true
  nft -f - <<NFT
table inet kube-e2e {
  chain forward {
    type filter hook forward priority filter - 5; policy accept;
    ip saddr $PODS ip daddr != $PODS drop
    ip daddr $PODS ip saddr != $PODS drop
  }
}
NFT
}

# NetworkPolicies: new connections between pods are put before network-policies; while it does not run they pass.
# By iptables, since a kernel may lack NFQUEUE for nftables.
queue_connections() {
  local node
  iptables -t mangle -S KUBE-E2E >/dev/null 2>&1 && return
  iptables -t mangle -N KUBE-E2E
  for node in $(nodes); do # from this machine, such as kubelet's probes
    iptables -t mangle -A KUBE-E2E -s "10.244.$node.1" -j RETURN
  done
  if ! iptables -t mangle -A KUBE-E2E -s "$PODS" -d "$PODS" -m conntrack ! --ctstate ESTABLISHED,RELATED \
    -j NFQUEUE --queue-num 100 --queue-bypass; then
    say "up.sh: NetworkPolicies are not enforced, for this kernel lacks NFQUEUE"
  else
    touch "$STATE/enforces-network-policies"
  fi
  iptables -t mangle -A POSTROUTING -j KUBE-E2E
}

# The old values are kept for down.sh. The last three are what kubelet sets by itself.
set_kernel() {
  local setting
  for setting in net.ipv4.ip_forward=1 fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288 \
    vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1; do
    grep -q "^${setting%%=*}=" "$STATE/sysctl" 2>/dev/null ||
      printf '%s=%s\n' "${setting%%=*}" "$(sysctl -n "${setting%%=*}")" >>"$STATE/sysctl"
    sysctl -qw "$setting"
  done
}

# Each kubelet has a cgroup of its own, in every hierarchy (v1) or in the only one (v2).
make_cgroups() { # NODE
  local folder name parent
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/kube-e2e/node$1"
    for parent in "" kube-e2e/; do
      sed 's/^\| / +/g' "/sys/fs/cgroup/${parent}cgroup.controllers" >"/sys/fs/cgroup/${parent}cgroup.subtree_control"
    done
    return
  fi
  for folder in /sys/fs/cgroup/*/; do
    [ -e "$folder/cgroup.procs" ] && [ ! -e "$folder/cgroup.controllers" ] || continue
    mkdir -p "${folder}kube-e2e/node$1"
    [ -e "${folder}cpuset.cpus" ] || continue
    for name in kube-e2e "kube-e2e/node$1"; do
      cat "${folder}cpuset.cpus" >"$folder$name/cpuset.cpus"
      cat "${folder}cpuset.mems" >"$folder$name/cpuset.mems"
    done
  done
}

prepare_machine() {
  local node
  make_interface
  fence_pods
  queue_connections
  set_kernel
  for node in $(nodes); do make_cgroups "$node"; done
}
