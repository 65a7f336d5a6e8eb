{{/* The probes of the exporter's container. */}}

{{/* A probe. The parameter has the keys root, probe, path and port. */}}
{{- define "ksm.probe" -}}
{{- $values := .root.Values -}}
{{- $proxy := $values.kubeRBACProxy -}}
{{- $get := dict "path" .path "port" .port "scheme" (upper .probe.httpGet.scheme) -}}
{{- if $proxy.enabled -}}
{{- /* The exporter listens only on the loopback interface, so the kubelet probes the proxy. The probe contains the
       number of the port, because the exporter's container declares no named port. */ -}}
{{- $_ := set $get "scheme" "HTTPS" -}}
{{- if $proxy.ignoreProbePaths -}}
{{- $_ := set $get "port" ($values.service.port | default 8080 | int) -}}
{{- /* The proxy forwards only these two paths. */ -}}
{{- $_ := set $get "path" (ternary "/livez" .path (eq .path "/healthz")) -}}
{{- else -}}
{{- $_ := set $get "port" ($proxy.proxyEndpointsPort | default 8888 | int) -}}
{{- $_ := set $get "path" "/healthz" -}}
{{- end -}}
{{- end -}}
{{- if $values.hostNetwork -}}
{{- $_ := set $get "host" "127.0.0.1" -}}
{{- end -}}
{{- with .probe.httpGet.httpHeaders -}}
{{- $_ := set $get "httpHeaders" . -}}
{{- end -}}
{{- $probe := pick .probe "failureThreshold" "initialDelaySeconds" "periodSeconds" "successThreshold" "timeoutSeconds" -}}
{{- toYaml (set $probe "httpGet" $get) -}}
{{- end -}}

{{- define "ksm.probes" -}}
{{- $values := .Values -}}
{{- $probes := dict -}}
{{- if $values.startupProbe.enabled -}}
{{- $probe := dict "root" . "probe" $values.startupProbe "path" "/healthz" "port" "http" -}}
{{- $_ := set $probes "startupProbe" (include "ksm.probe" $probe | fromYaml) -}}
{{- end -}}
{{- $liveness := dict "root" . "probe" $values.livenessProbe "path" "/livez" "port" "http" -}}
{{- $_ := set $probes "livenessProbe" (include "ksm.probe" $liveness | fromYaml) -}}
{{- $readiness := dict "root" . "probe" $values.readinessProbe "path" "/readyz" "port" "metrics" -}}
{{- $_ := set $probes "readinessProbe" (include "ksm.probe" $readiness | fromYaml) -}}
{{- toYaml $probes -}}
{{- end -}}
