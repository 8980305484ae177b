{{/* What the pods of servers and jobs have in common. */}}

{{/* How a pod begins; the caller says the rest. `serviceAccount`: whose it is. */}}
{{- define "countersign.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ .serviceAccount }}
# Nothing in it talks to the cluster; and what is named after services must not be taken for settings.
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "countersign.container" -}}
image: {{ include "countersign.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{/* The variables stand in the pod itself: one that is started anew finds the settings of its own release, also while the next
     one is being installed. `tls`: whether it serves. */}}
{{- define "countersign.variables" -}}
{{- range $name, $value := include "countersign.environment" . | fromJson -}}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{ end -}}
{{- with .root.Values.extraEnv }}
{{- toYaml . }}
{{- end -}}
{{- end -}}

{{/* `ownSecret`: the Secret that the chart makes of values, by whichever name it is there. */}}
{{- define "countersign.volumes" -}}
{{- $root := .root -}}
{{- $ownSecret := .ownSecret -}}
{{- with include "countersign.secrets" $root | fromJson }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $secret := . }}
      - secret:
          name: {{ $secret.existingSecret | default $ownSecret }}
          items:
            - {key: {{ $secret.key | default $name | quote }}, path: {{ $name | quote }}}
      {{- end }}
{{- end }}
# For the embedded database of a trial; with PostgreSQL nothing is written.
- name: data
  emptyDir: {}
{{- with $root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "countersign.mounts" -}}
{{- if include "countersign.secrets" . | fromJson }}
- {name: secrets, mountPath: /etc/countersign/secrets, readOnly: true}
{{- end }}
- {name: data, mountPath: /var/lib/countersign}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A pod that does one thing and ends. It needs the whole configuration, which is checked before anything is done. `name`:
     of the container; `command`; `resources`; `serviceAccount`; `ownSecret`. */}}
{{- define "countersign.task" -}}
metadata:
  labels:
    {{- include "countersign.identity" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .name }}
    {{- with .root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .root.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: Never
  {{- include "countersign.pod" . | nindent 2 }}
  containers:
    - name: {{ .name }}
      {{- include "countersign.container" .root | nindent 6 }}
      args: [{{ .command }}]
      env:
        {{- include "countersign.variables" (dict "root" .root "tls" false) | nindent 8 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        {{- include "countersign.mounts" .root | trim | nindent 8 }}
  volumes:
    {{- include "countersign.volumes" . | trim | nindent 4 }}
{{- end -}}
