# Stock make and bash. `make` alone says what there is.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/release
# The server looks for exactly these names: beside its own binary, then in PREFIX/lib/mortise.
MODULES := libmortise_json.so libmortise_search.so

.PHONY: help build run test bench compare install test-clients conformance slow clean

help:
	@echo 'make run [ARGS=...]        build and start the server with JSON and search, on port 6379'
	@echo 'make test                  the gate: format, lints, build, docs, every test'
	@echo 'make bench                 in-process benchmarks'
	@echo 'make compare [ARGS=...]    CPU, memory and pauses beside redis-server'
	@echo 'make install [PREFIX=...]  bin/mortise, lib/mortise/*.so, licences'
	@echo 'make test-clients          redis-py and ioredis against the server'
	@echo 'make conformance           other projects'"'"' suites, against the recorded pass counts'
	@echo 'make slow                  address sanitizer, miri, fuzzing'

build:
	$(CARGO) build --release --workspace

run: build
	exec $(RELEASE)/mortise $(ARGS)

test:
	scripts/check

bench:
	$(CARGO) bench --workspace

compare: build
	tests/outside/perf.py --pin --scale 0.2 --server 'ours=$(RELEASE)/mortise' --server 'redis=redis-server' $(ARGS)

install: build
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/mortise' '$(DESTDIR)$(PREFIX)/share/doc/mortise'
	install -m 755 '$(RELEASE)/mortise' '$(DESTDIR)$(PREFIX)/bin/mortise'
	for tool in aof rdb; do ln -sf mortise "$(DESTDIR)$(PREFIX)/bin/redis-check-$$tool" || exit 1; done
	for module in $(MODULES); do install -m 755 "$(RELEASE)/$$module" '$(DESTDIR)$(PREFIX)/lib/mortise/' || exit 1; done
	install -m 644 LICENSE-MIT LICENSE-APACHE README.md '$(DESTDIR)$(PREFIX)/share/doc/mortise/'

test-clients:
	scripts/test-clients

conformance:
	tests/outside/gate $(ARGS)
	tests/outside/gate-redis-py $(ARGS)

slow:
	scripts/slow

clean:
	$(CARGO) clean
