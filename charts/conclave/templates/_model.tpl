{{/* Where the model's weights are, for controllers and workers alike. */}}

{{/* claim, huggingFace, image, folder or builtIn; more than one is an error. */}}
{{- define "conclave.sourceKind" -}}
{{- $source := .Values.model.source -}}
{{- $kinds := list -}}
{{- if $source.claim.name }}{{ $kinds = append $kinds "claim" }}{{ end -}}
{{- if $source.huggingFace.repository }}{{ $kinds = append $kinds "huggingFace" }}{{ end -}}
{{- if $source.image.reference }}{{ $kinds = append $kinds "image" }}{{ end -}}
{{- if $source.folder }}{{ $kinds = append $kinds "folder" }}{{ end -}}
{{- if gt (len $kinds) 1 -}}
{{- fail (printf "model.source: expected at most one of claim.name, huggingFace.repository, image.reference and folder, got %s" (join " and " $kinds)) -}}
{{- end -}}
{{- default "builtIn" (first $kinds) -}}
{{- end -}}

{{/* The checkpoint's folder in a pod; empty: the bundled one. */}}
{{- define "conclave.modelFolder" -}}
{{- $source := .Values.model.source -}}
{{- $kind := include "conclave.sourceKind" . -}}
{{- if eq $kind "folder" -}}
{{- $source.folder -}}
{{- else if eq $kind "huggingFace" -}}
/models/{{ $source.huggingFace.repository }}
{{- else if ne $kind "builtIn" -}}
{{- trimSuffix "/" (printf "/models/%s" (get $source $kind).path) -}}
{{- end -}}
{{- end -}}

{{- define "conclave.downloadClaim" -}}
{{- default (printf "%s-weights" (include "conclave.fullname" .)) .Values.model.source.huggingFace.claim.name -}}
{{- end -}}

{{/* The volume "model" of a pod; empty where none is needed. */}}
{{- define "conclave.modelVolume" -}}
{{- $source := .Values.model.source -}}
{{- $kind := include "conclave.sourceKind" . -}}
{{- if eq $kind "claim" -}}
- name: model
  persistentVolumeClaim: {claimName: {{ $source.claim.name }}, readOnly: true}
{{- else if eq $kind "huggingFace" -}}
- name: model
  persistentVolumeClaim: {claimName: {{ include "conclave.downloadClaim" . }}}
{{- else if eq $kind "image" -}}
- name: model
  image: {reference: {{ $source.image.reference }}, pullPolicy: {{ $source.image.pullPolicy }}}
{{- end -}}
{{- end -}}

{{/* The init container that downloads; the pods that come after the first find everything there. */}}
{{- define "conclave.download" -}}
{{- $source := .Values.model.source.huggingFace -}}
- name: download
  image: {{ include "conclave.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - pull
    - {{ $source.repository }}
    - --revision={{ $source.revision }}
    - --to={{ include "conclave.modelFolder" . }}
  env:
    {{- with $source.endpoint }}
    - {name: HF_ENDPOINT, value: {{ . | quote }}}
    {{- end }}
    {{- if $source.tokenSecretName }}
    - name: HF_TOKEN
      valueFrom: {secretKeyRef: {name: {{ $source.tokenSecretName }}, key: {{ $source.tokenSecretKey }}}}
    {{- end }}
  securityContext: {{- include "conclave.securityContext" . | nindent 4 }}
  resources: {{- toYaml .Values.hooks.resources | nindent 4 }}
  volumeMounts:
    - {name: model, mountPath: /models}
    - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Of what controllers read of the MoEModel when they start. Pods and model that were made together have the same. */}}
{{- define "conclave.modelChecksum" -}}
{{- pick .Values.model "source" "weights" "contextLength" "layout" "options" | toJson | sha256sum -}}
{{- end -}}
