{{- define "conclave.dnsEgress" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}

{{/* To the release's NATS, or, where it is another, to the ports of its URLs: dict "root" "nats". */}}
{{- define "conclave.natsEgress" -}}
{{- if .root.Values.nats.enabled -}}
- to: {{- toYaml (list .nats) | nindent 4 }}
  ports: [{port: 4222}]
{{- else -}}
- ports:
{{- range .root.Values.nats.urls }}
    - port: {{ default "4222" (regexFind "[0-9]+$" .) }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The first pod downloads the checkpoint. */}}
{{- define "conclave.hubEgress" -}}
{{- if eq (include "conclave.sourceKind" .) "huggingFace" -}}
{{- $endpoint := default "https://huggingface.co" .Values.model.source.huggingFace.endpoint -}}
{{- $port := ternary "80" "443" (hasPrefix "http:" $endpoint) -}}
- ports: [{port: {{ default $port (regexFind "[0-9]+$" (urlParse $endpoint).host) }}}]
{{- end -}}
{{- end -}}
