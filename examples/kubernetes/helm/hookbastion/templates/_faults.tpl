{{- /* The mapping under a key, as YAML; an empty one if something else stands there. */ -}}
{{- define "hookbastion.under" -}}
{{- $at := get (index . 0) (index . 1) -}}
{{- ternary $at dict (kindIs "map" $at) | toYaml -}}
{{- end }}

{{- /* What a NetworkPolicy would cut without a word, or let in. */ -}}
{{- define "hookbastion.networkFaults" -}}
{{- $v := .Values -}}
{{- $redis := get (include "hookbastion.under" (list $v.settings "replay") | fromYaml) "redis" | default dict -}}
{{- $redis = ternary $redis dict (kindIs "map" $redis) -}}
{{- if $v.networkPolicy.enabled }}
{{- if and (eq $v.mode "sidecar") (not $v.networkPolicy.egress) }}
- networkPolicy.egress must let Envoy reach the application
{{- end }}
{{- if and (eq $v.mode "central") (not $v.networkPolicy.envoys) }}
- networkPolicy.envoys names nobody, which Kubernetes takes for everybody
{{- end }}
{{- if and $v.monitoring.serviceMonitor.enabled (not $v.networkPolicy.monitoring) }}
- monitoring.serviceMonitor needs networkPolicy.monitoring: Prometheus could not reach the pods
{{- end }}
{{- if and (eq $v.store.type "REDIS") (not $v.networkPolicy.redis) (or (get $redis "addresses") (get $redis "sentinel")) }}
- networkPolicy.redis must name the ports of all nodes and sentinels of settings.replay.redis
{{- end }}
{{- range $v.env }}
{{- if and (hasPrefix "OTEL_EXPORTER_OTLP_" .name) (hasSuffix "ENDPOINT" .name) (not $v.networkPolicy.egress) (not (regexMatch "//(localhost|127\\.|\\[::1\\])" (toString (get . "value")))) }}
- networkPolicy.egress must let the service reach the collector of {{ .name }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What Kubernetes would refuse or kill later. */ -}}
{{- define "hookbastion.podFaults" -}}
{{- $v := .Values -}}
{{- if not (regexMatch "^[a-z]" (include "hookbastion.name" .)) }}
- the release {{ .Release.Name }} must begin with a letter, as names of Services do
{{- end }}
{{- range $name, $_ := $v.podLabels }}{{ if has $name (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component") }}
- podLabels: {{ $name }} is what the Deployment knows its pods by
{{- end }}{{ end }}
{{- $most := include "hookbastion.mib" (get ($v.resources.limits | default dict) "memory") -}}
{{- $bytes := include "hookbastion.mib" (get (include "hookbastion.under" (list $v.settings "limits") | fromYaml) "bytes_in_flight" | default "256MiB") -}}
{{- if and $most $bytes (gt (mul 10 (add (int64 $bytes) 230)) (mul 9 (int64 $most))) }}
- resources.limits.memory is too little for settings.limits.bytes_in_flight: it takes {{ div (add (mul 10 (add (int64 $bytes) 230)) 8) 9 }}Mi at least
{{- end }}
{{- if and (eq $v.mode "sidecar") $v.envoy.config }}
{{- range $what := list "port" "adminPort" }}{{ if not (regexMatch (printf "port_value\"?:\\s*%d\\b" (int (get $v.envoy $what))) $v.envoy.config) }}
- envoy.config listens nowhere on {{ get $v.envoy $what }}, which is envoy.{{ $what }}
{{- end }}{{ end }}
{{- end }}
{{- end }}
