# The program alone: no shell, no package manager, nothing to write to.
FROM golang:1.26.10 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY authz authz
COPY cmd cmd
COPY docs docs
COPY envoy envoy
COPY examples examples
COPY policy policy
COPY proto proto
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli.Version=${VERSION}" -o /hookbastion ./cmd/hookbastion

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /hookbastion /hookbastion
COPY LICENSE /LICENSE
# Policies are mounted at /etc/hookbastion/policies.
WORKDIR /etc/hookbastion
USER 65532:65532
EXPOSE 9001 9002
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/hookbastion", "healthcheck"]
ENTRYPOINT ["/hookbastion"]
CMD ["serve"]
