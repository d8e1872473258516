{{/* Parts of pods. */}}

{{- define "conclave.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods run, and how they are named to each other: dict "root" "component" "values". */}}
{{- define "conclave.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "conclave.selector" . | nindent 8 }}
{{- end }}
{{- end -}}

{{/* The pod's own name, namespace and node. */}}
{{- define "conclave.podEnvironment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- end -}}

{{/* The chart's own and those of all charts of an installation, which may be names alone. */}}
{{- define "conclave.imagePullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets -}}
{{- range (default dict .Values.global).imagePullSecrets }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with $secrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What a hook's pod is, but for its container: dict "root" "hook". */}}
{{- define "conclave.hookPod" -}}
{{- $root := .root -}}
restartPolicy: Never
enableServiceLinks: false
serviceAccountName: {{ include "conclave.fullname" $root }}-{{ .hook }}
securityContext: {{- toYaml $root.Values.controller.podSecurityContext | nindent 2 }}
{{- include "conclave.imagePullSecrets" $root }}
{{- with $root.Values.hooks.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.hooks.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
volumes: [{name: tmp, emptyDir: {}}]
{{- end -}}

{{/* The container of a hook: dict "root" "hook" "args". */}}
{{- define "conclave.hookContainer" -}}
name: {{ .hook }}
image: {{ include "conclave.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{- toYaml .args | nindent 2 }}
env: {{- include "conclave.podEnvironment" . | nindent 2 }}
securityContext: {{- include "conclave.securityContext" . | nindent 2 }}
resources: {{- toYaml .root.Values.hooks.resources | nindent 2 }}
volumeMounts: [{name: tmp, mountPath: /tmp}]
{{- end -}}
