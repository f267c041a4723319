# Everyday commands.  `make boot` and `make test` set up everything they need by themselves; the second call is instant.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help boot test test-damage test-fuzz test-programs check layout-check golden docs fixtures reference bench history planted releases matrix suites clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

boot: $(INSTALLED) ## boot the bundled hello to runtime.mstart and show what each function computed
	@$(BIN)/rt0 boot

test: $(INSTALLED) ## run the whole default test suite
	@.ci/packages gdb strace qemu-x86_64 npm jq busybox
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-damage: $(INSTALLED) ## boot 10,000 damaged programs and every cut of one (half an hour), read 20,000 of four releases
	RT0_TEST_DAMAGE=1 $(BIN)/python -m pytest -q -s tests/boot/test_bad_input.py -k "single_bytes or every_cut"
	RT0_TEST_DAMAGE=1 $(BIN)/python -m pytest -q -s tests/image/test_damage.py -k pclntab_format
	RT0_TEST_DAMAGE=1 $(BIN)/python -m pytest -q -s tests/image/test_recovery_damage.py

test-fuzz: $(INSTALLED) ## the fuzzer's long tests: 1,000 plans, 20 kills, 100 replays of each finding
	RT0_PLANS=1000 RT0_KILLS=20 RT0_REPLAYS=100 $(BIN)/python -m pytest -q tests/fuzz $(ARGS)

test-programs: $(INSTALLED) ## more real Go programs under `rt0 run`, from npm and PyPI (100 MB)
	@.ci/packages npm busybox
	RT0_TEST_PROGRAMS=1 $(BIN)/python -m pytest -q tests/run/test_real_programs.py $(ARGS)

check: $(INSTALLED) ## lint, format, types, direction of imports; all of them, whichever fails
	@failed=; \
	for tool in "ruff check ." "ruff format --check ." mypy "python -m pytest -q tests/test_layering.py tests/test_house.py"; do \
		echo "$$tool"; $(BIN)/$$tool || failed="$$failed  $${tool%% *}"; \
	done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

layout-check: $(INSTALLED) ## what is assumed of Go's runtime, against the debugging information of real programs
	$(BIN)/python -m pytest -q tests/boot/test_catalogue.py

golden: $(INSTALLED) ## rewrite golden records and generated pages, showing what changes
	$(BIN)/python -m pytest -q --update-golden $(ARGS)

docs: $(INSTALLED) ## rewrite the generated pages of docs/ and the screens in README.md
	@.ci/packages npm jq
	$(BIN)/python -m syscalls.docs > docs/syscalls.md.new && mv docs/syscalls.md.new docs/syscalls.md
	$(BIN)/python -m syscalls.worldfile.docs > docs/world.md.new && mv docs/world.md.new docs/world.md
	$(BIN)/python -m docs.generate

fixtures: $(INSTALLED) ## rebuild the committed binaries from source and compare them with the manifest; fetch the large ones
	@.ci/packages cc npm
	$(BIN)/python -m fixtures.build
	$(BIN)/python -m fixtures.fetch

reference: $(INSTALLED) ## rebuild the reference data for stripped programs from the fixtures with DWARF
	@.ci/packages npm
	$(BIN)/python -m fixtures.reference

bench: $(INSTALLED) ## whole processes against qemu-user, gdb and strace
	@.ci/packages gdb strace qemu-x86_64
	$(BIN)/python -m bench

history: $(INSTALLED) ## record anew what start-up costs in each release, for docs/history.md
	@.ci/packages npm
	$(BIN)/python -m bench.history

planted: $(INSTALLED) ## how soon the fuzzer finds five planted defects, beside random plans: up to 20 minutes
	$(BIN)/python -m bench.planted --check

releases: $(INSTALLED) ## see anew what start-up does in each release, for docs/releases.md
	@.ci/packages npm
	$(BIN)/python -m docs.generate.survey

matrix: $(INSTALLED) ## link, boot and verify a program of each release and kind, for docs/matrix.md (half an hour)
	@.ci/packages cc npm
	$(BIN)/python -m docs.generate.matrix

suites: $(INSTALLED) ## build Go's own tests, run them natively and emulated, and compare, for docs/suites.md (half an hour)
	@.ci/packages busybox
	nice $(BIN)/python -m bench.suites $(ARGS)

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f emu/machine/_accel*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without build isolation, so that the build tools are the pinned ones too.
$(INSTALLED): pyproject.toml constraints.txt $(wildcard emu/machine/*.c)
	@.ci/packages cc
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rt0 needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); .ci/packages python3-venv; $(PYTHON) -m venv $(VENV); }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@
