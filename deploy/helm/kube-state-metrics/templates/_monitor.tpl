{{/* Templates for the objects of the Prometheus Operator. */}}

{{/* The limits of a scrape that the values set. */}}
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

{{/* The relabeling of the metrics of objects, as a list. The rules remove labels that name the pod of the
exporter, so series continue when another replica takes over. As with honorLabels, the labels of the samples take
precedence. */}}
{{- define "ksm.stableSeries" -}}
- targetLabel: __tmp_object
  replacement: "true"
- sourceLabels: [__name__]
  regex: kube_state_metrics_.+
  targetLabel: __tmp_object
  replacement: ""
- sourceLabels: [__tmp_object]
  regex: "true"
  targetLabel: instance
  replacement: {{ include "ksm.fullname" . | quote }}
{{- range list "pod" "container" "service" "endpoint" }}
- sourceLabels: [__tmp_object]
  regex: "true"
  targetLabel: {{ . }}
  replacement: ""
{{- end }}
- action: labelmap
  regex: exported_(cluster|container|endpoint|instance|job|namespace|node|pod|service)
- action: labeldrop
  regex: __tmp_object|exported_(cluster|container|endpoint|instance|job|namespace|node|pod|service)
{{- end -}}

{{/* The relabeling of targets for `ksm.stableSeries`, as a list. Each target gets these labels if it does not have
them. So Prometheus renames the labels of samples with the same names, for example pod to exported_pod. */}}
{{- define "ksm.stableTargets" -}}
{{- range list "pod" "container" "service" "endpoint" }}
- sourceLabels: [{{ . }}]
  regex: ^$
  targetLabel: {{ . }}
  replacement: kube-state-metrics
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
{{- $availability := .root.Values.highAvailability -}}
{{- if and (eq .port "http") $availability.enabled $availability.stableSeries -}}
{{- $stable := include "ksm.stableSeries" .root | fromYamlArray -}}
{{- $_ := set $endpoint "metricRelabelings" (concat $stable (get $endpoint "metricRelabelings" | default list)) -}}
{{- $_ := unset $endpoint "honorLabels" -}}
{{- $targets := include "ksm.stableTargets" .root | fromYamlArray -}}
{{- $_ := set $endpoint "relabelings" (concat (get $endpoint "relabelings" | default list) $targets) -}}
{{- end -}}
{{- with concat (get $endpoint "relabelings" | default list) (include "ksm.clusterRelabeling" .root | fromYamlArray) -}}
{{- $_ := set $endpoint "relabelings" . -}}
{{- end -}}
{{- toYaml $endpoint -}}
{{- end -}}
