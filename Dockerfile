# Builds an image that contains a static binary and no operating system, for the platform of the machine (amd64 or
# arm64):
#   docker build -t kube-state-metrics-rs:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
# docs/how-to/build.md explains how the program is linked, and how to build for the other platform.
#
# The digest of the base image is that of the index of all platforms. Dependabot updates the digest.
FROM rust:1.95.0-alpine3.23@sha256:606fd313a0f49743ee2a7bd49a0914bab7deedb12791f3a846a34a4711db7ed2 AS build
# The cryptography library aws-lc is written in C and assembly. Its crate contains prepared bindings for musl, so the
# build needs only a C compiler.
RUN apk add --no-cache gcc musl-dev
WORKDIR /src
COPY . .
ARG REVISION=unknown
ARG BRANCH=unknown
ENV BUILD_REVISION=$REVISION BUILD_BRANCH=$BRANCH
RUN cargo build --profile dist --locked -p kube-state-metrics-exporter

FROM scratch
# Some API servers have a certificate that a public authority signed, so the image contains the public authorities. In a
# pod, the service account provides the certificate of the cluster's authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/kube-state-metrics /kube-state-metrics
USER 65534:65534
EXPOSE 8080 8081
ENTRYPOINT ["/kube-state-metrics", "--port=8080", "--telemetry-port=8081"]
