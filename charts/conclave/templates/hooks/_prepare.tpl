{{/* Names under which a certificate is good: dict "root" "part"; one list. */}}
{{- define "conclave.certificateNames" -}}
{{- $root := .root -}}
{{- $name := include "conclave.fullname" $root -}}
{{- $namespace := $root.Release.Namespace -}}
{{- $model := include "conclave.model" $root -}}
{{- $names := list "localhost" "127.0.0.1" -}}
{{- if eq .part "controller" -}}
{{- $names = concat $names (list $name (printf "%s.%s" $name $namespace) (printf "%s.%s.svc" $name $namespace) (printf "%s.%s.svc.%s" $name $namespace $root.Values.clusterDomain)) -}}
{{- else if eq .part "worker" -}}
{{- $names = append $names (printf "*.%s-stage.%s.svc" $model $namespace) -}}
{{- range $key, $_ := $root.Values.expertPools -}}
{{- $names = append $names (printf "*.%s-expert.%s.svc" (include "conclave.pool" (dict "root" $root "key" $key)) $namespace) -}}
{{- end -}}
{{- else if eq .part "nats" -}}
{{- $names = concat $names (list (printf "%s-nats" $name) (printf "%s-nats.%s.svc" $name $namespace) (printf "*.%s-nats-headless.%s.svc" $name $namespace)) -}}
{{- end -}}
{{- toYaml $names -}}
{{- end -}}

{{/* Parts that have a certificate. */}}
{{- define "conclave.certificateParts" -}}
- controller
- worker
- client
{{- if .Values.nats.enabled }}
- nats
{{- end }}
{{- end -}}

{{- define "conclave.preparedSecrets" -}}
{{- $name := include "conclave.fullname" . -}}
{{- if eq .Values.security.tls.mode "managed" }}
- {{ $name }}-ca
{{- range include "conclave.certificateParts" . | fromYamlArray }}
- {{ include "conclave.tlsSecret" (dict "root" $ "part" .) }}
{{- end }}
{{- end }}
{{- if .Values.security.keys.generate }}
{{- if not .Values.security.keys.apiSecretName }}
- {{ $name }}-api-keys
{{- end }}
{{- if not .Values.security.keys.adminSecretName }}
- {{ $name }}-admin-keys
{{- end }}
{{- end }}
{{- if .Values.nats.enabled }}
- {{ $name }}-nats-auth
- {{ $name }}-nats-worker
- {{ $name }}-nats-routes
{{- end }}
{{- end -}}

{{/* Which certificates there are, for the hook that makes them and the controller that renews them. */}}
{{- define "conclave.certificateArgs" -}}
{{- if eq .Values.security.tls.mode "managed" }}
- --authority={{ include "conclave.fullname" . }}-ca
{{- range include "conclave.certificateParts" . | fromYamlArray }}
{{- $names := include "conclave.certificateNames" (dict "root" $ "part" .) | fromYamlArray }}
- --certificate={{ include "conclave.tlsSecret" (dict "root" $ "part" .) }}={{ join "," $names }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "conclave.prepareArgs" -}}
{{- $name := include "conclave.fullname" . -}}
- kubernetes
- prepare
- --namespace={{ .Release.Namespace }}
- --instance={{ .Release.Name }}
{{- include "conclave.certificateArgs" . }}
{{- if .Values.security.keys.generate }}
{{- if not .Values.security.keys.apiSecretName }}
- --keys={{ $name }}-api-keys
{{- end }}
{{- if not .Values.security.keys.adminSecretName }}
- --keys={{ $name }}-admin-keys
{{- end }}
{{- end }}
{{- if .Values.nats.enabled }}
- --credentials={{ $name }}-nats-auth=conclave
- --credentials={{ $name }}-nats-worker=worker
- --credentials={{ $name }}-nats-routes=routes
{{- end }}
{{- end -}}
