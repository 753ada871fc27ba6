{{- /* The container of the service: in central mode the only one, else before Envoy's. */ -}}
{{- define "hookbastion.service" -}}
- name: hookbastion
  image: {{ include "hookbastion.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [serve, --config, /etc/hookbastion/settings/hookbastion.yaml]
  {{- if eq .Values.mode "sidecar" }}
  restartPolicy: Always          # a sidecar: it serves before Envoy does, and until Envoy has ended
  {{- end }}
  ports:
    {{- if eq .Values.mode "central" }}
    - {name: grpc, containerPort: 9001}
    {{- end }}
    - {name: metrics, containerPort: 9002}
  env:
    - {name: OTEL_SERVICE_NAME, value: hookbastion}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  # All three ask at the pod's own address: http.listen is 0.0.0.0:9002.
  startupProbe:
    httpGet: {path: {{ ternary "/readyz" "/healthz" (eq .Values.mode "sidecar") }}, port: metrics}
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /healthz, port: metrics}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  readinessProbe:
    httpGet: {path: /readyz, port: metrics}
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 1
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- include "hookbastion.container" . | nindent 4 }}
  volumeMounts:
    - {name: settings, mountPath: /etc/hookbastion/settings, readOnly: true}
    - {name: policies, mountPath: /etc/hookbastion/policies, readOnly: true}
    - {name: secrets, mountPath: /etc/hookbastion/secrets, readOnly: true}
    - {name: cache, mountPath: /var/cache/hookbastion}
    {{- if .Values.tls.secret }}
    - {name: tls, mountPath: /etc/hookbastion/tls, readOnly: true}
    {{- end }}
    {{- if eq .Values.store.type "FILE" }}
    - {name: nonces, mountPath: /var/lib/hookbastion}
    {{- end }}
    {{- if eq .Values.store.type "REDIS" }}
    {{- if .Values.store.redis.passwordSecret.name }}
    - {name: redis, mountPath: /etc/hookbastion/redis, readOnly: true}
    {{- end }}
    {{- if .Values.store.redis.caSecret.name }}
    - {name: redis-ca, mountPath: /etc/hookbastion/redis-ca, readOnly: true}
    {{- end }}
    {{- end }}
{{- end }}

{{- define "hookbastion.envoy" -}}
- name: envoy
  image: {{ .Values.envoy.image }}
  command: [/usr/local/bin/envoy]
  args: [-c, /etc/envoy/envoy.yaml, --disable-hot-restart, --log-level, warning, --drain-time-s, {{ .Values.envoy.drainSeconds | quote }}]
  ports:
    - {name: webhooks, containerPort: {{ .Values.envoy.port }}}
  # Its admin interface stays on loopback, and the image has bash alone to ask it with.
  readinessProbe:
    exec:
      command:
        {{- include "hookbastion.ask" (dict "port" .Values.envoy.adminPort "method" "GET" "path" "/ready" "want" "LIVE") | nindent 8 }}
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 1
  livenessProbe:
    exec:
      command:
        {{- include "hookbastion.ask" (dict "port" .Values.envoy.adminPort "method" "GET" "path" "/server_info" "want" "200 OK") | nindent 8 }}
    periodSeconds: 10
    timeoutSeconds: 5
  lifecycle:
    preStop:                     # it serves on while Kubernetes takes it out of the list, and tells senders to come elsewhere
      exec:
        command:
          - bash
          - -c
          - |
            exec 3<>/dev/tcp/127.0.0.1/{{ .Values.envoy.adminPort }}
            printf 'POST /drain_listeners?graceful HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' >&3
            grep -q OK <&3
            sleep {{ .Values.envoy.drainSeconds }}
  resources:
    {{- toYaml .Values.envoy.resources | nindent 4 }}
  securityContext:
    {{- include "hookbastion.container" . | nindent 4 }}
  volumeMounts:
    - {name: envoy, mountPath: /etc/envoy/envoy.yaml, subPath: envoy.yaml, readOnly: true}
    {{- if .Values.envoy.tlsSecret }}
    - {name: envoy-tls, mountPath: /etc/envoy/tls, readOnly: true}
    {{- end }}
{{- end }}

{{- define "hookbastion.ask" -}}
- bash
- -c
- |
  exec 3<>/dev/tcp/127.0.0.1/{{ .port }}
  printf '{{ .method }} {{ .path }} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n' >&3
  grep -q '{{ .want }}' <&3
{{- end }}

{{- define "hookbastion.volumes" -}}
- name: settings
  configMap: {name: {{ include "hookbastion.name" . }}-settings}
- name: policies
  configMap: {name: {{ .Values.policiesConfigMap | default (printf "%s-policies" (include "hookbastion.name" .)) }}}
- name: secrets
  {{- if .Values.secrets.csi.secretProviderClass }}
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes: {secretProviderClass: {{ .Values.secrets.csi.secretProviderClass }}}
  {{- else }}
  projected:
    defaultMode: 0440
    {{- if or .Values.secrets.existing .Values.secrets.external.data }}
    sources:
      {{- range .Values.secrets.existing }}
      - secret:
          {{- toYaml . | nindent 10 }}
      {{- end }}
      {{- if .Values.secrets.external.data }}
      - secret: {name: {{ include "hookbastion.name" . }}-webhooks}
      {{- end }}
    {{- else }}
    sources: []
    {{- end }}
  {{- end }}
- name: cache
  emptyDir: {sizeLimit: 64Mi}
{{- with .Values.tls.secret }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if eq .Values.store.type "FILE" }}
- name: nonces
  persistentVolumeClaim: {claimName: {{ include "hookbastion.name" . }}-nonces}
{{- end }}
{{- if eq .Values.store.type "REDIS" }}
{{- with .Values.store.redis.passwordSecret.name }}
- name: redis
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.store.redis.caSecret.name }}
- name: redis-ca
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if eq .Values.mode "sidecar" }}
- name: envoy
  configMap: {name: {{ .Values.envoy.configMap | default (printf "%s-envoy" (include "hookbastion.name" .)) }}}
{{- with .Values.envoy.tlsSecret }}
- name: envoy-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}
