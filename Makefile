# The daily commands. `make` without a target lists them.

NODETEST    := internal/nodetest
STATICCHECK := v0.8.2
GOLANGCI    := v2.15.0
GOVULNCHECK := v1.9.0
GOTESTSUM   := v1.13.0
PKG         ?= ./...
# Examples with dependencies of their own are separate modules. They run only without PKG.
NESTED      := $(if $(filter ./...,$(PKG)),$(dir $(wildcard examples/*/go.mod internal/*/go.mod)))
FUZZTIME    ?= 5m
BENCHTIME   ?= 1s
FLOODTIME   ?= 10s
SOAKTIME    ?= 2h
COUNT       ?= 5
FSYNC       ?= everysec
OPS         ?= 1000000
VISITORS    ?= 300
SEED        ?= 1
# How many tests of a package run at the same time, and how many packages. Most tests wait for
# servers and browsers.
PARALLEL    ?= 4
PACKAGES    ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

export STATICCHECK GOLANGCI GOVULNCHECK
gotestsum := go run gotest.tools/gotestsum@$(GOTESTSUM) --format pkgname --format-hide-empty-pkg
# $(call nested,COMMAND) runs a command in each nested module and stops at the first failure.
nested = $(if $(NESTED),@for dir in $(NESTED); do echo "== $$dir"; (cd $$dir && $(1)) || exit 1; done)

# A failed test runs once more alone, because the machine may be busy. A test that passes only
# the second time is flaky: the last lines of `make test` name it, and it is to be fixed.
RERUNS := $(CURDIR)/.cache/reruns
# Lint has run vet already; without DWARF, linking takes half of its time.
testflags = -race -shuffle=on -p $(PACKAGES) -parallel $(PARALLEL) -vet=off -ldflags=-w -timeout 15m
again   = --rerun-fails=1 --rerun-fails-max-failures=4 --rerun-fails-report=$(RERUNS)/$$(basename $$(pwd))

.DEFAULT_GOAL := help
.PHONY: help deps test short race lint audit fmt fuzz costs growth bench bench-peers faults flood simulation guards interop reliability storm soak rolling-restart repeat flakes cover run-tests

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

## deps: install what the tests need (redis-server, postgresql, chromium … by apt-get as root, npm packages)
deps: $(NODETEST)/node_modules/.package-lock.json $(NODETEST)/asyncapi/node_modules/.package-lock.json
	@.ci/deps

$(NODETEST)/node_modules/.package-lock.json: $(NODETEST)/package-lock.json
	cd $(NODETEST) && npm ci --no-progress </dev/null
	@touch $@

# A dependency has a script that reports the installation.
$(NODETEST)/asyncapi/node_modules/.package-lock.json: $(NODETEST)/asyncapi/package-lock.json
	cd $(NODETEST)/asyncapi && npm ci --no-progress --ignore-scripts </dev/null
	@touch $@

## test: all checks and all tests; a missing tool is an error
test: deps lint
	@rm -rf $(RERUNS)
	@$(MAKE) --no-print-directory run-tests; status=$$?; .ci/flaky $(RERUNS); exit $$status

run-tests: costs
	@mkdir -p $(RERUNS)
	CI=true $(gotestsum) $(again) --packages="$(PKG)" -- $(testflags)
	$(call nested,CI=true $(gotestsum) $(again) --packages=./... -- $(testflags))

## short: the quick tests, with the tools that are installed
short:
	go test -short $(PKG)
	$(call nested,go test -short ./...)

## race: all tests, with the tools that are installed; tests that need others are skipped by name
race:
	go test -race -shuffle=on $(PKG)
	$(call nested,go test -race -shuffle=on ./...)

## lint: gofmt, go vet, staticcheck
lint:
	@.ci/lint

## audit: golangci-lint with gosec, go mod verify, known vulnerabilities (VULNDB=FOLDER for offline use)
audit:
	@.ci/audit

## fmt: format the Go files
fmt:
	gofmt -w fibersession socketbridge storage internal examples

## fuzz: every fuzz target of PKG, for FUZZTIME (5m) each
fuzz:
	@.ci/fuzz $(FUZZTIME) $(PKG)

## faults: writes lost by a Redis that is killed 3 x COUNT times, with appendfsync FSYNC (everysec)
faults:
	FAULTS_APPENDFSYNC=$(FSYNC) go test ./fibersession -run 'TestFault_RedisKilledUnderLoad$$' -count=$(COUNT) -v

## flood: hostile clients beside a healthy one, and a hostile publisher on Redis, for FLOODTIME (10s) each
flood:
	FLOOD_TIME=$(FLOODTIME) go test ./socketbridge/engineio ./socketbridge/redisadapter -run 'TestR18_FramesThatAreNoMessagesUnderLoad$$|TestSign_HostilePublisherAtSpeed$$' -count=1 -v

## simulation: OPS (1000000) operations on a cluster in memory, from the seed SEED (1) on; with MUTANTS=300 instead, each guard is taken out and must be found within 300 s
simulation:
	$(if $(MUTANTS),SIM_MUTANTS=$(MUTANTS) go test ./internal/simulation -run 'TestM3_GuardsAreNeeded$$' -count=1 -v -timeout 4h,\
		SIM_OPS=$(OPS) SIM_SEED=$(SEED) go test ./internal/simulation -run 'TestM3_Simulation$$' -count=1 -v -timeout 12h)

## guards: take each guard of docs/security.md out in turn; a named test must fail (GUARDS: a pattern for their names)
guards: deps
	GUARDS='$(or $(GUARDS),.)' go test ./internal/guards -run 'TestR24_Guards$$' -count=1 -v -timeout 4h

## costs: allocations of an event, an emission, a broadcast and a request: no more than the table allows
costs:
	go test ./internal/costs

## growth: how costs grow with connections, rooms and nodes: the plots and tables of docs/benchmarks.md
growth:
	cd internal/growth && go build -o ../../bin/growth . && taskset -c 1 ../../bin/growth

## bench: the Go benchmarks of PKG
bench:
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(PKG)

## bench-peers: this project and its peers, measured by the harness in BENCH_DIR
bench-peers:
	@test -n "$(BENCH_DIR)" || { echo "bench-peers: set BENCH_DIR to the folder of the harness (build.sh, run.sh)" >&2; exit 1; }
	go build -o bin/benchserver ./examples/benchserver
	$(BENCH_DIR)/build.sh
	OUT="$${OUT:-$(CURDIR)/bin/bench.jsonl}" SERVER_CMD="$(CURDIR)/bin/benchserver" $(BENCH_DIR)/run.sh

## interop: all tests with clients and servers of others, or those of PKG or RUN; fills docs/compatibility.md
interop: deps
	@GOTESTSUM="$(gotestsum)" RUN="$(RUN)" .ci/interop $(PKG)

## reliability: the figures R1 to R27 of docs/reliability.md at their full size, except of soak; RUN chooses rows
reliability: deps
	@mkdir -p .cache
	CI=true RELIABILITY=full RELIABILITY_OUT=$(CURDIR)/.cache/reliability.txt go test -count=1 -v -timeout 3h $(if $(RUN),-run '$(RUN)') ./internal/reliability

## storm: slow consumers and hostile load at full size (R9, R18)
storm:
	@$(MAKE) --no-print-directory reliability RUN='^TestR(9|18)_'

## soak: three nodes under load with restarts, resets and deploys for SOAKTIME (2h) (R15)
soak: deps
	CI=true RELIABILITY=full SOAKTIME=$(SOAKTIME) go test -count=1 -v -timeout 0 -run '^TestR15_' ./internal/reliability

## rolling-restart: examples/chat, three nodes restarted in turn under load from VISITORS (300), behind each proxy (M2)
rolling-restart: deps
	ROLLING_RESTART=1 go test -count=1 -v -run 'TestM2_RollingRestart$$' ./examples/chat
	@mkdir -p bin && go build -o bin/chat ./examples/chat
	for proxy in haproxy nginx; do PROXY=$$proxy DRAIN_RATE=$${DRAIN_RATE:-30} bin/chat -rolling-restart $(VISITORS) || exit 1; done

## repeat: all tests COUNT (5) times, with the race detector, in a new order each time (R21)
repeat: deps
	CI=true $(gotestsum) -- -race -shuffle=on -count=$(COUNT) -timeout 4h $(PKG)
	$(call nested,CI=true $(gotestsum) -- -race -shuffle=on -count=$(COUNT) -timeout 4h ./...)

## flakes: each package of PKG COUNT times; .cache/flakes.tsv counts runs and failures of each test (R21)
flakes: deps
	go build -o bin/flakes ./internal/flakes
	bin/flakes -count $(COUNT) -record .cache/flakes.tsv $(PKG)
	$(call nested,$(CURDIR)/bin/flakes -count $(COUNT) -record $(CURDIR)/.cache/flakes.tsv ./...)

## cover: test coverage of all packages
cover: deps
	@mkdir -p .cache
	CI=true go test -coverpkg=./... -coverprofile=.cache/cover.out $(PKG)
	go tool cover -func=.cache/cover.out | tail -n 1
