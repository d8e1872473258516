#!/usr/bin/env bash
# Ends what up.sh started, by process id, and takes back all that it changed. Works too after the processes were killed.
# usage: down.sh
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"
. "$here/parts/processes.sh"
[ -e "$STATE" ] || exit 0

running() { ls "$STATE/pid" 2>/dev/null | grep -E "$1"; }

# Process ids of the containers' parents.
shims() { pgrep -f "^[^ ]*containerd-shim[^ ]* .*-address $STATE/node[0-9]*/containerd.sock"; }

# Innermost first.
mounts() { awk -v state="$STATE/" 'index($2, state) == 1 {print $2}' /proc/mounts | sort -r; }

end_containers() {
  local shim container
  for shim in $(shims); do
    for container in $(pgrep -P "$shim"); do kill -KILL "$container"; done
    kill -KILL "$shim"
  done 2>/dev/null
  # What was in the containers' process-id namespaces ends with their first process; the rest is in the cgroups.
  find /sys/fs/cgroup/*/kube-e2e /sys/fs/cgroup/kube-e2e -name cgroup.procs -exec cat {} + 2>/dev/null |
    sort -u | xargs -r kill -KILL 2>/dev/null
}

restore_network() {
  local family
  for family in ip ip6; do nft delete table "$family" kube-proxy; done 2>/dev/null
  nft delete table inet kube-e2e 2>/dev/null
  if iptables -t mangle -S KUBE-E2E >/dev/null 2>&1; then
    iptables -t mangle -D POSTROUTING -j KUBE-E2E
    iptables -t mangle -F KUBE-E2E
    iptables -t mangle -X KUBE-E2E
  fi
  ip link delete kube-e2e 2>/dev/null
  rm -f /var/lib/cni/results/kube-e2e-*
}

# The kernel frees a cgroup a moment after its last process.
remove_cgroups() {
  local folder
  for _ in $(seq 25); do
    for folder in /sys/fs/cgroup/*/kube-e2e /sys/fs/cgroup/kube-e2e; do
      [ ! -d "$folder" ] || find "$folder" -depth -type d -delete
    done 2>/dev/null
    ls -d /sys/fs/cgroup/*/kube-e2e /sys/fs/cgroup/kube-e2e >/dev/null 2>&1 || return
    sleep 0.2
  done
}

end $(running '^(kubelet|network-policies|metrics-server|kube-proxy|coredns|kube-scheduler|kube-controller-manager)')
end $(running '^(kube-apiserver|containerd)')
end_containers
end $(running .)
mounts | while read -r folder; do umount -l "$folder"; done
restore_network
[ ! -r "$STATE/sysctl" ] || while read -r setting; do sysctl -qw "$setting"; done <"$STATE/sysctl"
remove_cgroups
find /var/log/containers /var/log/pods -lname "$STATE/*" -delete 2>/dev/null # kubelet's links to the logs
[ -z "$(mounts)" ] || die "still mounted: $(mounts)"
rm -rf "${STATE:?}"
