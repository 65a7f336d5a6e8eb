{{/* The arguments of the exporter, and templates that compute single arguments. */}}

{{/* The collectors, without those of `collectorsExclude` and with those of `collectorsExtra`, as a list. */}}
{{- define "ksm.collectors" -}}
{{- $lists := dict -}}
{{- range $key := list "collectors" "collectorsExclude" "collectorsExtra" -}}
{{- $value := get $.Values $key | default list -}}
{{- $_ := set $lists $key (ternary $value (list $value) (kindIs "slice" $value)) -}}
{{- end -}}
{{- $kept := list -}}
{{- range $lists.collectors -}}
{{- if not (has . $lists.collectorsExclude) -}}
{{- $kept = append $kept . -}}
{{- end -}}
{{- end -}}
{{- concat $kept $lists.collectorsExtra | uniq | toYaml -}}
{{- end -}}

{{/* The watched namespaces, separated by commas. The text is empty if all namespaces are watched. */}}
{{- define "ksm.namespaces" -}}
{{- $namespaces := list -}}
{{- range splitList "," (join "," (.Values.namespaces | default list)) -}}
{{- $namespaces = append $namespaces (tpl . $) -}}
{{- end -}}
{{- if .Values.releaseNamespace -}}
{{- $namespaces = append $namespaces (include "ksm.namespace" .) -}}
{{- end -}}
{{- without $namespaces "" | uniq | join "," -}}
{{- end -}}

{{/* The joined labels in the notation of the flag `--join-labels`. */}}
{{- define "ksm.joinLabels" -}}
{{- $joins := list -}}
{{- $values := .Values.joinLabels | default dict -}}
{{- range $resource := keys $values | sortAlpha -}}
{{- with get $values $resource -}}
{{- $joins = append $joins (printf "%s=[%s]" $resource (join "," .)) -}}
{{- end -}}
{{- end -}}
{{- join "," $joins -}}
{{- end -}}

{{/* The main port and the telemetry port. */}}
{{- define "ksm.port" -}}
{{- ternary .Values.kubeRBACProxy.port (.Values.service.port | default 8080) .Values.kubeRBACProxy.enabled | int -}}
{{- end -}}
{{- define "ksm.telemetryPort" -}}
{{- ternary 9091 (.Values.selfMonitor.telemetryPort | default 8081) .Values.kubeRBACProxy.enabled | int -}}
{{- end -}}

{{/* The arguments of the program as a list. The parameter has the keys root, collectors, custom (whether the workload
exports custom resources) and more (further arguments). */}}
{{- define "ksm.arguments" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $args := $values.extraArgs | default list -}}
{{- if $values.kubeRBACProxy.enabled -}}
{{- $args = append $args "--host=127.0.0.1" -}}
{{- end -}}
{{- $args = append $args (printf "--port=%s" (include "ksm.port" $root)) -}}
{{- $lists := list
  (list "--resources" .collectors)
  (list "--metric-labels-allowlist" $values.metricLabelsAllowlist)
  (list "--metric-annotations-allowlist" $values.metricAnnotationsAllowList)
  (list "--join-labels" (include "ksm.joinLabels" $root))
  (list "--metric-allowlist" $values.metricAllowlist)
  (list "--metric-denylist" $values.metricDenylist)
  (list "--namespaces" (include "ksm.namespaces" $root))
  (list "--namespaces-denylist" (tpl (join "," ($values.namespacesDenylist | default list)) $root))
-}}
{{- range $lists -}}
{{- $text := join "," (last . | default list) -}}
{{- if $text -}}
{{- $args = append $args (printf "%s=%s" (first .) $text) -}}
{{- end -}}
{{- end -}}
{{- if $values.autosharding.enabled -}}
{{- $args = concat $args (list "--pod=$(POD_NAME)" "--pod-namespace=$(POD_NAMESPACE)") -}}
{{- end -}}
{{- if $values.highAvailability.enabled -}}
{{- $args = concat $args (list "--ha" (printf "--ha-lease-name=%s" (include "ksm.fullname" $root))) -}}
{{- /* Without this flag, an exporter with a kubeconfig would use the namespace of the kubeconfig's context. */ -}}
{{- if or $values.kubeconfig.enabled $values.highAvailability.leaseNamespace -}}
{{- $args = append $args (printf "--ha-namespace=%s" (include "ksm.leaseNamespace" $root)) -}}
{{- end -}}
{{- if ne (toString $values.highAvailability.leaseDuration) "15s" -}}
{{- $args = append $args (printf "--ha-lease-duration=%s" $values.highAvailability.leaseDuration) -}}
{{- end -}}
{{- if ne (toString $values.highAvailability.onOutage) "keep" -}}
{{- $args = append $args (printf "--ha-on-outage=%s" $values.highAvailability.onOutage) -}}
{{- end -}}
{{- end -}}
{{- if $values.kubeconfig.enabled -}}
{{- $args = append $args "--kubeconfig=/opt/k8s/.kube/config" -}}
{{- end -}}
{{- $telemetryHost := ternary "127.0.0.1" ($values.selfMonitor.telemetryHost | default "") $values.kubeRBACProxy.enabled -}}
{{- if $telemetryHost -}}
{{- $args = append $args (printf "--telemetry-host=%s" $telemetryHost) -}}
{{- end -}}
{{- if or $values.kubeRBACProxy.enabled $values.selfMonitor.telemetryPort -}}
{{- $args = append $args (printf "--telemetry-port=%s" (include "ksm.telemetryPort" $root)) -}}
{{- end -}}
{{- if and .custom $values.customResourceState.enabled -}}
{{- $file := printf "/etc/customresourcestate/%s" $values.customResourceState.key -}}
{{- $args = append $args (printf "--custom-resource-state-config-file=%s" $file) -}}
{{- end -}}
{{- if $values.authFilter.enabled -}}
{{- $args = append $args "--auth-filter" -}}
{{- end -}}
{{- if and $values.autosharding.enabled $values.autosharding.handover -}}
{{- $args = append $args (printf "--shard-handover=%s" $values.autosharding.handover) -}}
{{- end -}}
{{- if ne ($values.readiness.policy | default "default") "default" -}}
{{- $args = append $args (printf "--readiness=%s" $values.readiness.policy) -}}
{{- end -}}
{{- with $values.readiness.deadline -}}
{{- $args = append $args (printf "--readiness-deadline=%s" .) -}}
{{- end -}}
{{- concat $args .more | toYaml -}}
{{- end -}}
