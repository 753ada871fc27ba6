# make help lists what there is. make demo and make test need Go, Python 3 with pip, and
# git. They fetch the pinned Envoy once, into .cache/; make test the providers' libraries
# as well, and Node.js where there is none.

GO ?= go
# the toolchain of go.mod, whatever go is installed
export GOTOOLCHAIN = auto
FUZZTIME ?= 30s
DOCKER ?= docker
IMAGE ?= hookbastion:$(VERSION)
CERTIFICATES ?= /etc/ssl/certs/ca-certificates.crt
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
ARCH ?= $(shell $(GO) env GOARCH)
# what other Envoys are tested with: deliveries and attacks, configurations that are printed,
# mutual TLS, rolling updates, the audit against what Envoy does
ENVOY_SLICE = ^Test(GeneratedConfiguration|GeneratedForAll|DemoAsRows|MutualTLS|ScaleDown|RollingUpdate|TextBodiesAreSeen|EnvoyExample|Readme|OddRequests|AppendingToAFullBody|FaultsInsideEndInADenial|PolicySwappedInMidCall|TheTreeOfADelivery|Traps)$$
BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli.Version=$(VERSION)"
GOLANGCI = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# stage says what is about to run, and when.
stage = @printf '\n== %s (%s)\n' '$(1)' "$$(date +%H:%M:%S)"

.PHONY: help build check test test-mesh test-envoys schemas demo lint portable image bench bench-compare bench-envoy overload anomalies chaos chaos-mutants soak timing audit-model models fuzz flips vulncheck reproducible licences release-check generate fetch envoy judges upstream redis prometheus collector h2spec browser clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "%-14s %s\n", $$1, $$2 }'

build: ## bin/hookbastion
	$(BUILD) -o bin/hookbastion ./cmd/hookbastion

demo: build envoy ## the main job, with a real Envoy
	bin/hookbastion demo

check: ## build, vet, quick tests, lint of what changed since BASE: offline, in two minutes when warm
	@GOLANGCI="$(GOLANGCI)" .ci/check

test: ## all tests, with the race detector, a real Envoy, Redis and the providers' libraries
	$(call stage,1 of 3: fetch what is not there yet into .cache/)
	@$(MAKE) --no-print-directory fetch
	$(call stage,2 of 3: all tests with the race detector: one line for each package)
	GORACE=atexit_sleep_ms=0 $(GO) test -race -timeout 20m ./...
	$(call stage,3 of 3: allocations: the race detector would count its own)
	$(GO) test -run Allocat ./authz/... ./envoy
	$(call stage,all is well)

test-mesh: envoy ## what envoy config prints, behind a real Envoy Gateway, which is built first: 5 to 7 minutes once, then half of one; ISTIOD_BIN: behind that istiod as well
	$(call stage,1 of 2: Envoy Gateway from its Go module into .cache/: 5 to 7 minutes on two cores - once)
	.ci/fetch-envoy-gateway
	$(call stage,2 of 2: deliveries and attacks through it in a network of its own: half a minute)
	$(GO) test -tags mesh -count 1 -timeout 10m -run '^TestEnvoyGateway$$' -v ./cmd/hookbastion
	@if [ -n "$$ISTIOD_BIN" ]; then \
	  $(GO) test -tags mesh -count 1 -timeout 10m -run '^TestIstio$$' -v ./cmd/hookbastion; \
	else echo 'not tried: Istio, since ISTIOD_BIN names no istiod'; fi

schemas: ## that resources of meshes and Kubernetes, the Helm chart's and kustomize's too, fit the schemas that are published; builds helm and kustomize once (5 minutes), then half a minute
	.ci/fetch-kubernetes
	$(GO) test -tags mesh -count 1 -run '^TestSchemas$$' ./envoy/config
	$(GO) test -tags mesh -count 1 ./examples

test-envoys: ## tests with a real Envoy, of the two minors before the newest: some 3 minutes for each; ENVOYS, ENVOY_TESTS (all: .)
	@for version in $(or $(ENVOYS),1.39.3 1.38.3); do \
	  .ci/fetch-envoy $$version && \
	  printf '\n== Envoy %s (%s)\n' $$version "$$(date +%H:%M:%S)" && \
	  ENVOY_BIN=$$PWD/.cache/envoy-$$version/envoy $(GO) test -count 1 -timeout 20m \
	    -run '$(or $(ENVOY_TESTS),$(ENVOY_SLICE))' ./cmd/hookbastion ./envoy ./envoy/audit || exit 1; \
	done

lint: ## vet, format, static analysis
	$(GO) vet ./...
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GOLANGCI) run
	.ci/lint-bites $(GOLANGCI)

portable: ## that everything builds on macOS and Windows, where people write policies
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows $(GO) build ./...

vulncheck: ## known vulnerabilities in code that the program calls
	.ci/vulncheck

bench: ## the path from message bytes to answer bytes, the nonce store, 100,000 tenants, loading 100,000 webhooks
	$(GO) test -run '^$$' -bench . -benchmem ./envoy ./envoy/telemetry/... ./authz/... ./policy

bench-compare: build $(if $(STORE),redis) ## the service beside a no-op and, if OPA_ENVOY_BIN names one, OPA-Envoy; STORE=memory,file,redis: nonce stores; JSON to BENCH_OUT
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench compare $(if $(STORE),-store $(STORE)) $(BENCH_FLAGS)

bench-envoy: build envoy ## what a delivery costs Envoy and the service together; ENVOY_BIN, BENCH_ENVOY_ARGS (Envoy's arguments) for other versions
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench envoy $(BENCH_FLAGS)

overload: build redis ## four times as much as there is room for: over a slow store, with dear checks, and with cheap ones; JSON to BENCH_OUT
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench overload -headers raw -rounds 5 $(BENCH_FLAGS)

anomalies: ## what the monitor finds in 20 months of planted anomalies, beside simple bands, in three minutes on two quiet cores; ANOMALIES_FLAGS=-write: into docs/anomalies.md
	$(GO) build -o bin/anomalies ./cmd/anomalies
	bin/anomalies $(ANOMALIES_FLAGS)

chaos: build envoy redis ## all providers, attacks, kills, outages and old files behind a real Envoy, each verdict judged; CHAOS_SEED (from 1001 on: a Redis cluster), CHAOS_SEEDS, CHAOS_TIME (a seed), CHAOS_VERDICTS (a seed, at least), CHAOS_FLAGS
	$(GO) build -o bin/chaos ./cmd/chaos
	bin/chaos $(if $(CHAOS_SEED),-seed $(CHAOS_SEED) -seeds 1) $(if $(CHAOS_SEEDS),-seeds $(CHAOS_SEEDS)) $(if $(CHAOS_TIME),-time $(CHAOS_TIME)) $(if $(CHAOS_VERDICTS),-verdicts $(CHAOS_VERDICTS)) $(CHAOS_FLAGS)

chaos-mutants: envoy redis ## that make chaos finds each of some forty protections that are taken away, in some twenty minutes; MUTANT: those with this in their name
	$(GO) build -o bin/chaos ./cmd/chaos
	$(GO) run ./cmd/chaos/mutants $(if $(MUTANT),-run "$(MUTANT)")

soak: build envoy redis ## make chaos at a moderate load for SOAK (30m), with what the service uses each ten seconds
	$(GO) build -o bin/chaos ./cmd/chaos
	bin/chaos -soak $(or $(SOAK),$(SOAKTIME),30m) $(CHAOS_FLAGS)

timing: ## a statistical test that no comparison tells where secrets differ
	$(GO) run ./cmd/timing $(TIMING_FLAGS)

audit-model: envoy ## hundreds of configurations, judged by the audit's model and by a real Envoy; CONFIGURATIONS, MODEL_SEED
	$(GO) test -count 1 -timeout 60m -v -run '^TestModel$$' ./envoy/audit -configurations $(or $(CONFIGURATIONS),300) -model-seed $(or $(MODEL_SEED),3)

models: redis ## each nonce store against the truth, in every order of events or in many; make test tries fewer
	$(GO) test -count 1 -timeout 30m -v -run '^TestModel$$' ./authz/replay/...

fuzz: ## each fuzz target for FUZZTIME, one after the other, or those that FUZZ fits; FUZZ_FLAGS (of go test)
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" FUZZ="$(FUZZ)" FUZZ_FLAGS="$(FUZZ_FLAGS)" .ci/fuzz

flips: ## every single bit of a delivery of each scheme of the catalogue, and a million other changes, judged by what its description says; two minutes
	$(GO) test -count 1 -v -run '^Test(FlippedBits|ChangedDeliveries)$$' ./policy/provider -flip-every 1 -changes 3000

generate: ## the Go code and the reference pages of the .proto files
	$(GO) run ./proto/generate .
	$(GO) test ./envoy/telemetry -run Page -update
	$(GO) test ./policy/provider -run Pages -update

fetch: envoy judges upstream redis prometheus collector h2spec browser ## all that tests and make check need, once, into .cache/ and Go's module cache
	@$(GOLANGCI) version

image: ## a container image of a program built here, where no registry is at hand: DOCKER, IMAGE, CERTIFICATES
	mkdir -p bin/image/bin bin/image/linux/$(ARCH)
	GOOS=linux GOARCH=$(ARCH) $(BUILD) -o bin/image/linux/$(ARCH)/hookbastion ./cmd/hookbastion
	cp LICENSE bin/image/
	cp $(CERTIFICATES) bin/image/bin/ca-certificates.crt
	$(DOCKER) build --file Dockerfile.binary --build-arg TARGETPLATFORM=linux/$(ARCH) --tag $(IMAGE) bin/image

reproducible: ## that two builds of HEAD, in other places and without a cache, are the same bytes (some minutes); PLATFORMS
	.ci/reproducible $(PLATFORMS)

licences: ## that all that the program is made of may be given away with it
	.ci/licences

release-check: ## the release's configuration, and all programs with it, without publishing; fetches goreleaser (some minutes)
	.ci/release-check

envoy: ## the pinned Envoy, unless there is one
	.ci/fetch-envoy

judges: ## the pinned libraries of providers that tests compare with
	.ci/fetch-judges

upstream: ## what examples/upstream/python imports
	.ci/fetch-upstream

redis: ## redis-server and valkey-server, unless they are on PATH
	.ci/fetch-redis

prometheus: ## promtool and prometheus, unless they are on PATH
	.ci/fetch-prometheus

collector: ## OpenTelemetry's Collector, built from its modules: some minutes
	GO="$(GO)" .ci/fetch-collector

h2spec: ## the conformance suite for HTTP/2
	.ci/fetch-h2spec

browser: ## Chromium without a window, and axe-core, for the pages of the console
	.ci/fetch-chromium
	.ci/fetch-axe

clean: ## remove bin/ and .cache/
	rm -rf bin .cache
