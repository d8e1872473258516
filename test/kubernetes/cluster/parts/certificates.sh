# Keys, certificates and kubeconfigs of the cluster's parts, in $STATE/pki. Sourced.

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

authority() {
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 3650 -out "$1.crt" \
    -addext keyUsage=critical,keyCertSign,digitalSignature
}

certificate() { # NAME SUBJECT USAGE NAMES [AUTHORITY]
  local authority=${5:-ca}
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA "$authority.crt" -CAkey "$authority.key" -CAcreateserial -days 3650 -out "$1.crt" -extfile <(
      printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n' "$3"
      [ -z "$4" ] || printf 'subjectAltName=%s\n' "$4"
    ) 2>/dev/null
}

kubeconfig() { # NAME: of a certificate
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: kube-e2e
    cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
  - name: $1
    user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
contexts:
  - name: kube-e2e
    context: {cluster: kube-e2e, user: $1}
current-context: kube-e2e
YAML
  chmod 600 "$1.kubeconfig"
}

make_certificates() {
  local node name hosts="DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  hosts+=",DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$HOST,IP:$KUBERNETES_IP"
  [ -e "$STATE/pki/done" ] && return
  mkdir -p "$STATE/pki"
  (
    cd "$STATE/pki"
    authority ca
    authority front-proxy-ca
    openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
    certificate apiserver /CN=kube-apiserver serverAuth "$hosts"
    certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth ""
    certificate front-proxy-client /CN=front-proxy-client clientAuth "" front-proxy-ca
    certificate admin /O=system:masters/CN=admin clientAuth ""
    for name in controller-manager scheduler proxy; do
      certificate "kube-$name" "/CN=system:kube-$name" clientAuth ""
    done
    for node in $(nodes); do
      certificate "node$node" "/O=system:nodes/CN=system:node:node$node" clientAuth ""
      certificate "node$node-server" "/O=system:nodes/CN=system:node:node$node" serverAuth "DNS:node$node,IP:10.245.0.$node"
      kubeconfig "node$node"
    done
    for name in admin kube-controller-manager kube-scheduler kube-proxy; do kubeconfig "$name"; done
    cp -p admin.kubeconfig "$STATE/kubeconfig"
    touch done
  )
}
