{{/* The pods of all workloads. */}}

{{/* The value `resources`. If the value is empty, the template computes requests and limits for a number of pods, from
the measurements in docs/explanation/performance.md. The parameter has the keys root and pods. */}}
{{- define "ksm.resources" -}}
{{- $pods := int .pods -}}
{{- if and (empty .root.Values.resources) (gt $pods 0) -}}
{{- $memory := add 32 (div (mul 3 $pods) 1024) -}}
{{- $cpu := max 50 (div $pods 100) -}}
{{- dict "requests" (dict "cpu" (printf "%dm" $cpu) "memory" (printf "%dMi" $memory))
  "limits" (dict "memory" (printf "%dMi" (mul 2 $memory))) | toYaml -}}
{{- else -}}
{{- toYaml .root.Values.resources -}}
{{- end -}}
{{- end -}}

{{/* A container of kube-rbac-proxy. The parameter has the keys root, name, port, upstream, endpoints and portName. */}}
{{- define "ksm.proxy" -}}
{{- $values := .root.Values.kubeRBACProxy -}}
{{- $args := $values.extraArgs | default list -}}
{{- if $values.ignoreProbePaths -}}
{{- $args = append $args "--ignore-paths=/livez,/readyz" -}}
{{- end -}}
name: {{ .name }}
image: {{ include "ksm.imageName" (dict "root" .root "image" $values.image "tag" "v0.22.1") }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args:
  {{- range $args }}
  - {{ . | quote }}
  {{- end }}
  - --secure-listen-address=:{{ .port }}
  - --upstream=http://127.0.0.1:{{ .upstream }}/
  - --proxy-endpoints-port={{ .endpoints }}
  - --config-file=/etc/kube-rbac-proxy-config/config-file.yaml
ports:
  - name: {{ .portName }}
    containerPort: {{ .port }}
  - name: {{ .portName }}-healthz
    containerPort: {{ .endpoints }}
readinessProbe:
  httpGet:
    scheme: HTTPS
    port: {{ .portName }}-healthz
    path: /healthz
    {{- if .root.Values.hostNetwork }}
    host: 127.0.0.1
    {{- end }}
  initialDelaySeconds: 5
  timeoutSeconds: 5
volumeMounts:
  - name: kube-rbac-proxy-config
    mountPath: /etc/kube-rbac-proxy-config
  {{- with $values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Environment variables from fields of the pod, and those of `env`. `fields` has pairs of name and path. */}}
{{- define "ksm.environment" -}}
{{- $env := list -}}
{{- range .fields -}}
{{- $from := dict "fieldRef" (dict "fieldPath" (last .)) -}}
{{- $env = append $env (dict "name" (first .) "valueFrom" $from) -}}
{{- end -}}
{{- concat $env (.root.Values.env | default list) | toYaml -}}
{{- end -}}

{{/* Volumes and their mounts. The parameter has the keys root and custom. */}}
{{- define "ksm.volumes" -}}
{{- $fullname := include "ksm.fullname" .root -}}
{{- $volumes := list -}}
{{- if .root.Values.kubeconfig.enabled -}}
{{- $source := dict "secretName" (printf "%s-kubeconfig" $fullname) -}}
{{- $volumes = append $volumes (dict "name" "kubeconfig" "secret" $source) -}}
{{- end -}}
{{- if .root.Values.kubeRBACProxy.enabled -}}
{{- $source := dict "name" (printf "%s-rbac-config" $fullname) -}}
{{- $volumes = append $volumes (dict "name" "kube-rbac-proxy-config" "configMap" $source) -}}
{{- end -}}
{{- if and .custom .root.Values.customResourceState.enabled -}}
{{- $source := dict "name" (include "ksm.customResourcesName" .root) -}}
{{- $volumes = append $volumes (dict "name" "customresourcestate-config" "configMap" $source) -}}
{{- end -}}
{{- concat $volumes (.root.Values.volumes | default list) | toYaml -}}
{{- end -}}

{{- define "ksm.volumeMounts" -}}
{{- $mounts := list -}}
{{- if .root.Values.kubeconfig.enabled -}}
{{- $mounts = append $mounts (dict "name" "kubeconfig" "mountPath" "/opt/k8s/.kube/" "readOnly" true) -}}
{{- end -}}
{{- if and .custom .root.Values.customResourceState.enabled -}}
{{- $mount := dict "name" "customresourcestate-config" "mountPath" "/etc/customresourcestate" "readOnly" true -}}
{{- $mounts = append $mounts $mount -}}
{{- end -}}
{{- concat $mounts (.root.Values.volumeMounts | default list) | toYaml -}}
{{- end -}}

{{/* The affinity of the pods. With `highAvailability.enabled`, the replicas prefer different nodes. */}}
{{- define "ksm.affinity" -}}
{{- if .Values.highAvailability.enabled -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "ksm.selector" . | fromYaml)) -}}
{{- $preferred := list (dict "weight" 100 "podAffinityTerm" $term) -}}
{{- dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $preferred) | toYaml -}}
{{- end -}}
{{- end -}}

{{/* The pod template. The parameter has the keys root, account, collectors, custom, more, fields, labels, tolerations,
resources and pods (the number of pods that a replica exports). */}}
{{- define "ksm.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $labels := mergeOverwrite (include "ksm.labels" $root | fromYaml) .labels ($values.podLabels | default dict) -}}
metadata:
  labels:
    {{- toYaml $labels | nindent 4 }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: {{ $values.automountServiceAccountToken }}
  serviceAccountName: {{ .account }}
  hostNetwork: {{ $values.hostNetwork }}
  {{- if kindIs "bool" $values.hostUsers }}
  hostUsers: {{ $values.hostUsers }}
  {{- end }}
  {{- if $values.securityContext.enabled }}
  securityContext:
    {{- omit $values.securityContext "enabled" | toYaml | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  dnsPolicy: {{ $values.dnsPolicy }}
  {{- with $values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ include "ksm.name" $root }}
      image: {{ include "ksm.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        {{- include "ksm.arguments" . | nindent 8 }}
      {{- with include "ksm.environment" . | fromYamlArray }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if not $values.kubeRBACProxy.enabled }}
      ports:
        - name: http
          containerPort: {{ include "ksm.port" $root }}
        - name: metrics
          containerPort: {{ include "ksm.telemetryPort" $root }}
      {{- end }}
      {{- include "ksm.probes" $root | nindent 6 }}
      {{- with include "ksm.volumeMounts" . | fromYamlArray }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- .resources | default (include "ksm.resources" (dict "root" $root "pods" .pods)) | nindent 8 }}
      {{- with $values.containerSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- if $values.kubeRBACProxy.enabled }}
    {{- $endpoints := $values.kubeRBACProxy.proxyEndpointsPort | default 8888 | int }}
    {{- $proxy := dict "root" $root "name" "kube-rbac-proxy-http" "portName" "http"
      "port" ($values.service.port | default 8080 | int) "upstream" (include "ksm.port" $root) "endpoints" $endpoints }}
    - {{- include "ksm.proxy" $proxy | nindent 6 }}
    {{- if $values.selfMonitor.enabled }}
    {{- $proxy := dict "root" $root "name" "kube-rbac-proxy-telemetry" "portName" "metrics"
      "port" ($values.selfMonitor.telemetryPort | default 8081 | int) "upstream" (include "ksm.telemetryPort" $root)
      "endpoints" 8889 }}
    - {{- include "ksm.proxy" $proxy | nindent 6 }}
    {{- end }}
    {{- end }}
    {{- with $values.containers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "ksm.pullSecrets" (dict "root" $root "secrets" $values.imagePullSecrets) | fromYamlArray }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity | default (include "ksm.affinity" $root | fromYaml) }}
  affinity:
    {{- if kindIs "string" . }}
    {{- tpl . $root | nindent 4 }}
    {{- else }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with concat ($values.tolerations | default list) .tolerations }}
  tolerations:
    {{- tpl (toYaml .) $root | nindent 4 }}
  {{- end }}
  {{- with $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "ksm.volumes" . | fromYamlArray }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
