{{- define "nearside.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Takes (list $ "gateway") */}}
{{- define "nearside.selector" -}}
app.kubernetes.io/name: nearside
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "nearside.labels" -}}
{{ include "nearside.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "nearside.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "nearside.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.securityContext.runAsUser }}
  runAsGroup: {{ .Values.securityContext.runAsGroup }}
  fsGroup: {{ .Values.securityContext.runAsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "nearside.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Takes (list $ "gateway" .Values.gateway) */}}
{{- define "nearside.placement" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- with $root.Values.topologySpread }}
{{- if .enabled }}
topologySpreadConstraints:
  {{- $rule := .whenUnsatisfiable }}
  {{- range .keys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $rule }}
    labelSelector:
      matchLabels:
        {{- include "nearside.selector" (list $root $component) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
{{- with index . 2 }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "nearside.edgeKeyEnv" -}}
- name: NEARSIDE_EDGE_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.edge.key.secretName }}
      key: {{ .Values.edge.key.secretKey }}
{{- end }}

{{/* Mistakes that the schema cannot see: they would show only when a pod does not start. */}}
{{- define "nearside.check" -}}
{{- $gateway := .Values.gateway -}}
{{- if not (or (hasKey $gateway.secrets "NEARSIDE_API_KEYS") (hasKey $gateway.settings "NEARSIDE_API_KEYS") (eq (get $gateway.settings "NEARSIDE_DEV") "1")) }}
{{- fail "Nobody could call this gateway: set gateway.secrets.NEARSIDE_API_KEYS to the name and key of a Secret with the digests of the API keys." }}
{{- end }}
{{- range $pool := $gateway.origins }}
{{- range $endpoint := $pool.endpoints }}
{{- with $endpoint.secret }}
{{- if not (hasKey $gateway.secrets .) }}
{{- fail (printf "gateway.origins: an endpoint of %s names the secret %s: set gateway.secrets.%s to the name and key of a Secret." $pool.model . .) }}
{{- end }}
{{- end }}
{{- with $endpoint.binding }}
{{- fail (printf "gateway.origins: an endpoint of %s names the binding %s, and bindings exist on Cloudflare only: give the endpoint an address that the cluster reaches." $pool.model .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range tuple "NEARSIDE_EDGE_URL" "NEARSIDE_EDGE_KEY" "NEARSIDE_ORIGINS" }}
{{- if hasKey $gateway.settings . }}
{{- fail (printf "gateway.settings.%s is set by this chart: use edge and gateway.origins." .) }}
{{- end }}
{{- end }}
{{- if .Values.edge.enabled }}
{{- if not .Values.edge.key.secretName }}
{{- fail "edge.key.secretName is not set: store a random key in a Secret and name it, as gateway and engine know each other by it." }}
{{- end }}
{{- if eq (not .Values.edge.pack.url) (not .Values.edge.pack.existingClaim) }}
{{- fail "edge.pack must have either url or existingClaim: the engine needs one model." }}
{{- end }}
{{- else if not (or $gateway.origins (hasKey $gateway.settings "NEARSIDE_ORIGIN_URL")) }}
{{- fail "There is nobody to answer: edge.enabled is false and gateway.origins is empty." }}
{{- end }}
{{- end }}
