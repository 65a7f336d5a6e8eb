{{/* The rules that `kube-state-metrics rbac` prints for the same arguments. */}}

{{/* Rules that list and watch resources. The parameter is a list of pairs of group and resource. */}}
{{- define "ksm.watchRules" -}}
{{- $groups := dict -}}
{{- range . -}}
{{- $group := first . -}}
{{- $_ := set $groups $group (append (get $groups $group | default list) (last .) | uniq | sortAlpha) -}}
{{- end -}}
{{- $rules := list -}}
{{- range $group := keys $groups | sortAlpha -}}
{{- $rule := dict "apiGroups" (list $group) "resources" (get $groups $group) "verbs" (list "list" "watch") -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* The plural name of a kind. The template guesses the name in the same way as the exporter. */}}
{{- define "ksm.plural" -}}
{{- $kind := lower . -}}
{{- if regexMatch "(s|x|z|ch|sh)$" $kind -}}
{{- printf "%ses" $kind -}}
{{- else if regexMatch "[^aeiou]y$" $kind -}}
{{- printf "%sies" (trimSuffix "y" $kind) -}}
{{- else -}}
{{- printf "%ss" $kind -}}
{{- end -}}
{{- end -}}

{{/* The configured kinds as a list of pairs of group and resource. */}}
{{- define "ksm.customResources" -}}
{{- $pairs := list -}}
{{- $state := .Values.customResourceState -}}
{{- if and $state.enabled $state.create .Values.rbac.customResourceState.createClusterRoleRules -}}
{{- $config := ternary (fromYaml (toString $state.config)) $state.config (kindIs "string" $state.config) -}}
{{- range dig "spec" "resources" list ($config | default dict) -}}
{{- $type := .groupVersionKind | default dict -}}
{{- $kind := $type.kind | default "*" -}}
{{- $plural := .resourcePlural | default (ternary "*" (include "ksm.plural" $kind) (eq $kind "*")) -}}
{{- $pairs = append $pairs (list ($type.group | default "") $plural) -}}
{{- end -}}
{{- end -}}
{{- toYaml $pairs -}}
{{- end -}}

{{/* The resources from which labels are joined, as a list. The parameter has the keys root, collectors and custom. */}}
{{- define "ksm.joinSources" -}}
{{- $param := . -}}
{{- $custom := and .custom .root.Values.customResourceState.enabled -}}
{{- $sources := list -}}
{{- range $resource, $joins := .root.Values.joinLabels | default dict -}}
{{- if or $custom (eq $resource "*") (has $resource $param.collectors) -}}
{{- range splitList "," (join "," ($joins | default list)) -}}
{{- if regexMatch "^namespace[/@]" . -}}
{{- $sources = append $sources "namespaces" -}}
{{- else if regexMatch "^node[/@]" . -}}
{{- $sources = append $sources "nodes" -}}
{{- else if regexMatch "^workload[/@]" . -}}
{{- $sources = concat $sources (list "cronjobs" "daemonsets" "deployments" "jobs" "replicasets" "statefulsets") -}}
{{- else if hasPrefix "workload:" . -}}
{{- $sources = concat $sources (list "jobs" "replicasets") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $sources | uniq | toYaml -}}
{{- end -}}

{{/* Rules of a role. The parameter has the keys root, collectors and part (`all`, `cluster` or `namespaced`). */}}
{{- define "ksm.rules" -}}
{{- $root := .root -}}
{{- $part := .part -}}
{{- $values := .root.Values -}}
{{- $known := $root.Files.Get "files/resources.yaml" | fromYaml -}}
{{- $sources := include "ksm.joinSources" (pick . "root" "collectors" "custom") | fromYamlArray -}}
{{- $named := and (eq $part "cluster") (has "namespaces" $sources) (not (has "namespaces" .collectors)) -}}
{{- if $named -}}
{{- $sources = without $sources "namespaces" -}}
{{- end -}}
{{- $pairs := list -}}
{{- range concat .collectors $sources | uniq -}}
{{- $resource := get $known . -}}
{{- if or (eq $part "all") (eq $part (ternary "namespaced" "cluster" $resource.namespaced)) -}}
{{- $pairs = append $pairs (list $resource.group .) -}}
{{- end -}}
{{- end -}}
{{- $custom := .custom -}}
{{- if and $custom (ne $part "cluster") -}}
{{- $pairs = concat $pairs (include "ksm.customResources" $root | fromYamlArray) -}}
{{- end -}}
{{- $state := $values.customResourceState -}}
{{- if and $custom (ne $part "namespaced") $state.enabled $values.rbac.customResourceState.createClusterRoleRules -}}
{{- $pairs = append $pairs (list "apiextensions.k8s.io" "customresourcedefinitions") -}}
{{- end -}}
{{- $rules := include "ksm.watchRules" $pairs | fromYamlArray -}}
{{- if and (ne $part "namespaced") (or $values.authFilter.enabled $values.kubeRBACProxy.enabled) -}}
{{- $tokens := dict "apiGroups" (list "authentication.k8s.io") "resources" (list "tokenreviews") "verbs" (list "create") -}}
{{- $access := dict "apiGroups" (list "authorization.k8s.io") "resources" (list "subjectaccessreviews") "verbs" (list "create") -}}
{{- $rules = concat $rules (list $tokens $access) -}}
{{- end -}}
{{- if $named -}}
{{- /* The exporter lists and watches each of these namespaces by its name. */ -}}
{{- $names := without (splitList "," (include "ksm.namespaces" $root)) "" -}}
{{- $namespaces := dict "apiGroups" (list "") "resources" (list "namespaces") "resourceNames" $names "verbs" (list "list" "watch") -}}
{{- $rules = append $rules $namespaces -}}
{{- end -}}
{{- $rules = concat $rules (.extra | default list) -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* A role and its binding. The parameter has the keys root, name, namespace, account, rules, existing and
aggregation. */}}
{{- define "ksm.role" -}}
{{- $kind := ternary "Role" "ClusterRole" (ne .namespace "") -}}
{{- $metadata := dict "name" .name "labels" (include "ksm.labels" .root | fromYaml) -}}
{{- if .namespace -}}
{{- $_ := set $metadata "namespace" .namespace -}}
{{- end }}
{{- if not .existing }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- toYaml $metadata | nindent 2 }}
{{- if .aggregation }}
aggregationRule:
  clusterRoleSelectors:
    {{- toYaml .aggregation | nindent 4 }}
{{- else }}
rules:
  {{- toYaml .rules | nindent 2 }}
{{- end }}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- toYaml $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .existing | default .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ include "ksm.namespace" .root }}
{{- end -}}

{{/* The roles of a service account. If the permissions are by namespace, a Role in each namespace grants the
permissions on namespaced resources, and a ClusterRole grants the other permissions. The parameter has the keys root,
name, account, collectors, custom, extra, existing and aggregation. */}}
{{- define "ksm.roles" -}}
{{- $rbac := .root.Values.rbac }}
{{- $namespaces := without (splitList "," (include "ksm.namespaces" .root)) "" }}
{{- $perNamespace := or (not $rbac.useClusterRole) (and $rbac.minimal $namespaces) }}
{{- $role := pick . "root" "name" "account" "existing" }}
{{- $rules := pick . "root" "collectors" "custom" }}
{{- if $rbac.useClusterRole }}
{{- $part := ternary "cluster" "all" (not (empty $perNamespace)) }}
{{- $own := include "ksm.rules" (merge (dict "part" $part "extra" .extra) $rules) | fromYamlArray }}
{{- if or $own .existing .aggregation }}
{{- include "ksm.role" (merge (dict "namespace" "" "rules" $own "aggregation" .aggregation) $role) }}
{{- end }}
{{- end }}
{{- if $perNamespace }}
{{- $extra := ternary list .extra $rbac.useClusterRole }}
{{- $own := include "ksm.rules" (merge (dict "part" "namespaced" "extra" $extra) $rules) | fromYamlArray }}
{{- range $namespace := $namespaces }}
{{- include "ksm.role" (merge (dict "namespace" $namespace "rules" $own "aggregation" false) $role) }}
{{- end }}
{{- end }}
{{- end -}}
