{{/* Fails if values are invalid, and states how to correct them. */}}

{{- define "ksm.checks" -}}
{{- $image := .Values.image -}}
{{- $name := trimPrefix "/" (printf "%s/%s" (.Values.global.imageRegistry | default $image.registry) $image.repository) -}}
{{- $goRepository := regexMatch "(^|/)(kube-state-metrics|bitnami|bitnamilegacy|coreos|rancher)/(mirrored-)?kube-state-metrics(-kube-state-metrics)?$" $name -}}
{{- $goTag := regexMatch "^v?[12]\\.[0-9]+" (toString $image.tag) -}}
{{- if or $goRepository $goTag -}}
{{- fail (printf "the image %s:%s is the Go program kube-state-metrics, but this chart is for the Rust program. Remove image.registry, image.repository, image.tag and image.sha from the values, or set them to your copy of %s:%s" $name (toString $image.tag) "kube-state-metrics-rs" .Chart.AppVersion) -}}
{{- end -}}
{{- if and .Values.autosharding.enabled .Values.daemonsetSharding.enabled -}}
{{- fail "autosharding.enabled and daemonsetSharding.enabled cannot be combined; set one of them to false" -}}
{{- end -}}
{{- if and .Values.rbac.create (not .Values.rbac.useClusterRole) (not (include "ksm.namespaces" .)) -}}
{{- fail "rbac.useClusterRole is false, so the permissions are Roles in the watched namespaces; set `namespaces` or `releaseNamespace`" -}}
{{- end -}}
{{- $known := .Files.Get "files/resources.yaml" | fromYaml -}}
{{- range include "ksm.collectors" . | fromYamlArray -}}
{{- if not (hasKey $known .) -}}
{{- fail (printf "collectors: there is no resource %s; available: %s" . (keys $known | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
