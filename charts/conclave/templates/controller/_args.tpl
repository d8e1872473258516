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
- {{ . }}
{{- end }}
- --id=$(POD_NAME)
- --cluster={{ include "conclave.model" . }}
- --host=0.0.0.0
- --nats-replicas={{ .Values.nats.replicas }}
- --kubernetes
- --kubernetes-model={{ include "conclave.model" . }}
- --kubernetes-service={{ $name }}
- --shutdown-timeout={{ .Values.controller.shutdownTimeoutSeconds }}s
- --shutdown-delay={{ .Values.controller.shutdownDelaySeconds }}s
- --log-level={{ .Values.controller.logLevel }}
- --log-format=json
- --weights={{ $model.weights }}
- --expert-replicas={{ $model.expertReplicas }}
- --pipelines={{ $model.layout.pipelines }}
{{- with $model.servedNames }}
- --served-model-name={{ join "," . }}
{{- end }}
{{- with $model.contextLength }}
- --max-model-len={{ . }}
{{- end }}
{{- with $model.layout.tensorParallelSize }}
- --tensor-parallel-size={{ . }}
{{- end }}
{{- with $model.layout.pipelineParallelSize }}
- --pipeline-parallel-size={{ . }}
{{- end }}
{{- with $model.layout.expertTensorParallelSize }}
- --expert-tensor-parallel-size={{ . }}
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
{{- include "conclave.flags" (merge (dict) .Values.controller.options $model.options) }}
{{- end -}}
