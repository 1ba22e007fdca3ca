# SPDX-License-Identifier: GPL-2.0-or-later
# Run `make help`. Everything is made under ./demo, ./.venv and the cache folder.

# Debian's rpm bindings belong to Debian's Python.
PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
CACHE  := $(or $(OPKG_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/oscar-opkg)
BIN    := .venv/bin
CODE   := opkg builder repo_server opd
export OPKG_CACHE := $(CACHE)

# What the programs and their tests run, from the distribution.
PACKAGES := python3-venv python3-rpm rpm createrepo-c dnf zypper mmdebstrap bubblewrap gnupg gpgv sqv \
            dpkg-dev apt-utils xz-utils zstd rsync curl wget openssh-server openssh-client git \
            debian-archive-keyring debhelper dh-python debugedit elfutils lintian rpmlint unzip \
            iproute2 squashfs-tools chromium build-essential qemu-system-x86 postgresql dput-ng \
            nginx-light openssl libarchive-tools grub-common grub-pc-bin fdisk \
            e2fsprogs mariadb-server

help: ## say what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: .packages .venv/.done ## install what all the rest needs (once; then a second)

.packages:
	@dpkg-query -W -f '$${db:Status-Status}\n' $(PACKAGES) 2>/dev/null | grep -cx installed \
	  | grep -qx $(words $(PACKAGES)) || { \
	  echo "== installing Debian packages" >&2; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -qq --yes --no-install-recommends $(PACKAGES) >/dev/null; }

.venv/.done: pyproject.toml | .packages
	@echo "== making the virtual environment .venv" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --config-settings editable_mode=compat \
	  --editable '.[builder,databases,farm,screens,server,web,dev]'
	@touch $@

demo: setup ## build, publish, make a small cluster and install OPKGs into it (under ./demo)
	@$(BIN)/python -m tests.demo

serve: setup ## serve the demo's repository; its page says how to use it
	@$(BIN)/python -m tests.demo serve

test: setup lint ## all tests
	@$(BIN)/pytest -n 2 --dist worksteal

test-fast: setup ## the tests that take no roots and no time
	@$(BIN)/pytest -n 2 --dist worksteal -m 'not slow'

test-kernel: setup ## compile the kernel of the OPKG kerrighed (ten minutes or more, once) and boot it
	@$(BIN)/pytest -m kernel

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: PACKAGES += reprepro aptly aria2 wrk
bench: setup ## measure against peers (bench/README.md)
	@$(BIN)/pip install -qq --disable-pip-version-check --config-settings editable_mode=compat \
	  --editable '.[bench]'
	@for each in bench/[a-z]*.py; do $(BIN)/python $$each || exit 1; done

# A root that a killed test left mounted would be emptied through its mounts.
unmounted = @! grep -qF ' $(1)/' /proc/self/mountinfo || \
  { echo "something is mounted below $(1): see findmnt, and unmount it first" >&2; exit 1; }

clean: ## remove the demo and what tools left
	$(call unmounted,$(CURDIR)/demo)
	rm -rf --one-file-system demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove also the virtual environment and the cache folder
	$(call unmounted,$(CACHE))
	rm -rf --one-file-system .venv '$(CACHE)'

.PHONY: help setup .packages demo serve test test-fast test-kernel lint bench clean distclean
.DEFAULT_GOAL := help
