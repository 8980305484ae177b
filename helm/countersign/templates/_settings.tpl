{{/* From `config` and `secrets` to the variables and files by which Countersign is told. */}}

{{/* Every setting of the manual with its default as it stands there, as JSON: {"token.issuer": "\"http://…\"", …}. */}}
{{- define "countersign.manual" -}}
{{- $manual := dict -}}
{{- $section := "" -}}
{{- range splitList "\n" (.Files.Get "files/config.default.toml") -}}
  {{- if regexMatch "^\\[[a-z0-9_.]+\\]" . -}}
    {{- $section = printf "%s." (regexFind "[a-z0-9_.]+" .) -}}
  {{- else if regexMatch "^[a-z0-9_]+ *=" . -}}
    {{- $name := regexFind "^[a-z0-9_]+" . -}}
    {{- $_ := set $manual (print $section $name) (regexReplaceAll "^[a-z0-9_]+ *= *" . "" | trim) -}}
  {{- end -}}
{{- end -}}
{{- toJson $manual -}}
{{- end -}}

{{/* Puts the leaves of nested maps `into` a flat one with dotted names. */}}
{{- define "countersign.flatten" -}}
{{- range $name, $value := .values -}}
  {{- $full := ternary $name (printf "%s.%s" $.prefix $name) (empty $.prefix) -}}
  {{- if kindIs "map" $value -}}
    {{- include "countersign.flatten" (dict "prefix" $full "values" $value "into" $.into) -}}
  {{- else if not (kindIs "invalid" $value) -}}
    {{- $_ := set $.into $full $value -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings that are not secret, as JSON: {"token.issuer": "https://…", …}. */}}
{{- define "countersign.config" -}}
{{- $config := dict -}}
{{- include "countersign.flatten" (dict "prefix" "" "values" .Values.config "into" $config) -}}
{{- toJson $config -}}
{{- end -}}

{{/* Puts the secrets that are given `into` a flat map with dotted names. A map with one of these keys is a secret. */}}
{{- define "countersign.gather" -}}
{{- range $name, $value := .values -}}
  {{- $full := ternary $name (printf "%s.%s" $.prefix $name) (empty $.prefix) -}}
  {{- if kindIs "map" $value -}}
    {{- if or (hasKey $value "value") (hasKey $value "existingSecret") (hasKey $value "key") -}}
      {{- $_ := set $.into $full $value -}}
    {{- else -}}
      {{- include "countersign.gather" (dict "prefix" $full "values" $value "into" $.into) -}}
    {{- end -}}
  {{- else if not (kindIs "invalid" $value) -}}
    {{- $_ := set $.into $full (dict "plain" true) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* As JSON: {"database.url": {"existingSecret": …, "key": …}, …}. */}}
{{- define "countersign.secrets" -}}
{{- $secrets := dict -}}
{{- include "countersign.gather" (dict "prefix" "" "values" .Values.secrets "into" $secrets) -}}
{{- toJson $secrets -}}
{{- end -}}

{{/* Those whose value stands in `value`, as JSON: the chart makes a Secret of them. */}}
{{- define "countersign.ownSecrets" -}}
{{- $own := dict -}}
{{- range $name, $secret := include "countersign.secrets" . | fromJson -}}
  {{- if $secret.value -}}{{- $_ := set $own $name ($secret.value | toString | b64enc) -}}{{- end -}}
{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{- define "countersign.variable" -}}
COUNTERSIGN__{{ . | upper | replace "." "__" }}
{{- end -}}

{{/* A value as the environment says it. */}}
{{- define "countersign.text" -}}
{{- if kindIs "slice" . -}}{{- join "," . -}}
{{- else if kindIs "float64" . -}}{{- int64 . -}}
{{- else -}}{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* The variables of a pod, as JSON. `tls`: whether it serves, and hence needs the certificate. */}}
{{- define "countersign.environment" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $environment := dict -}}
{{- range $name, $value := include "countersign.config" $root | fromJson -}}
  {{- $_ := set $environment (include "countersign.variable" $name) (include "countersign.text" $value) -}}
{{- end -}}
{{- range $name, $_ := include "countersign.secrets" $root | fromJson -}}
  {{- $variable := printf "%s_FILE" (include "countersign.variable" $name) -}}
  {{- $_ := set $environment $variable (printf "/etc/countersign/secrets/%s" $name) -}}
{{- end -}}
{{- $host := ternary (printf "[%s]" $values.listen.address) $values.listen.address (contains ":" $values.listen.address) -}}
{{- $own := dict
      "profile" $values.profile
      "grpc.listen" (printf "%s:%d" $host (int $values.listen.grpc))
      "http.listen" (printf "%s:%d" $host (int $values.listen.http))
      "database.migrate" (eq $values.migrations.mode "server") -}}
{{- if and $values.tls.enabled .tls -}}
  {{- $_ := set $own "tls.certificate_file" "/etc/countersign/tls/tls.crt" -}}
  {{- $_ := set $own "tls.key_file" "/etc/countersign/tls/tls.key" -}}
  {{- if $values.tls.clientCertificates.enabled -}}
    {{- $_ := set $own "tls.client_ca_file" "/etc/countersign/clients/ca.crt" -}}
    {{- $_ := set $own "tls.require_client_certificate" $values.tls.clientCertificates.required -}}
  {{- end -}}
{{- end -}}
{{- range $name, $value := $own -}}
  {{- $_ := set $environment (include "countersign.variable" $name) (include "countersign.text" $value) -}}
{{- end -}}
{{- toJson $environment -}}
{{- end -}}

{{/* A span of time (`250ms`, `20s`, `5m`, …) in whole seconds, rounded up. */}}
{{- define "countersign.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- if eq $unit "ms" -}}{{- div (add $number 999) 1000 -}}
{{- else -}}{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) -}}
{{- end -}}
{{- end -}}

{{/* A span as it stands in the configuration, else in the manual, else none. `name`: of the setting. */}}
{{- define "countersign.span" -}}
{{- $default := get (include "countersign.manual" .root | fromJson) .name | default "0s" | trimAll "\"" -}}
{{- get (include "countersign.config" .root | fromJson) .name | default $default -}}
{{- end -}}

{{/* What a pod needs to stop: it may go on serving for a while, then calls in flight, promised messages and HTTP have a drain
     each, a collector has what it is given, and the rest takes seconds. */}}
{{- define "countersign.leastGrace" -}}
{{- $delay := include "countersign.span" (dict "root" . "name" "grpc.drain_delay") -}}
{{- $drain := include "countersign.span" (dict "root" . "name" "grpc.drain") -}}
{{- $seconds := add (include "countersign.seconds" $delay | int64) (mul 3 (include "countersign.seconds" $drain | int64)) -}}
{{- $flush := "0s" -}}
{{- $config := include "countersign.config" . | fromJson -}}
{{- if or (get $config "telemetry.traces") (get $config "telemetry.metrics") (get $config "telemetry.logs") -}}
{{- $flush = include "countersign.span" (dict "root" . "name" "telemetry.flush") -}}
{{- end -}}
{{- add .Values.preStopSeconds $seconds (include "countersign.seconds" $flush | int64) 10 -}}
{{- end -}}
