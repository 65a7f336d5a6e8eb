{{/* Parts of the objects of the Prometheus Operator. */}}

{{/* The limits of a scrape that are set. */}}
{{- define "ksm.limits" -}}
{{- $limits := dict -}}
{{- range $key := list "sampleLimit" "targetLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" -}}
{{- with get $ $key -}}
{{- $_ := set $limits $key . -}}
{{- end -}}
{{- end -}}
{{- toYaml $limits -}}
{{- end -}}

{{/* The relabeling that sets the label `cluster`, as a list. */}}
{{- define "ksm.clusterRelabeling" -}}
{{- if .Values.cluster -}}
{{- list (dict "targetLabel" "cluster" "replacement" .Values.cluster) | toYaml -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* An endpoint of a ServiceMonitor. A setting of the port takes precedence over the setting for all ports. The
parameter has the keys root, port and own (the settings of the port). */}}
{{- define "ksm.endpoint" -}}
{{- $all := .root.Values.prometheus.monitor -}}
{{- $endpoint := dict "port" .port -}}
{{- $keys := list "interval" "scrapeTimeout" "proxyUrl" "enableHttp2" "honorLabels" "metricRelabelings" "relabelings"
  "scheme" "bearerTokenFile" "bearerTokenSecret" "tlsConfig" -}}
{{- $own := .own -}}
{{- range $key := $keys -}}
{{- with get $own $key | default (get $all $key) -}}
{{- $_ := set $endpoint $key . -}}
{{- end -}}
{{- end -}}
{{- with concat (get $endpoint "relabelings" | default list) (include "ksm.clusterRelabeling" .root | fromYamlArray) -}}
{{- $_ := set $endpoint "relabelings" . -}}
{{- end -}}
{{- toYaml $endpoint -}}
{{- end -}}
