{{- define "hookbastion.name" -}}
{{- $name := ternary .Release.Name (printf "%s-hookbastion" .Release.Name) (contains "hookbastion" .Release.Name) -}}
{{- regexReplaceAll "-+$" ($name | replace "." "-" | trunc 40) "" }}
{{- end }}

{{- define "hookbastion.selector" -}}
app.kubernetes.io/name: hookbastion
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ ternary "edge" "service" (eq .Values.mode "sidecar") }}
{{- end }}

{{- define "hookbastion.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ regexReplaceAll "[-_.]+$" (.Values.image.tag | default .Chart.AppVersion | trunc 63) "" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hookbastion
{{ include "hookbastion.selector" . }}
{{- end }}

{{- define "hookbastion.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* What Kubernetes calls restricted, for each container. */ -}}
{{- define "hookbastion.container" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{- define "hookbastion.pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "hookbastion.redis" -}}
{{- if .Values.store.redis.deploy }}redis://{{ include "hookbastion.name" . }}-redis:6379{{ else }}{{ .Values.store.redis.url }}{{ end }}
{{- end }}

{{- /* Where Redis listens, for the NetworkPolicy. */ -}}
{{- define "hookbastion.redisPort" -}}
{{- regexFind ":[0-9]+(/|$)" (regexReplaceAll "^rediss?://" .Values.store.redis.url "") | trimPrefix ":" | trimSuffix "/" | default "6379" }}
{{- end }}

{{- /* A size, 512MiB or 1Gi, in MiB; nothing if it is written in another way. */ -}}
{{- define "hookbastion.mib" -}}
{{- $number := int64 (regexFind "^[0-9]+" (toString .)) -}}
{{- $unit := regexReplaceAll "^[0-9]+" (toString .) "" | trimSuffix "B" -}}
{{- if eq $unit "Mi" }}{{ $number }}{{ else if eq $unit "Gi" }}{{ mul $number 1024 }}{{ end -}}
{{- end }}

{{- /* The settings that the chart makes, and those of values over them. */ -}}
{{- define "hookbastion.settings" -}}
{{- $central := eq .Values.mode "central" -}}
{{- $grpc := dict "listen" (ternary "0.0.0.0:9001" "127.0.0.1:9001" $central) "lame_duck" (ternary (printf "%ds" (int .Values.lameDuckSeconds)) "0s" $central) -}}
{{- if and $central .Values.tls.secret -}}
{{- $tls := dict "cert" "/etc/hookbastion/tls/tls.crt" "key" "/etc/hookbastion/tls/tls.key" "client_ca" "/etc/hookbastion/tls/ca.crt" -}}
{{- with .Values.tls.clientSANs }}{{ $_ := set $tls "client_sans" . }}{{ end -}}
{{- $_ := set $grpc "tls" $tls -}}
{{- else if $central -}}
{{- $_ := set $grpc "insecure" true -}}
{{- end -}}
{{- $replay := dict "store" .Values.store.type -}}
{{- if eq .Values.store.type "REDIS" -}}
{{- $redis := dict "url" (include "hookbastion.redis" .) -}}
{{- with .Values.store.redis.passwordSecret }}{{ if .name }}{{ $_ := set $redis "password" (dict "file" (printf "/etc/hookbastion/redis/%s" .key)) }}{{ end }}{{ end -}}
{{- with .Values.store.redis.caSecret }}{{ if .name }}{{ $_ := set $redis "ca" (printf "/etc/hookbastion/redis-ca/%s" .key) }}{{ end }}{{ end -}}
{{- with .Values.store.redis.setupUntil }}{{ $_ := set $redis "setup_until" . }}{{ end -}}
{{- if .Values.store.redis.deploy }}{{ $_ := set $redis "trust_restart" true }}{{ end -}}
{{- $_ := set $replay "redis" $redis -}}
{{- else if eq .Values.store.type "FILE" -}}
{{- $_ := set $replay "file" (dict "path" "/var/lib/hookbastion/nonces") -}}
{{- end -}}
{{- $own := dict "grpc" $grpc "http" (dict "listen" "0.0.0.0:9002") "policy" (dict "directories" (list "/etc/hookbastion/policies")) "replay" $replay "limits" (dict "shutdown" (printf "%ds" (int .Values.shutdownSeconds))) "fetch" (dict "directory" "/var/cache/hookbastion") -}}
{{- mergeOverwrite $own (deepCopy .Values.settings) | toYaml -}}
{{- end }}

{{- /* All that contradicts itself, at once. */ -}}
{{- define "hookbastion.faults" -}}
{{- $v := .Values -}}
{{- $most := int $v.replicas -}}
{{- if $v.autoscaling.enabled }}{{ $most = max $most (int $v.autoscaling.maxReplicas) }}{{ end -}}
{{- if and (gt (int $most) 1) (ne $v.store.type "REDIS") }}
- store.type {{ $v.store.type }} is for one pod, and {{ $most }} are asked for: a copy would pass once at each. Set replicas to 1 without autoscaling, or store.type to REDIS
{{- end }}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) }}
- autoscaling.minReplicas is more than maxReplicas
{{- end }}
{{- if and (eq $v.store.type "REDIS") (not $v.store.redis.url) (not $v.store.redis.deploy) }}
- store.redis.url says where Redis is; or set store.redis.deploy
{{- end }}
{{- if and $v.store.redis.url $v.store.redis.deploy }}
- store.redis has url and deploy: one of them
{{- end }}
{{- if and $v.store.redis.deploy $v.store.redis.passwordSecret.name }}
- store.redis.passwordSecret is for a Redis of your own: the one of deploy is kept apart by its NetworkPolicy
{{- end }}
{{- if and $v.store.redis.deploy (not $v.networkPolicy.enabled) }}
- store.redis.deploy needs networkPolicy.enabled: whoever reaches that Redis can let copies through
{{- end }}
{{- if and (not $v.policies) (not $v.policiesConfigMap) }}
- policies has no file, and policiesConfigMap names none: the service would not start
{{- end }}
{{- if and $v.policies $v.policiesConfigMap }}
- policies and policiesConfigMap: one of them
{{- end }}
{{- range $name, $_ := $v.policies }}{{ if not (regexMatch "^[A-Za-z0-9._-]+\\.ya?ml$" $name) }}
- policies: {{ $name }} must be the name of a .yaml file
{{- end }}{{ end }}
{{- if and $v.secrets.csi.secretProviderClass (or $v.secrets.existing $v.secrets.external.data) }}
- secrets.csi stands in place of secrets.existing and secrets.external
{{- end }}
{{- if and $v.secrets.external.data (not $v.secrets.external.store.name) }}
- secrets.external.store.name says where secrets.external.data is
{{- end }}
{{- if and (eq $v.mode "central") (not $v.tls.secret) (not $v.tls.insecure) }}
- tls.secret names the certificate that Envoys see; or say tls.insecure, where whoever reaches the port may ask
{{- end }}
{{- if and $v.tls.secret $v.tls.insecure }}
- tls has secret and insecure: one of them
{{- end }}
{{- if eq $v.mode "sidecar" }}
{{- if and (not $v.envoy.config) (not $v.envoy.configMap) }}
- envoy.config is what `hookbastion envoy config` prints: --set-file envoy.config=envoy.yaml
{{- end }}
{{- if and $v.envoy.config $v.envoy.configMap }}
- envoy has config and configMap: one of them
{{- end }}
{{- if $v.tls.secret }}
- tls.secret is for central mode: beside Envoy the service listens on loopback
{{- end }}
{{- end }}
{{- include "hookbastion.networkFaults" . }}
{{- include "hookbastion.podFaults" . }}
{{- range $path := list "grpc.listen" "grpc.lame_duck" "grpc.tls" "grpc.insecure" "grpc.unix" "http.listen" "policy.directories" "replay.store" "replay.file" "replay.redis.url" "replay.redis.password" "replay.redis.ca" "replay.redis.setup_until" "fetch.directory" "limits.shutdown" }}
{{- $at := $v.settings -}}
{{- range $step := splitList "." $path }}{{ if kindIs "map" $at }}{{ if hasKey $at $step }}{{ $at = get $at $step }}{{ else }}{{ $at = "" }}{{ end }}{{ end }}{{ end -}}
{{- if not (eq (toString $at) "") }}
- settings.{{ $path }} is made by the chart, of other values
{{- end }}
{{- end }}
{{- end }}

{{- define "hookbastion.check" -}}
{{- with include "hookbastion.faults" . | trim }}{{ fail (printf "\n%s" .) }}{{ end -}}
{{- end }}
