{{/* Names of the servers, one a line. */}}
{{- define "conclave.natsRoutes" -}}
{{- $name := printf "%s-nats" (include "conclave.fullname" .) -}}
{{- $routes := list -}}
{{- range $i := until (int .Values.nats.replicas) -}}
{{- $host := printf "%s-%d.%s-headless.%s.svc" $name $i $name $.Release.Namespace -}}
{{- $routes = append $routes (printf "\"nats-route://$(ROUTES_USER):$(ROUTES_PASSWORD)@%s:6222\"" $host) -}}
{{- end -}}
[{{ join ", " $routes }}]
{{- end -}}

{{- define "conclave.natsTls" -}}
tls {
  cert_file: /etc/nats/tls/tls.crt
  key_file: /etc/nats/tls/tls.key
  ca_file: /etc/nats/tls/ca.crt
  verify: true
  timeout: 5
}
{{- end -}}

{{- define "conclave.natsConfiguration" -}}
# Values that begin with $ are variables of the environment; those that may look like numbers come quoted.
server_name: $SERVER_NAME
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
pid_file: /run/nats/nats.pid
# Clients are sent to the other servers before this one ends.
lame_duck_grace_period: 2s
lame_duck_duration: 30s
# Workers may say what they hold and do, and nothing that operators or controllers say.
authorization {
  users: [
    {user: $NATS_USER, password: $NATS_PASSWORD}
    {
      user: $NATS_WORKER_USER, password: $NATS_WORKER_PASSWORD
      {{- $cluster := include "conclave.model" . }}
      permissions: {
        subscribe: "_INBOX.>"
        publish: [
          "$KV.conclave-v1-{{ $cluster }}-workers.>", "$KV.conclave-v1-{{ $cluster }}-reports.>"
          "conclave.v1.{{ $cluster }}.load.>", "conclave.v1.{{ $cluster }}.events"
          "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>"
          "$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.INFO.>", "$JS.API.CONSUMER.DELETE.>", "$JS.FC.>", "$JS.ACK.>"
        ]
      }
    }
  ]
}
{{- if ne .Values.security.tls.mode "disabled" }}
{{ include "conclave.natsTls" . }}
{{- end }}
jetstream {
  store_dir: /data
  max_memory_store: 64MiB
  max_file_store: {{ .Values.nats.storage.size }}
}
{{- if gt (int .Values.nats.replicas) 1 }}
cluster {
  name: {{ include "conclave.fullname" . }}
  listen: "0.0.0.0:6222"
  # Clients keep to the Service: the servers' addresses are in no certificate.
  no_advertise: true
  routes: $ROUTES
  authorization {
    user: $ROUTES_USER_QUOTED
    password: $ROUTES_PASSWORD_QUOTED
    timeout: 5
  }
  {{- if ne .Values.security.tls.mode "disabled" }}
  {{- include "conclave.natsTls" . | nindent 2 }}
  {{- end }}
}
{{- end }}
{{- end -}}
