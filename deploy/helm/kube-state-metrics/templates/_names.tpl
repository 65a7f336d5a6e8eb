{{/* Names and labels. */}}

{{- define "ksm.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "ksm.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "ksm.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* The namespace of the Lease. */}}
{{- define "ksm.leaseNamespace" -}}
{{- .Values.highAvailability.leaseNamespace | default (include "ksm.namespace" .) -}}
{{- end -}}

{{- define "ksm.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "ksm.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "ksm.selector" -}}
{{- $own := dict "app.kubernetes.io/name" (include "ksm.name" .) "app.kubernetes.io/instance" .Release.Name -}}
{{- toYaml (.Values.selectorOverride | default $own) -}}
{{- end -}}

{{- define "ksm.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/component" "metrics"
  "app.kubernetes.io/part-of" (include "ksm.name" .)
  "app.kubernetes.io/version" .Chart.AppVersion
-}}
{{- if .Values.releaseLabel -}}
{{- $_ := set $labels "release" .Release.Name -}}
{{- end -}}
{{- $custom := tpl (toYaml (.Values.customLabels | default dict)) . | fromYaml -}}
{{- toYaml (mergeOverwrite $labels (include "ksm.selector" . | fromYaml) $custom) -}}
{{- end -}}

{{/* The metadata of a pod of `helm test`. The parameter has the keys root and name. */}}
{{- define "ksm.testMetadata" -}}
name: {{ include "ksm.fullname" .root | trunc 50 | trimSuffix "-" }}-test-{{ .name }}
namespace: {{ include "ksm.namespace" .root }}
labels:
  app.kubernetes.io/name: {{ include "ksm.name" .root }}-test
  app.kubernetes.io/instance: {{ .root.Release.Name }}
annotations:
  helm.sh/hook: test
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The name of the ConfigMap with the configuration of custom resources. */}}
{{- define "ksm.customResourcesName" -}}
{{- .Values.customResourceState.name | default (printf "%s-customresourcestate-config" (include "ksm.fullname" .)) -}}
{{- end -}}

{{/* The name of an image. The parameter has the keys image, root and tag (the default tag). */}}
{{- define "ksm.imageName" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .image.repository }}:{{ .image.tag | default .tag -}}
{{- with .image.sha }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "ksm.image" -}}
{{- include "ksm.imageName" (dict "root" . "image" .Values.image "tag" .Chart.AppVersion) -}}
{{- end -}}

{{/* Pull secrets as a list of objects. If an item of the values is a text, it is the name of a secret. */}}
{{- define "ksm.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.root.Values.global.imagePullSecrets | default list) (.secrets | default list) -}}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end -}}
