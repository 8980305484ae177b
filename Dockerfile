# syntax=docker/dockerfile:1
# The image: one program and what it is linked with, no shell, nobody's root.
#
#     docker build --tag countersign .
#     docker run --rm --read-only --tmpfs /var/lib/countersign:mode=1777 --env COUNTERSIGN__PROFILE=development \
#         --publish 50051:50051 --publish 8080:8080 countersign
#
# docs/deployment.md tells how to run it for real. Both bases are Debian 12, so that the program meets the C library that it
# was linked with; whoever mirrors images, or pins them by digest, names others here.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-slim-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /work

# The layer with everything that others wrote. It is built from manifests and empty sources, so that it is made anew only
# where those change, which is seldom, and not with each line of ours. What was built of the empty sources is thrown away
# again: cargo compares times of files, and those of the real ones may be older.
COPY Cargo.toml Cargo.lock ./
COPY clients/token/Cargo.toml clients/token/
COPY clients/rust/Cargo.toml clients/rust/
# hadolint ignore=DL4006 # what is on the left of the pipe cannot fail
RUN mkdir -p src benches/load clients/token/src clients/rust/src \
    && echo 'fn main() {}' | tee build.rs src/main.rs benches/load/main.rs clients/rust/build.rs >/dev/null \
    && touch src/lib.rs clients/token/src/lib.rs clients/rust/src/lib.rs \
    && cargo build --locked --profile dist --package countersign --bin countersign \
    && cargo clean --locked --profile dist --package countersign --package countersign-token

COPY build.rs ./
COPY proto proto
COPY migrations migrations
COPY clients/token/src clients/token/src
COPY src src
RUN cargo build --locked --profile dist --package countersign --bin countersign \
    && mkdir -p /image/usr/local/bin /image/var/lib/countersign \
    && cp target/dist/countersign /image/usr/local/bin/ \
    && /image/usr/local/bin/countersign config default >/dev/null

# The program alone, for releases: docker build --target program --output FOLDER .
FROM scratch AS program
COPY --from=build /image/usr/local/bin/countersign /countersign

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.description="An authentication service that other services talk to over gRPC" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The program, and a folder for the embedded database of a trial. With PostgreSQL nothing is ever written, and the root file
# system can be read-only.
COPY --from=build /image/usr/local/bin/countersign /usr/local/bin/countersign
COPY --from=build --chown=65532:65532 /image/var/lib/countersign /var/lib/countersign
WORKDIR /var/lib/countersign

# A container is reached from outside. In production what is missing is named, and nothing starts half configured.
ENV COUNTERSIGN__PROFILE=production \
    COUNTERSIGN__GRPC__LISTEN=0.0.0.0:50051 \
    COUNTERSIGN__HTTP__LISTEN=0.0.0.0:8080 \
    COUNTERSIGN__LOG__FORMAT=json
EXPOSE 50051 8080
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["countersign", "healthcheck"]
ENTRYPOINT ["countersign"]
CMD ["serve"]
