# obstacle: says why this machine cannot run a Kubernetes with real containers; nothing where it can. Sourced.
obstacle() {
  if [ "$(uname -s)" != Linux ]; then echo "containers need Linux"
  elif [ "$(id -u)" != 0 ]; then echo "kubelet and containerd need root"
  elif ! command -v dpkg-query >/dev/null; then echo "the cluster's packages are Debian's"
  elif ! command -v go >/dev/null; then echo "needs Go 1.25 or later to build Kubernetes"
  elif ! command -v nats-server >/dev/null; then echo "needs nats-server"
  elif ! grep -qw overlay /proc/filesystems && ! modprobe overlay 2>/dev/null; then echo "the kernel has no overlayfs"
  elif ! ip link add kube-e2e-try type bridge 2>/dev/null; then echo "this machine may not make network interfaces"
  else ip link delete kube-e2e-try; fi
}
