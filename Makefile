# make demo and make test need Go, Python 3 with pip, and git. They fetch the
# pinned Envoy once, into .cache/; make test the providers' libraries as well, and
# Node.js where there is none.

GO ?= go
# the toolchain of go.mod, whatever go is installed
export GOTOOLCHAIN = auto
FUZZTIME ?= 30s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOLANGCI = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test demo lint portable bench bench-compare bench-envoy chaos timing fuzz vulncheck generate envoy judges upstream redis h2spec clean

build: ## bin/hookbastion
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/hookbastion ./cmd/hookbastion

demo: build envoy ## the main job, with a real Envoy
	bin/hookbastion demo

test: envoy judges upstream redis h2spec ## all tests, with the race detector, a real Envoy, Redis and the providers' libraries
	$(GO) test -race -timeout 20m ./...
	$(GO) test -run Allocat ./authz/... ./envoy # not countable with the race detector

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
	$(GO) test -run '^$$' -bench . -benchmem ./envoy ./authz/... ./policy

bench-compare: build $(if $(STORE),redis) ## the service beside a no-op and, if OPA_ENVOY_BIN names one, OPA-Envoy; STORE=memory,file,redis: nonce stores; JSON to BENCH_OUT
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench compare $(if $(STORE),-store $(STORE)) $(BENCH_FLAGS)

bench-envoy: build envoy ## the same through a real Envoy
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench envoy $(BENCH_FLAGS)

chaos: build envoy redis ## kills, pauses, outages and old files behind a real Envoy; CHAOS_SEED, CHAOS_SEEDS, CHAOS_TIME (a seed), CHAOS_FLAGS
	$(GO) build -o bin/chaos ./cmd/chaos
	bin/chaos $(if $(CHAOS_SEED),-seed $(CHAOS_SEED) -seeds 1) $(if $(CHAOS_SEEDS),-seeds $(CHAOS_SEEDS)) $(if $(CHAOS_TIME),-time $(CHAOS_TIME)) $(CHAOS_FLAGS)

timing: ## a statistical test that no comparison tells where secrets differ
	$(GO) run ./cmd/timing $(TIMING_FLAGS)

fuzz: ## each fuzz target for FUZZTIME
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package || exit 1; \
	  done; \
	done

generate: ## the Go code and the reference pages of the .proto files
	$(GO) run ./proto/generate .
	$(GO) test ./envoy/telemetry -run Page -update
	$(GO) test ./policy/provider -run Pages -update

envoy: ## the pinned Envoy, unless there is one
	.ci/fetch-envoy

judges: ## the pinned libraries of providers that tests compare with
	.ci/fetch-judges

upstream: ## what examples/upstream/python imports
	.ci/fetch-upstream

redis: ## redis-server and valkey-server, unless they are on PATH
	.ci/fetch-redis

h2spec: ## the conformance suite for HTTP/2
	.ci/fetch-h2spec

clean:
	rm -rf bin .cache
