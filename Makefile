# Everything that a new machine needs is set up by the targets themselves; `make help` lists them.

SHELL := /bin/bash
PREFIX ?= /usr/local
SWIFT ?= swift
BUILD := $(SWIFT) build -c release
BIN := .build/release/quern
VENV := .venv-peers
SECONDS := 60
KILLS := 200

.PHONY: help build demo test test-peers test-kills test-faults test-slurm test-arm64 fuzz bench format lint install clean deps peers

help:
	@echo "make demo         build, convert the bundled model to Q4_K_M and print its drift report"
	@echo "make test         build and run every test that needs no peer"
	@echo "make test-peers   the same against llama.cpp, libgguf, transformers and tokenizers from PyPI"
	@echo "make test-kills   conversions and calibrations killed at KILLS=200 random moments, and gone on with"
	@echo "make test-faults  faults of disk, memory and signals injected by strace; needs root for a small file system"
	@echo "make test-slurm   a plan's tasks on a real Slurm of one node: cancelled, requeued, finalized; needs root"
	@echo "make test-arm64   the kernels for Arm under an emulator, against libgguf"
	@echo "make fuzz         every reader of outside bytes under libFuzzer, SECONDS=60 each"
	@echo "make bench        speed beside the peers, as ratios"
	@echo "make lint         formatting and house rules;  make format mends the formatting"
	@echo "make install      binary, man page and completions under PREFIX ($(PREFIX))"

deps:
	@Tests/set-up.sh build

peers: deps
	@Tests/set-up.sh peers
	@Tests/PeerTests/set-up.sh $(VENV)

build: deps
	$(BUILD) --product quern

demo: build
	@mkdir -p out
	@echo '$$ quern convert fixtures/tiny-llama --type Q4_K_M -o out/tiny-llama-q4km.gguf'
	@$(BIN) convert fixtures/tiny-llama --type Q4_K_M -o out/tiny-llama-q4km.gguf --force
	@echo
	@echo '$$ quern verify out/tiny-llama-q4km.gguf --against fixtures/tiny-llama --text fixtures/text/python-docs-evaluate.txt'
	@$(BIN) verify out/tiny-llama-q4km.gguf --against fixtures/tiny-llama --text fixtures/text/python-docs-evaluate.txt

test: deps
	$(SWIFT) test -c release

test-peers: peers
	QUERN_PEERS=$(CURDIR)/$(VENV) $(SWIFT) test -c release --filter PeerTests

test-kills: deps
	QUERN_KILLS=$(KILLS) $(SWIFT) test -c release --filter KillTests

test-faults: build
	@Tests/set-up.sh faults
	Tests/faults.py $(BIN)

test-slurm: build
	@Tests/set-up.sh slurm
	Tests/slurm.py $(BIN)

test-arm64: peers
	Tests/arm64.sh $(VENV)/bin/python

fuzz: deps
	SWIFT="$(SWIFT)" Tests/fuzz.sh $(SECONDS) $(TARGETS)

bench: build peers
	$(VENV)/bin/python Tests/PeerTests/bench_blocks.py
	$(VENV)/bin/python Tests/PeerTests/bench_convert.py $(BIN) $(VENV)
	$(VENV)/bin/python Tests/PeerTests/bench_types.py $(BIN) $(VENV)/smollm2
	$(VENV)/bin/python Tests/PeerTests/bench_perplexity.py $(VENV) $(BIN) $(VENV)/smollm2
	$(VENV)/bin/python Tests/PeerTests/bench_verify.py $(VENV) $(BIN) $(VENV)/smollm2
	$(VENV)/bin/python Tests/PeerTests/bench_importance.py $(VENV) $(BIN) $(VENV)/smollm2
	$(VENV)/bin/python Tests/PeerTests/bench_gptq.py $(VENV) $(BIN) $(VENV)/smollm2

format:
	$(SWIFT) format format -i -r Package.swift Sources Tests

lint:
	$(SWIFT) format lint --strict -r Package.swift Sources Tests
	Tests/lint.sh
	Tests/kernel-objects.sh

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/quern
	install -m 644 docs/quern.1 $(DESTDIR)$(PREFIX)/share/man/man1/quern.1
	$(BIN) --generate-completion-script bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/quern
	$(BIN) --generate-completion-script zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_quern
	$(BIN) --generate-completion-script fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/quern.fish

clean:
	rm -rf .build out
