# `make demo` and `make test` are the two commands of the README. On a bare Debian 12 or Ubuntu 24.04 machine both
# first install what they need (as root); the second time that takes a moment.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

# Of the controller: what aiops itself runs. Of the lab: what booted hosts on this machine need.
CONTROLLER := python3 python3-venv openssh-client ca-certificates
LAB := mmdebstrap systemd-container nftables iproute2 openssh-server gnupg apt-utils dpkg-dev e2fsprogs util-linux procps strace

.PHONY: help
help:  ## Show this
	@echo "make TARGET, where TARGET is one of"
	@grep -hE '^[a-z-]+%?:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):.*## /  \1\t/' | expand -t 16

.PHONY: demo
demo: setup  ## From nothing to a working cluster of booted hosts on this machine (root; KEEP=1 leaves it up)
	@exec $(BIN)/python -m benchmarks.demo

.PHONY: test
test: setup  ## All tests but the long soaks
	@exec $(BIN)/pytest -n auto --no-loadscope-reorder $(TESTS)

.PHONY: lint
lint: setup  ## All static checks
	@failed=()
	step() { echo "+ $$*"; "$$@" || failed+=("$$1"); }
	step $(BIN)/ruff format --check --quiet .
	step $(BIN)/ruff check --quiet .
	step $(BIN)/mypy --no-error-summary
	step $(BIN)/lint-imports --no-logo
	step $(BIN)/deptry .
	step $(BIN)/vermin --quiet --no-tips --violations -t=3.6- src/aiops/checkpoint.py $$(find layers plugins -path "*/remote/*.py")
	step $(BIN)/ansible-lint -q -c .ci/ansible-lint.yml $$(grep -lE '^- (name|hosts):' playbooks/*.yml playbooks/*/*.yml)
	[ $${#failed[@]} = 0 ] || { echo "error: failed: $${failed[*]##*/}" >&2; exit 1; }

.PHONY: format
format: setup  ## Bring the code into shape
	@$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

.PHONY: docs
docs: setup  ## Write the pages that come from the code
	@$(BIN)/python -m aiops.cli.reference > docs/reference/cli.md
	$(BIN)/python -c 'import aiops.layers.l0_nodes.variables_page as v; print(v.variables_page(), end="")' > docs/reference/variables.md
	$(BIN)/python -c 'import aiops.layers.l2_jobs.job_document as j; print(j.schema_text(), end="")' > docs/reference/job.schema.json
	$(BIN)/python -c 'import aiops.layers.l3_tuning.recipe_document as r; print(r.schema_text(), end="")' > docs/reference/recipe.schema.json

bench-%: setup  ## A benchmark, benchmarks/NAME.py; its figures are kept in benchmarks/results (root)
	@exec $(BIN)/python -m benchmarks.$*

soak-%: setup  ## A long run, benchmarks/soak_NAME.py; keeps its wall time, seed and verdict
	@exec $(BIN)/python -m benchmarks.soak_$*

.PHONY: setup
setup: packages .venv/installed  ## Install what the others need

.PHONY: packages
packages:
	@[ -e /etc/debian_version ] || exit 0
	missing=()
	for name in $(CONTROLLER) $(LAB); do
	  case "$$(dpkg-query -W -f '$${db:Status-Status}' $$name 2>/dev/null)" in installed) ;; *) missing+=($$name) ;; esac
	done
	[ $${#missing[@]} -gt 0 ] || exit 0
	if [ "$$(id -u)" != 0 ]; then
	  echo "error: these packages are missing, and installing them needs root: $${missing[*]}" >&2
	  echo >&2
	  echo "hint: sudo apt-get install $${missing[*]}" >&2
	  exit 1
	fi
	echo "installing $${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	log=$$(mktemp)
	{ apt-get update -qq && apt-get install -qq -y --no-install-recommends "$${missing[@]}"; } >$$log 2>&1 || {
	  cat $$log >&2
	  echo "error: apt-get could not install $${missing[*]}" >&2
	  echo >&2
	  echo "hint: is this machine online? try \`apt-get update\`" >&2
	  exit 1
	}
	rm -f $$log

# pip >= 25.1 knows dependency groups; Debian 12 brings 23.
.venv/installed: pyproject.toml
	@python=
	for candidate in python3 /usr/bin/python3; do
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	    python=$$candidate
	    break
	  fi
	done
	if [ -z "$$python" ]; then
	  echo "error: no python3 of version 3.11 or newer with venv was found" >&2
	  echo >&2
	  echo "hint: apt-get install python3 python3-venv" >&2
	  exit 1
	fi
	echo "installing aiops and its tools into .venv"
	[ -x $(BIN)/python ] && $(BIN)/python -c '' 2>/dev/null || { rm -rf .venv; $$python -m venv .venv; }
	log=$$(mktemp)
	{ $(BIN)/pip install -q --upgrade 'pip>=25.1' && $(BIN)/pip install -q --editable '.[postgresql,tuning,datatrove]' --group dev; } >$$log 2>&1 || {
	  cat $$log >&2
	  echo "error: pip could not install what pyproject.toml asks for" >&2
	  echo >&2
	  echo "hint: is this machine online? try \`$(BIN)/pip download --no-deps -d /tmp rich\`" >&2
	  exit 1
	}
	rm -f $$log
	touch $@
