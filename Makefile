# One door for people and CI. `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
# ansible-lint and Molecule look for their tools on PATH.
export PATH := $(BIN):$(PATH)
# Its frames fold every line of Ansible's at 80 columns.
export MOLECULE_COMMAND_BORDERS := false
COLLECTION := .ansible/collections/ansible_collections/maas/platform
STAMP := $(VENV)/.installed
# What `make molecule` runs, in this order; `make test-all` runs every scenario.
SCENARIOS ?= default

.PHONY: help venv lab lab-up lab-down lab-status lint unit sanity standins browser molecule test test-fast test-all build clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make the private Python environment and link the collection into it

$(STAMP): requirements.txt requirements-dev.txt service/requirements.txt
	@echo "==> Python environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt --requirement service/requirements.txt
	mkdir -p $(dir $(COLLECTION))
	ln -sfn ../../../.. $(COLLECTION)
	touch $@

lab: venv ## A kind cluster with the whole platform on it, and a curl that works
	$(BIN)/python -m lab up --site

lab-up: venv ## The bare kind cluster with its images, nothing deployed
	$(BIN)/python -m lab up

lab-down: ## Remove the lab: containers, network, processes, files outside the cache
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m lab down; else echo "no lab: $(VENV) does not exist"; fi

lab-status: venv ## What runs in the lab, and how well
	$(BIN)/python -m lab status

lint: venv ## ruff, mypy, yamllint, ansible-lint
	ruff check .
	ruff format --check .
	mypy lab
	mypy benchmarks
	mypy --package ansible_collections.maas.platform.plugins.module_utils
	mypy service/src
	yamllint --strict .
	ansible-lint --strict
	antsibull-changelog lint

unit: venv ## Unit and property-based tests: plugins, lab, service
	pytest tests/unit -p no:pytest11.testinfra
	cd service && pytest

sanity: venv ## ansible-test sanity on a copy of the collection
	tests/sanity/run

standins: venv ## Unit tests of the lab's two stand-ins
	$(BIN)/python -m lab test-standins

browser: venv ## Chromium for the tests of the web UI
	$(BIN)/python -m lab browser

molecule: lab-up ## The main scenario, on a kind cluster; SCENARIOS="default tiers ui" for more
	molecule --base-config molecule/config.yml test $(SCENARIOS:%=--scenario-name %) || { molecule/diagnose; exit 1; }

test-fast: lint unit sanity ## All that needs no cluster

test: test-fast standins molecule ## What CI runs

test-all: test-fast standins lab-up browser ## What CI runs, with every scenario
	molecule --base-config molecule/config.yml test --all || { molecule/diagnose; exit 1; }

build: venv ## The collection's archive
	ansible-galaxy collection build --force

clean: lab-down ## Remove the lab and the Python environment; the cache stays
	rm -rf $(VENV) .ansible .mypy_cache .pytest_cache .ruff_cache
