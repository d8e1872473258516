# obstacle: says why this machine cannot run a Kubernetes with real containers; nothing where it can. Sourced, after settings.sh.
obstacle() {
  if [ "$(uname -s)" != Linux ]; then echo "containers need Linux"
  elif [ "$(id -u)" != 0 ]; then echo "kubelet and containerd need root"
  elif ! command -v dpkg-query >/dev/null; then echo "the cluster's packages are Debian's"
  elif ! command -v go >/dev/null; then echo "needs Go 1.25 or later to build Kubernetes"
  elif ! command -v nats-server >/dev/null; then echo "needs nats-server"
  elif [ "$(available_mib)" -lt 6000 ]; then echo "needs 6 GB of memory, $(available_mib) MiB are available"
  elif [ "$(free_mib)" -lt 12000 ]; then echo "needs 12 GB of disk, $(free_mib) MiB are free"
  elif ! can_make_cgroups; then echo "this machine may not make cgroups"
  elif ! can_mount_overlays; then echo "this machine may not mount an overlay"
  elif ! ip link add kube-e2e-try type bridge 2>/dev/null; then echo "this machine may not make network interfaces"
  else ip link delete kube-e2e-try; fi
}

available_mib() { awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo; }

# Where less is free: of the programs, or of the cluster.
free_mib() {
  mkdir -p "$CACHE" "$(dirname "$STATE")"
  df --output=avail -BM "$CACHE" "$(dirname "$STATE")" | tail -n +2 | tr -d 'M ' | sort -n | head -n 1
}

can_make_cgroups() {
  local root=/sys/fs/cgroup
  [ -e $root/cgroup.controllers ] || root=/sys/fs/cgroup/memory
  mkdir "$root/kube-e2e-try" 2>/dev/null && rmdir "$root/kube-e2e-try"
}

# In the folder that the containers' root file systems will be in.
can_mount_overlays() {
  local folder result=0
  folder=$(mktemp -d -p "$(dirname "$STATE")")
  mkdir "$folder"/{lower,upper,work,merged}
  mount -t overlay overlay -o "lowerdir=$folder/lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/merged" \
    2>/dev/null && umount "$folder/merged" || result=1
  rm -rf "$folder"
  return $result
}
