# Two commands do everything: `make run` and `make test`.

ifndef PYTHON
PYTHON := $(shell deploy/find-python)
endif
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# The lock files are whole, so nothing is resolved: a pip that resolves takes the extras of a locked
# package for newer releases, and refuses those for their hashes. "pip check" tells what is missing.
LOCKED := $(PIP) install --no-deps --require-hashes

# Everything below runs in the repository's own environment.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run install dist test lint newest bench soak fuzz interop conformance pictures format lock system-packages clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: install ## Install what the service needs and serve it
	@exec $(BIN)/gunicorn wsgi:app

install: $(VENV)/.run $(VENV)/.memcached $(VENV)/.postgresql $(VENV)/.redis $(BIN)/cacheapi ## Install what the service needs, with locked versions, into .venv

dist: $(VENV)/.build ## Build a wheel and an sdist into dist/, to be installed by pip
	@rm -rf dist build *.egg-info
	@$(BIN)/python -c 'from setuptools import build_meta as build; \
		build.build_sdist("dist"); build.build_wheel("dist")' >/dev/null
	@rm -rf build *.egg-info
	@ls dist/*

test: system-packages lint newest ## Check everything: style, types, import rules, tests
	$(BIN)/pytest -n $$(($$(nproc) * 3 / 2)) --cov --cov-report= --cov-fail-under=0 $(PYTEST) || { [ $$? = 1 ] && \
		echo 'What failed is asked once more, alone. What passes now is unsteady: mend it.' && \
		$(BIN)/pytest --last-failed --last-failed-no-failures=none -x --cov --cov-append --cov-report= --cov-fail-under=0; }
	$(BIN)/coverage report

lint: $(VENV)/.test ## Check style, spelling, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

newest: $(VENV)/.test system-packages ## Check types and quick tests on the newest other Python that is here
	@tests/newest-python $(BIN)/python

bench: $(VENV)/.test ## Measure it beside Webdis and nginx (QUICK=1: in a minute; GROWTH=1: how cost grows; LARGE=1: beside large values; RESPONSES=1: in front of an API)
	@PYTHON="$(PYTHON)" tests/system-packages
	@$(BIN)/python -m benchmarks$(if $(GROWTH),.growth)$(if $(LARGE),.large)$(if $(RESPONSES),.responses) $(if $(QUICK),--quick) $(BENCH)

format: $(VENV)/.test ## Put the code into the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(VENV)/.test system-packages ## Kill servers under load for five minutes; SOAK_SECONDS, SOAK_KINDS, SOAK_SEED; ATTACK=1: attack it instead
	$(if $(ATTACK),ATTACK=1) $(BIN)/python -u -m tests.soak

fuzz: $(VENV)/.test ## Feed the readers of other programs' values random bytes; FUZZ_SECONDS each, FUZZ_SEED
	$(BIN)/python -u -m tests.fuzz

pictures: $(VENV)/.test system-packages ## Take the README's pictures of the console anew (docs/img)
	$(BIN)/python -m tests.support.screenshots

interop: $(VENV)/.test system-packages ## Print what other programs' clients store and read (docs/sharing.md)
	@[ "$$(id -u)" -ne 0 ] || [ ! -x "$$(command -v apt-get)" ] || tests/system-packages \
		$$([ -x "$$(command -v npm)" ] || echo npm) php-symfony-cache ruby-dalli ruby-activesupport ruby-redis libcache-memcached-fast-perl \
		libjson-perl libspymemcached-java golang-go golang-github-bradfitz-gomemcache-dev \
		libnginx-mod-http-memc libnginx-mod-http-srcache-filter
	@[ -x .interop/venv/bin/pip ] || $(PYTHON) -m venv .interop/venv
	@.interop/venv/bin/pip --disable-pip-version-check --quiet install \
		pymemcache==4.0.0 libmc==1.4.17 pylibmc==1.6.3 Django==5.2.19 Flask-Caching==2.5.1 \
		dogpile.cache==1.5.0 aiocache==0.12.3 aiomcache==0.8.2 redis==8.1.0
	@[ ! -x "$$(command -v npm)" ] || npm install --silent --no-save --prefix .interop \
		memcached@2.2.2 memjs@1.3.2 ioredis@6.0.0 keyv@5.6.0 @keyv/memcache@2.0.2 \
		@keyv/redis@5.1.6 cache-manager@7.2.9
	@$(BIN)/python -m tests.interop .interop

conformance: $(VENV)/.test system-packages ## Run the public suite of HTTP caching against rws (needs npm)
	@npm install --silent --no-save --prefix .conformance http-cache-tests@0.4.5
	@$(BIN)/python -m tests.conformance .conformance/node_modules/http-cache-tests

lock: ## Renew the lock files in requirements/ (needs uv, a package of PyPI)
	requirements/lock

clean: ## Remove the environment and what the tests left
	rm -rf $(VENV) .newest dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

system-packages:
	@PYTHON="$(PYTHON)" tests/system-packages

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "cacheapi needs Python 3.11 or later as $(PYTHON); try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/system-packages python3-venv
	@echo "Making the environment $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt | $(VENV)/bin/pip
	@echo "Installing what the service needs …"
	@$(LOCKED) -r $<
	@$(PIP) check
	@touch $@

# A checkout is not installed: its program works from every directory all the same.
$(BIN)/cacheapi: $(VENV)/.run
	@printf '%s\n' '#!/bin/sh' 'export PYTHONSAFEPATH=1 PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}"' \
		'exec "$(abspath $(BIN))/python" -m cacheapi "$$@"' >$@
	@chmod +x $@

# For a login with SASL alone. There are ready-made files for Python 3.11; later ones compile it.
$(VENV)/.memcached: requirements/memcached.txt | $(VENV)/.run
	@echo "Installing the driver for memcached with a login …"
	@if $(LOCKED) --only-binary pylibmc -r $< 2>/dev/null \
		|| { [ -e /usr/include/libmemcached/memcached.h ] \
			&& $(LOCKED) -r $< 2>/dev/null; }; \
	then touch $@; \
	else echo "For a login to memcached with SASL, pylibmc must be compiled here (all else works" \
		"without it): install the packages" \
		"gcc python3-dev libmemcached-dev libsasl2-dev zlib1g-dev, then run make again." >&2; fi

$(VENV)/.postgresql: requirements/postgresql.txt | $(VENV)/.run
	@echo "Installing the driver for PostgreSQL …"
	@$(LOCKED) -r $<
	@$(PIP) check
	@touch $@

$(VENV)/.redis: requirements/redis.txt | $(VENV)/.run
	@echo "Installing the driver for Redis and Valkey …"
	@$(LOCKED) -r $<
	@$(PIP) check
	@touch $@

$(VENV)/.build: requirements/build.txt | $(VENV)/bin/pip
	@$(LOCKED) -r $<
	@touch $@

$(VENV)/.test: requirements/test.txt | $(VENV)/bin/pip
	@echo "Installing what the tests need …"
	@$(LOCKED) -r $<
	@$(PIP) check
	@touch $@
