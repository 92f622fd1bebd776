# Everything one does with volsnap, one command each; `make` alone lists them.
# Each target installs what it needs first (as root, on Debian 12): see tools/setup.

BACKEND ?= file
PORT ?= 8776
ONCE ?=
PYTHON := .venv/bin/python

# What a backend needs beside the virtual environment.
SETUP_file :=
SETUP_rbd := ceph
SETUP_lvm := lvm
SETUP_lvm-thick := lvm
SETUP_lvm-thin := lvm

.PHONY: help run test check bench sample clean distclean

help:
	@echo 'make run               start volsnap, walk through its main job on real storage, go on serving (Ctrl-C ends)'
	@echo '  BACKEND=…              file (default), rbd (a real Ceph), lvm-thick or lvm-thin (real LVM in a small guest)'
	@echo '  PORT=…                 another port than 8776'
	@echo '  ONCE=1                 end after the walk'
	@echo 'make test              every check and every test, on every real backend (VOLSNAP_SKIP=lvm,rbd,postgresql,xfs skips)'
	@echo 'make check             static checks, unit, contract and functional tests: needs no storage and no root'
	@echo 'make bench             benchmarks beside raw backend calls'
	@echo 'make sample            write the generated files again (configuration and policy samples, docs/lifecycle.md)'
	@echo 'make clean             remove caches and what make run keeps in var/'
	@echo 'make distclean         the same, and the virtual environment and the labs'

run:
	$(if $(filter undefined,$(origin SETUP_$(BACKEND))),$(error BACKEND=$(BACKEND): choose file, rbd, lvm-thick or lvm-thin))
	@tools/setup venv walk $(SETUP_$(BACKEND))
	@$(PYTHON) tools/walk.py --backend $(BACKEND) --port $(PORT) $(if $(ONCE),--once)

test:
	@tools/run_tests.py all

check:
	@tools/run_tests.py check

bench:
	@tools/setup dev walk ceph lvm servers
	@$(PYTHON) -m benchmarks

sample:
	@tools/setup dev
	@$(PYTHON) tools/generate.py

clean:
	rm -rf build var .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv .labs volsnap.egg-info
