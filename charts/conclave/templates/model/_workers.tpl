{{/* PodTemplateSpec that all workers share, beyond what the operator knows by itself. */}}
{{- define "conclave.workerTemplate" -}}
{{- $workers := .Values.workers -}}
{{- $download := eq (include "conclave.sourceKind" .) "huggingFace" -}}
{{- $labels := merge (dict) $workers.podLabels .Values.commonLabels -}}
{{- $annotations := merge (dict) $workers.podAnnotations .Values.commonAnnotations -}}
{{- if or $labels $annotations -}}
metadata: {{- toYaml (dict "labels" $labels "annotations" $annotations) | nindent 2 }}
{{ end -}}
spec:
  securityContext: {{- toYaml $workers.podSecurityContext | nindent 4 }}
  {{- with $workers.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $workers.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $workers.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $workers.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $workers.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  topologySpreadConstraints:
  {{- if $workers.topologySpreadConstraints }}
    {{- toYaml $workers.topologySpreadConstraints | nindent 4 }}
  {{- else }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "conclave.workerSelector" . | nindent 10 }}
  {{- end }}
  {{- if or $download $workers.initContainers }}
  initContainers:
    {{- with $workers.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if $download }}
    {{- include "conclave.download" . | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- if or $download $workers.extraEnv $workers.extraVolumeMounts }}
  containers:
    - name: worker
      {{- with $workers.extraEnv }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if or $download $workers.extraVolumeMounts }}
      volumeMounts:
        {{- if $download }}
        - {name: model, mountPath: /models, readOnly: true}
        {{- end }}
        {{- with $workers.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- end }}
  {{- if or $download $workers.extraVolumes }}
  volumes:
    {{- if $download }}
    {{- include "conclave.modelVolume" . | nindent 4 }}
    {{- end }}
    {{- with $workers.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Options are strings in custom resources. */}}
{{- define "conclave.options" -}}
{{- range $name, $value := . }}
{{ $name }}: {{ toString $value | quote }}
{{- end }}
{{- end -}}

{{/* What stages and pools of experts have in common: dict "root" "group". */}}
{{- define "conclave.workerGroup" -}}
{{- with .group.gpus }}
gpus: {{ . }}
{{- end }}
{{- with .group.memory }}
memory: {{ . | quote }}
{{- end }}
{{- with .group.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) (.group.options | default dict) .root.Values.workers.options }}
options: {{- include "conclave.options" . | nindent 2 }}
{{- end }}
{{- with .group.template }}
template: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
