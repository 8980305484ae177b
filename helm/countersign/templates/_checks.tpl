{{/* What the schema cannot see: values that do not go together, and settings that are not what they should be. Each check adds
     a line; all lines are told at once. */}}

{{- define "countersign.checks" -}}
{{- $problems := dict "lines" list -}}
{{- $scope := dict "root" . "problems" $problems
      "config" (include "countersign.config" . | fromJson)
      "secrets" (include "countersign.secrets" . | fromJson)
      "manual" (include "countersign.manual" . | fromJson) -}}
{{- include "countersign.checks.config" $scope -}}
{{- include "countersign.checks.secrets" $scope -}}
{{- include (printf "countersign.checks.%s" .Values.profile) $scope -}}
{{- include "countersign.checks.tls" $scope -}}
{{- include "countersign.checks.pods" $scope -}}
{{- include "countersign.checks.network" $scope -}}
{{- with $problems.lines -}}
  {{- fail (printf "these values cannot be right:\n- %s\n" (join "\n- " .)) -}}
{{- end -}}
{{- end -}}

{{- define "countersign.problem" -}}
{{- $_ := set .problems "lines" (append .problems.lines .says) -}}
{{- end -}}

{{- define "countersign.checks.config" -}}
{{- $own := dict
      "profile" "profile" "grpc.listen" "listen" "http.listen" "listen" "database.migrate" "migrations.mode"
      "tls.certificate_file" "tls" "tls.key_file" "tls" "tls.client_ca_file" "tls.clientCertificates"
      "tls.require_client_certificate" "tls.clientCertificates.required" -}}
{{- range $name, $value := .config -}}
  {{- $default := get $.manual $name -}}
  {{- $says := "" -}}
  {{- if hasKey $own $name -}}
    {{- $says = printf "config.%s: the chart sets it: use `%s`" $name (get $own $name) -}}
  {{- else if not (hasKey $.manual $name) -}}
    {{- $says = printf "config.%s: there is no such setting; files/config.default.toml has them all" $name -}}
  {{- else if hasKey $.manual (printf "%s_file" $name) -}}
    {{- $says = printf "config.%s: is a secret: give it as secrets.%s.existingSecret with a key, or as secrets.%s.value" $name $name $name -}}
  {{- else if and (hasSuffix "_file" $name) (hasKey $.manual (trimSuffix "_file" $name)) -}}
    {{- $secret := trimSuffix "_file" $name -}}
    {{- $says = printf "config.%s: is where a secret is: give it as secrets.%s.existingSecret with a key" $name $secret -}}
  {{- else if and (hasPrefix "[" $default) (not (kindIs "slice" $value)) -}}
    {{- $says = printf "config.%s: must be a list" $name -}}
  {{- else if and (kindIs "slice" $value) (not (hasPrefix "[" $default)) -}}
    {{- $says = printf "config.%s: must not be a list" $name -}}
  {{- else if and (kindIs "slice" $value) (contains "," (join "" $value)) -}}
    {{- $says = printf "config.%s: no item may contain a comma, because lists reach the program with commas between" $name -}}
  {{- else if and (has $default (list "true" "false")) (not (kindIs "bool" $value)) -}}
    {{- $says = printf "config.%s: must be true or false" $name -}}
  {{- else if and (regexMatch "^[0-9]" $default) (not (or (kindIs "int64" $value) (kindIs "int" $value) (and (kindIs "float64" $value) (eq (floor $value) $value)))) -}}
    {{- $says = printf "config.%s: must be a whole number" $name -}}
  {{- else if and (hasPrefix "\"" $default) (or (kindIs "bool" $value) (kindIs "float64" $value)) -}}
    {{- $says = printf "config.%s: must be a text; write it in quotes" $name -}}
  {{- end -}}
  {{- if $says -}}{{- include "countersign.problem" (dict "problems" $.problems "says" $says) -}}{{- end -}}
{{- end -}}
{{- range $name := list "grpc.drain" "grpc.drain_delay" "telemetry.flush" -}}
  {{- if not (regexMatch "^[0-9]+(ms|s|m|h|d)$" (get $.config $name | default "0s" | toString)) -}}
    {{- include "countersign.problem" (dict "problems" $.problems "says" (printf "config.%s: must be a number and a unit: ms, s, m, h or d" $name)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "countersign.checks.secrets" -}}
{{- range $name, $secret := .secrets -}}
  {{- $says := "" -}}
  {{- if not (hasKey $.manual (printf "%s_file" $name)) -}}
    {{- $says = ternary (printf "secrets.%s: is no secret: it belongs into config.%s" $name $name) (printf "secrets.%s: there is no such setting; files/config.default.toml has them all" $name) (hasKey $.manual $name) -}}
  {{- else if $secret.plain -}}
    {{- $says = printf "secrets.%s: must be {existingSecret: …, key: …} or {value: …}" $name -}}
  {{- else if and $secret.value $secret.existingSecret -}}
    {{- $says = printf "secrets.%s: has both `value` and `existingSecret`; give one of the two" $name -}}
  {{- else if not (or $secret.value $secret.existingSecret) -}}
    {{- $says = printf "secrets.%s: needs `existingSecret` and `key`, or `value`" $name -}}
  {{- else if and $secret.existingSecret (not $secret.key) -}}
    {{- $says = printf "secrets.%s.key: under which key of %s is it?" $name $secret.existingSecret -}}
  {{- else if and $secret.value $secret.key -}}
    {{- $says = printf "secrets.%s.key: goes with `existingSecret` only" $name -}}
  {{- else if and (hasSuffix "root_key" $name) $secret.value (not (regexMatch "^[A-Za-z0-9+/]{43}=$" (toString $secret.value))) -}}
    {{- $says = printf "secrets.%s.value: must be 32 random bytes in base64: openssl rand -base64 32" $name -}}
  {{- end -}}
  {{- if $says -}}{{- include "countersign.problem" (dict "problems" $.problems "says" $says) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "countersign.checks.production" -}}
{{- $needed := dict
      "database.url" "production keeps its data in PostgreSQL (postgres://…)"
      "cache.url" "production keeps codes and counters in Redis (rediss://…)"
      "secrets.root_key" "production needs a key of its own (openssl rand -base64 32)" -}}
{{- range $name, $why := $needed -}}
  {{- if not (hasKey $.secrets $name) -}}
    {{- include "countersign.problem" (dict "problems" $.problems "says" (printf "secrets.%s: is not set: %s; name a Secret with `existingSecret` and `key`" $name $why)) -}}
  {{- end -}}
{{- end -}}
{{- $database := get (get .secrets "database.url" | default dict) "value" | default "" -}}
{{- if hasPrefix "sqlite:" $database -}}
  {{- include "countersign.problem" (dict "problems" .problems "says" "secrets.database.url.value: the embedded database is for a trial (profile: development); production needs postgres://") -}}
{{- end -}}
{{- $cache := get (get .secrets "cache.url" | default dict) "value" | default "" -}}
{{- if hasPrefix "memory:" $cache -}}
  {{- include "countersign.problem" (dict "problems" .problems "says" "secrets.cache.url.value: the embedded cache is for a trial (profile: development); production needs redis://") -}}
{{- end -}}
{{- if not (hasPrefix "https://" (get .config "token.issuer" | default "" | toString)) -}}
  {{- include "countersign.problem" (dict "problems" .problems "says" "config.token.issuer: must be the https:// URL under which clients reach the HTTP port") -}}
{{- end -}}
{{- range $name, $what := dict "notify.sms" "text messages" "notify.email" "mail" -}}
  {{- if has (get $.config $name | default "") (list "" "console") -}}
    {{- include "countersign.problem" (dict "problems" $.problems "says" (printf "config.%s: must say how %s leave, or `none`; the log is no way in production" $name $what)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "countersign.checks.development" -}}
{{- $values := .root.Values -}}
{{- if and (hasKey .secrets "database.url") (not (hasKey .secrets "cache.url")) (gt (int (include "countersign.fewest" .root)) 1) -}}
  {{- include "countersign.problem" (dict "problems" .problems "says" "replicaCount: more than one pod needs secrets.cache.url; the embedded cache has one") -}}
{{- end -}}
{{- if not (hasKey .secrets "database.url") -}}
  {{- if or $values.autoscaling.enabled (gt (int $values.replicaCount) 1) -}}
    {{- include "countersign.problem" (dict "problems" .problems "says" "replicaCount: more than one pod needs secrets.database.url and secrets.cache.url; the embedded database has one") -}}
  {{- end -}}
  {{- if eq $values.migrations.mode "job" -}}
    {{- include "countersign.problem" (dict "problems" .problems "says" "migrations.mode: must be `server` with the embedded database, which no job reaches") -}}
  {{- end -}}
  {{- if $values.purge.enabled -}}
    {{- include "countersign.problem" (dict "problems" .problems "says" "purge.enabled: no job reaches the embedded database") -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "countersign.checks.tls" -}}
{{- $tls := .root.Values.tls -}}
{{- $says := list -}}
{{- if $tls.enabled -}}
  {{- if and $tls.certManager.enabled $tls.existingSecret -}}
    {{- $says = append $says "tls.existingSecret: goes without tls.certManager, which keeps a Secret of its own" -}}
  {{- else if not (or $tls.certManager.enabled $tls.existingSecret) -}}
    {{- $says = append $says "tls.existingSecret: TLS needs a certificate: name a Secret with tls.crt and tls.key, or set tls.certManager.enabled" -}}
  {{- end -}}
  {{- if and $tls.certManager.enabled (not $tls.certManager.issuerRef.name) -}}
    {{- $says = append $says "tls.certManager.issuerRef.name: is not set: which issuer of cert-manager signs?" -}}
  {{- end -}}
{{- else -}}
  {{- if or $tls.certManager.enabled $tls.existingSecret -}}
    {{- $says = append $says "tls.enabled: is false, but there is a certificate to serve with" -}}
  {{- end -}}
  {{- if $tls.clientCertificates.enabled -}}
    {{- $says = append $says "tls.clientCertificates.enabled: needs tls.enabled" -}}
  {{- end -}}
{{- end -}}
{{- if and $tls.clientCertificates.required (not $tls.clientCertificates.enabled) -}}
  {{- $says = append $says "tls.clientCertificates.required: needs tls.clientCertificates.enabled" -}}
{{- end -}}
{{- range $says -}}{{- include "countersign.problem" (dict "problems" $.problems "says" .) -}}{{- end -}}
{{- end -}}

{{- define "countersign.checks.pods" -}}
{{- $values := .root.Values -}}
{{- $says := list -}}
{{- if not $values.image.repository -}}
  {{- $says = append $says "image.repository: is not set: where is the image?" -}}
{{- end -}}
{{- if eq (int $values.listen.grpc) (int $values.listen.http) -}}
  {{- $says = append $says "listen.http: must be another port than listen.grpc" -}}
{{- end -}}
{{- if eq (int $values.service.grpc.port) (int $values.service.http.port) -}}
  {{- $says = append $says "service.http.port: must be another port than service.grpc.port" -}}
{{- end -}}
{{- if $values.autoscaling.enabled -}}
  {{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) -}}
    {{- $says = append $says "autoscaling.minReplicas: must not be more than autoscaling.maxReplicas" -}}
  {{- end -}}
  {{- if not (or $values.autoscaling.cpu $values.autoscaling.memory $values.autoscaling.metrics) -}}
    {{- $says = append $says "autoscaling.cpu: by what is to be scaled? Set it, autoscaling.memory or autoscaling.metrics" -}}
  {{- end -}}
{{- end -}}
{{- $budget := $values.podDisruptionBudget -}}
{{- $fewest := int (include "countersign.fewest" .root) -}}
{{- if and $budget.enabled (gt $fewest 1) -}}
  {{- if and (kindIs "invalid" $budget.maxUnavailable) (kindIs "invalid" $budget.minAvailable) -}}
    {{- $says = append $says "podDisruptionBudget.minAvailable: set it or maxUnavailable" -}}
  {{- else if has (toString $budget.minAvailable) (list "100%") -}}
    {{- $says = append $says "podDisruptionBudget.minAvailable: no machine could ever be drained" -}}
  {{- else if and (not (kindIs "invalid" $budget.minAvailable)) (not (kindIs "string" $budget.minAvailable)) (ge (int $budget.minAvailable) $fewest) -}}
    {{- $says = append $says (printf "podDisruptionBudget.minAvailable: must be less than the %d pods there are at least, or no machine could ever be drained" $fewest) -}}
  {{- else if and (kindIs "invalid" $budget.minAvailable) (has (toString $budget.maxUnavailable) (list "0" "0%")) -}}
    {{- $says = append $says "podDisruptionBudget.maxUnavailable: no machine could ever be drained" -}}
  {{- end -}}
{{- end -}}
{{- /* Spans of another form are complained of elsewhere. */ -}}
{{- $spans := list (get .config "grpc.drain" | default "0s") (get .config "grpc.drain_delay" | default "0s") (get .config "telemetry.flush" | default "0s") -}}
{{- $readable := true -}}
{{- range $spans -}}
  {{- if not (regexMatch "^[0-9]+(ms|s|m|h|d)$" (toString .)) -}}{{- $readable = false -}}{{- end -}}
{{- end -}}
{{- if and $readable (not (kindIs "invalid" $values.terminationGracePeriodSeconds)) -}}
  {{- $least := include "countersign.leastGrace" .root | int -}}
  {{- if lt (int $values.terminationGracePeriodSeconds) $least -}}
    {{- $says = append $says (printf "terminationGracePeriodSeconds: must be at least %d: preStopSeconds, config.grpc.drain_delay, three times config.grpc.drain, config.telemetry.flush where there is a collector, and ten" $least) -}}
  {{- end -}}
{{- end -}}
{{- range $values.extraEnv -}}
  {{- if hasPrefix "COUNTERSIGN__" .name -}}
    {{- $says = append $says (printf "extraEnv: %s is a setting: it belongs into config or secrets" .name) -}}
  {{- end -}}
{{- end -}}
{{- range $says -}}{{- include "countersign.problem" (dict "problems" $.problems "says" .) -}}{{- end -}}
{{- end -}}

{{- define "countersign.checks.network" -}}
{{- $values := .root.Values -}}
{{- $says := list -}}
{{- range $which := list "http" "grpc" -}}
  {{- $ingress := get $values.ingress $which -}}
  {{- if and $ingress.enabled (not $ingress.hosts) -}}
    {{- $says = append $says (printf "ingress.%s.hosts: is empty: under which names is it reached?" $which) -}}
  {{- end -}}
  {{- $route := get $values.gateway $which -}}
  {{- if and $route.enabled (not $route.parentRefs) -}}
    {{- $says = append $says (printf "gateway.%s.parentRefs: is empty: which Gateway is it for?" $which) -}}
  {{- end -}}
{{- end -}}
{{- if and $values.networkPolicy.enabled $values.networkPolicy.egress.enabled (not $values.networkPolicy.egress.rules) -}}
  {{- $says = append $says "networkPolicy.egress.rules: is empty: not even the database could be reached" -}}
{{- end -}}
{{- range $says -}}{{- include "countersign.problem" (dict "problems" $.problems "says" .) -}}{{- end -}}
{{- end -}}
