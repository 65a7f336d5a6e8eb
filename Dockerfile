# Builds an image that contains a static binary and no operating system, for the platform of the machine (amd64 or
# arm64):
#   docker build -t kube-state-metrics-rs:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
# docs/how-to/build.md explains how the program is linked, and how to build for the other platform.
#
# The digest of the base image is that of the index of all platforms. Dependabot updates the digest.
FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
WORKDIR /src
COPY . .
ARG REVISION=unknown
ARG BRANCH=unknown
ENV BUILD_REVISION=$REVISION BUILD_BRANCH=$BRANCH
# The flag links the C library statically. With `--target`, the flag does not apply to programs that run in the build.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN target="$(rustc --print host-tuple)" \
    && cargo build --profile dist --locked -p kube-state-metrics-exporter --target "$target" \
    && cp "target/$target/dist/kube-state-metrics" /kube-state-metrics

FROM scratch
# Some API servers have a certificate that a public authority signed, so the image contains the public authorities. In a
# pod, the service account provides the certificate of the cluster's authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /kube-state-metrics /kube-state-metrics
USER 65534:65534
EXPOSE 8080 8081
ENTRYPOINT ["/kube-state-metrics", "--port=8080", "--telemetry-port=8081"]
