{{/* Fails if values are invalid, and states how to correct them. Every template calls this template first, so that
users see its messages instead of other errors. */}}

{{- define "ksm.checks" -}}
{{- include "ksm.checkLevels" . -}}
{{- include "ksm.checkImage" . -}}
{{- if and .Values.autosharding.enabled .Values.daemonsetSharding.enabled -}}
{{- fail "autosharding.enabled and daemonsetSharding.enabled cannot be combined; set one of them to false" -}}
{{- end -}}
{{- if and .Values.highAvailability.enabled (or .Values.autosharding.enabled .Values.daemonsetSharding.enabled) -}}
{{- fail "highAvailability.enabled cannot be combined with autosharding.enabled or daemonsetSharding.enabled; set one of them to false" -}}
{{- end -}}
{{- if and .Values.highAvailability.enabled .Values.prometheus.scrapeconfig.enabled -}}
{{- fail "highAvailability.enabled needs a scrape of each replica, but prometheus.scrapeconfig.enabled scrapes the address of the Service; set prometheus.monitor.enabled instead" -}}
{{- end -}}
{{- if and .Values.highAvailability.enabled (ne (.Values.updateStrategy | default "RollingUpdate") "RollingUpdate") -}}
{{- fail "highAvailability.enabled needs a replica that takes over during a rollout, but updateStrategy: Recreate stops all replicas first; remove updateStrategy" -}}
{{- end -}}
{{- if and .Values.rbac.create (not .Values.rbac.useClusterRole) (not (include "ksm.namespaces" .)) -}}
{{- fail "rbac.useClusterRole is false, so the permissions are Roles in the watched namespaces; set `namespaces` or `releaseNamespace`" -}}
{{- end -}}
{{- include "ksm.checkResources" . -}}
{{- end -}}

{{/* Checks that all values that the templates need exist. */}}
{{- define "ksm.checkLevels" -}}
{{- if hasKey .Values "kube-state-metrics" -}}
{{- fail "the values are below the key kube-state-metrics, as for kube-prometheus-stack, so they have no effect; move them to the top level" -}}
{{- end -}}
{{- $needed := list
  "image.repository" "global" "highAvailability.enabled" "autosharding.enabled" "daemonsetSharding.enabled" "readiness" "customResourceState.key"
  "authFilter" "kubeconfig" "selfMonitor" "service.ipDualStack" "rbac.useClusterRole" "rbac.customResourceState"
  "serviceAccount.create" "kubeRBACProxy.enabled" "kubeRBACProxy.image.repository" "prometheus.monitor.http"
  "prometheus.monitor.metrics" "prometheus.scrapeconfig" "prometheusRule" "dashboards" "networkPolicy"
  "verticalPodAutoscaler" "size" "securityContext" "startupProbe.httpGet.scheme" "livenessProbe.httpGet.scheme"
  "readinessProbe.httpGet.scheme" "test"
-}}
{{- range $path := $needed -}}
{{- $value := $.Values -}}
{{- $at := "" -}}
{{- range $key := splitList "." $path -}}
{{- $at = trimPrefix "." (printf "%s.%s" $at $key) -}}
{{- if or (not (hasKey $value $key)) (kindIs "invalid" (get $value $key)) -}}
{{- fail (printf "the value %s is missing. `helm upgrade --reuse-values` does not add the values of a new chart: use --reset-then-reuse-values (Helm 3.14 or newer), or pass your values file with --values. If the values file sets %s to null, remove the key" $at $at) -}}
{{- end -}}
{{- $value = get $value $key -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Checks that the image is not an image of the Go program kube-state-metrics. */}}
{{- define "ksm.checkImage" -}}
{{- $image := .Values.image -}}
{{- $name := trimPrefix "/" (printf "%s/%s" (.Values.global.imageRegistry | default $image.registry | default "") $image.repository) -}}
{{- $tag := toString ($image.tag | default "") -}}
{{- $own := .Chart.AppVersion -}}
{{- $isGoImage := regexMatch "(^|/)(kube-state-metrics|bitnami|bitnamilegacy|coreos|rancher)/(mirrored-)?kube-state-metrics(-kube-state-metrics)?$" $name -}}
{{- /* In a mirror registry, an image may have any path. So only the tag shows whether it is the Rust program. */ -}}
{{- $isGoName := regexMatch "(^|/)(mirrored-)?kube-state-metrics(-kube-state-metrics)?$" $name -}}
{{- $isOwnTag := or (eq $tag $own) (regexMatch "^v?0\\." $tag) -}}
{{- /* The Go program has the major versions 1 and 2. */ -}}
{{- $major := regexFind "^[0-9]+" (trimPrefix "v" $tag) -}}
{{- $isGoTag := and (regexMatch "^v?[12]\\.[0-9]+" $tag) (gt (int $major) (int (regexFind "^[0-9]+" $own))) -}}
{{- if ne (toString $image.refuseGoProgram) "false" -}}
{{- $cure := printf "Remove image.registry, image.repository, image.tag and image.sha from the values, or set them to your copy of kube-state-metrics-rs:%s. If the image is the Rust program, set image.refuseGoProgram to false" $own -}}
{{- if or $isGoImage (and $isGoName (not $isOwnTag)) -}}
{{- fail (printf "the image %s has the name of the Go program kube-state-metrics, but this chart is for the Rust program. %s" (trimSuffix ":" (printf "%s:%s" $name $tag)) $cure) -}}
{{- else if $isGoTag -}}
{{- fail (printf "the tag of the image %s:%s is a version of the Go program kube-state-metrics, but this chart is for the Rust program. %s" $name $tag $cure) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Checks the names of resources. */}}
{{- define "ksm.checkResources" -}}
{{- $known := .Files.Get "files/resources.yaml" | fromYaml -}}
{{- $available := keys $known | sortAlpha | join ", " -}}
{{- range $key := list "collectors" "collectorsExclude" "collectorsExtra" -}}
{{- if kindIs "map" (get $.Values $key) -}}
{{- fail (printf "%s is a map, as in old versions of the community chart; write a list, such as %s: [pods, nodes]" $key $key) -}}
{{- end -}}
{{- end -}}
{{- range include "ksm.collectors" . | fromYamlArray -}}
{{- if not (hasKey $known .) -}}
{{- fail (printf "collectors: there is no resource %s; available: %s" . $available) -}}
{{- end -}}
{{- end -}}
{{- range $name := keys (.Values.joinLabels | default dict) | sortAlpha -}}
{{- if not (or (eq $name "*") (hasKey $known $name) $.Values.customResourceState.enabled) -}}
{{- fail (printf "joinLabels: there is no resource %s; use * for all resources, or one of: %s" $name $available) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "metricLabelsAllowlist" "metricAnnotationsAllowList" -}}
{{- /* The name of a resource precedes each list of keys: `pods=[team],nodes=[*]`. */ -}}
{{- range regexFindAll "[^],=[]*=\\[" (join "," (get $.Values $key | default list)) -1 -}}
{{- $name := trimSuffix "=[" . | trim -}}
{{- if not (or (eq $name "*") (hasKey $known $name)) -}}
{{- fail (printf "%s: there is no resource %s; use * for all resources, or one of: %s" $key $name $available) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The paths of the user's values that the chart does not have, as a list. The parameter has the keys values, known
and prefix. */}}
{{- define "ksm.unknownValues" -}}
{{- $unknown := list -}}
{{- $known := .known -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .values -}}
{{- $path := printf "%s%s" $prefix $key -}}
{{- if not (hasKey $known $path) -}}
{{- $unknown = append $unknown $path -}}
{{- else if and (eq (get $known $path) "map") (kindIs "map" $value) -}}
{{- $inner := dict "values" $value "known" $known "prefix" (printf "%s." $path) -}}
{{- $unknown = concat $unknown (include "ksm.unknownValues" $inner | fromYamlArray) -}}
{{- end -}}
{{- end -}}
{{- toYaml $unknown -}}
{{- end -}}

{{/* The endpoints of the ServiceMonitor that Prometheus would scrape without HTTPS, as a list. */}}
{{- define "ksm.plainEndpoints" -}}
{{- $monitor := .Values.prometheus.monitor -}}
{{- $plain := list -}}
{{- range $port := ternary (list "http" "metrics") (list "http") (.Values.selfMonitor.enabled | default false) -}}
{{- $own := get $monitor $port -}}
{{- $scheme := get $own "scheme" | default (get $monitor "scheme") | default "http" -}}
{{- if ne (lower $scheme) "https" -}}
{{- $plain = append $plain (printf "prometheus.monitor.%s" $port) -}}
{{- end -}}
{{- end -}}
{{- toYaml $plain -}}
{{- end -}}

{{/* The text of NOTES.txt about values that have no effect, or that do not match. */}}
{{- define "ksm.warnings" -}}
{{- $known := .Files.Get "files/values.yaml" | fromYaml -}}
{{- with include "ksm.unknownValues" (dict "values" .Values "known" $known "prefix" "") | fromYamlArray }}

WARNING: the chart does not have these values, so they have no effect: {{ join ", " . }}.
docs/reference/helm-values.md lists the values of the chart.
{{- end }}
{{- if .Values.prometheus.monitor.namespace }}

WARNING: prometheus.monitor.namespace has no effect: the ServiceMonitor is in the namespace of the other objects.
{{- end }}
{{- if and .Values.kubeRBACProxy.enabled .Values.prometheus.monitor.enabled }}
{{- with include "ksm.plainEndpoints" . | fromYamlArray }}

WARNING: with kubeRBACProxy.enabled, a scrape needs HTTPS and a token, but the ServiceMonitor has no scheme `https` for
these endpoints: {{ join ", " . }}.
Set the values scheme, bearerTokenFile and tlsConfig of each endpoint. docs/how-to/migrate.md has an example.
{{- end }}
{{- end }}
{{- end -}}
