{{/* Flags, from a map of their names without "--" to their values: one list entry each. */}}
{{- define "conclave.flags" -}}
{{- range $name, $value := . }}
- --{{ $name }}={{ $value }}
{{- end }}
{{- end -}}

{{- define "conclave.controllerArgs" -}}
{{- $name := include "conclave.fullname" . -}}
{{- $model := .Values.model -}}
- controller
{{- with include "conclave.modelFolder" . }}
{{- if not $model.create }}
- {{ . }}
{{- end }}
{{- end }}
- --id=$(POD_NAME)
- --cluster={{ include "conclave.model" . }}
- --host=0.0.0.0
- --nats-replicas={{ .Values.nats.replicas }}
- --kubernetes
- --kubernetes-model={{ include "conclave.model" . }}
- --kubernetes-deployment={{ $name }}
- --kubernetes-service={{ $name }}
- --shutdown-timeout={{ .Values.controller.shutdownTimeoutSeconds }}s
- --shutdown-delay={{ .Values.controller.shutdownDelaySeconds }}s
- --log-level={{ .Values.controller.logLevel }}
- --log-format=json
{{- with $model.servedNames }}
- --served-model-name={{ join "," . }}
{{- end }}
{{- if not $model.create }}
{{- include "conclave.modelArgs" $model }}
{{- end }}
{{- include "conclave.certificateArgs" . }}
{{- if include "conclave.apiKeysSecret" . }}
- --api-key-file=/etc/conclave/api-keys/keys
{{- end }}
{{- if include "conclave.adminKeysSecret" . }}
- --admin-key-file=/etc/conclave/admin-keys/keys
{{- end }}
{{- if .Values.externalMetrics.enabled }}
- --external-metrics-port=8443
{{- end }}
{{- $options := ternary (dict) $model.options $model.create }}
{{- include "conclave.flags" (merge (dict) .Values.controller.options $options) }}
{{- end -}}

{{/* What controllers read of the MoEModel where there is one: flags would win over it. */}}
{{- define "conclave.modelArgs" }}
- --weights={{ .weights }}
- --expert-replicas={{ .expertReplicas }}
- --pipelines={{ .layout.pipelines }}
{{- with .contextLength }}
- --max-model-len={{ . }}
{{- end }}
{{- with .layout.tensorParallelSize }}
- --tensor-parallel-size={{ . }}
{{- end }}
{{- with .layout.pipelineParallelSize }}
- --pipeline-parallel-size={{ . }}
{{- end }}
{{- with .layout.expertTensorParallelSize }}
- --expert-tensor-parallel-size={{ . }}
{{- end }}
{{- end -}}
