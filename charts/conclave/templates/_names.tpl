{{/* Names and labels. All take the root context. */}}

{{- define "conclave.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "conclave.model" -}}
{{- default (include "conclave.fullname" .) .Values.model.name -}}
{{- end -}}

{{- define "conclave.serviceAccount" -}}
{{- if .Values.controller.serviceAccount.create -}}
{{- default (include "conclave.fullname" .) .Values.controller.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.controller.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Name of a pool by its key: dict "root" "key". */}}
{{- define "conclave.pool" -}}
{{- $model := include "conclave.model" .root -}}
{{- if eq .key "default" }}{{ $model }}{{ else }}{{ printf "%s-%s" $model .key }}{{ end -}}
{{- end -}}

{{/* Secret of a part's certificate: dict "root" "part". */}}
{{- define "conclave.tlsSecret" -}}
{{- $given := get .root.Values.security.tls.secretNames .part -}}
{{- default (printf "%s-%s-tls" (include "conclave.fullname" .root) .part) $given -}}
{{- end -}}

{{- define "conclave.apiKeysSecret" -}}
{{- $keys := .Values.security.keys -}}
{{- if $keys.apiSecretName }}{{ $keys.apiSecretName }}{{ else if $keys.generate }}{{ include "conclave.fullname" . }}-api-keys{{ end -}}
{{- end -}}

{{- define "conclave.adminKeysSecret" -}}
{{- $keys := .Values.security.keys -}}
{{- if $keys.adminSecretName }}{{ $keys.adminSecretName }}{{ else if $keys.generate }}{{ include "conclave.fullname" . }}-admin-keys{{ end -}}
{{- end -}}

{{- define "conclave.natsSecret" -}}
{{- if .Values.nats.enabled }}{{ include "conclave.fullname" . }}-nats-auth{{ else }}{{ .Values.nats.secretName }}{{ end -}}
{{- end -}}

{{/* Of the user that workers are: it cannot write what operators ask for. */}}
{{- define "conclave.natsWorkerSecret" -}}
{{- if .Values.nats.enabled }}{{ include "conclave.fullname" . }}-nats-worker{{ else }}{{ default .Values.nats.secretName .Values.nats.workerSecretName }}{{ end -}}
{{- end -}}

{{- define "conclave.natsUrls" -}}
{{- if .Values.nats.enabled -}}
{{- $scheme := ternary "nats" "tls" (eq .Values.security.tls.mode "disabled") -}}
{{- printf "%s://%s-nats.%s.svc:4222" $scheme (include "conclave.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- join "," .Values.nats.urls -}}
{{- end -}}
{{- end -}}

{{- define "conclave.image" -}}
{{- include "conclave.reference" (dict "root" . "image" .Values.image) -}}
{{- end -}}

{{/* What a container asks for: dict "root" "image". */}}
{{- define "conclave.reference" -}}
{{- with (default dict .root.Values.global).imageRegistry }}{{ . }}/{{ end -}}
{{- with .image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.root.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "conclave.scheme" -}}
{{- ternary "http" "https" (eq .Values.security.tls.mode "disabled") -}}
{{- end -}}

{{/* What selects a component's pods: dict "root" "component". */}}
{{- define "conclave.selector" -}}
app.kubernetes.io/name: conclave
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* What selects the model's workers, which the operator makes. */}}
{{- define "conclave.workerSelector" -}}
app.kubernetes.io/component: worker
conclave.dev/model: {{ include "conclave.model" . | quote }}
{{- end -}}

{{/* Labels of pods: dict "root" "component" "labels". Those that select them are nobody else's to set. */}}
{{- define "conclave.podLabels" -}}
{{- toYaml (merge (include "conclave.selector" . | fromYaml) .labels .root.Values.commonLabels) -}}
{{- end -}}

{{/* Metadata of an object: dict "root" "name" "component", and optionally "labels" and "annotations". */}}
{{- define "conclave.metadata" -}}
{{- $root := .root -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" -}}
{{- $own := dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service "app.kubernetes.io/part-of" "conclave" "helm.sh/chart" $chart -}}
name: {{ .name | quote }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- toYaml (merge (include "conclave.selector" . | fromYaml) (default (dict) .labels) $root.Values.commonLabels $own) | nindent 2 }}
{{- with merge (dict) (default (dict) .annotations) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
