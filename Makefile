# All that this needs is Python 3.11 to 3.13 with pip, and make. `make help` lists what there is.
#
# To use packages that are already installed (a CPU build of torch, say), name their virtual environment:
#     make parity VENV=path/to/venv
# torch and torchvision stay as they are there, and only what is missing is added.

VENV ?= .venv
# What make makes cannot have a space in its name, and where VENV is empty (an unset $VIRTUAL_ENV, say), pip would be the system's.
$(if $(filter-out 1,$(words $(VENV))),$(error VENV is '$(VENV)': expected one path, without spaces; the checkout's own may have them))
bin := $(VENV)/bin
# Two processes are what two cores and 8 GB can do. What one file tests stays in one of them.
pytest := $(bin)/pytest -n 2 --dist loadfile

# A stamp says that the environment holds what pyproject.toml asks for. It is written last, so a failed install leaves none.
test_stamp := $(VENV)/.one-network-twice-test
dev_stamp := $(VENV)/.one-network-twice-dev
gpu_stamp := $(VENV)/.one-network-twice-gpu

.PHONY: help parity test slow proof bench lint types clean
.DELETE_ON_ERROR:

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## */\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name what; do \
		printf 'make %-8s %s\n' "$$name" "$$what"; done

parity: $(test_stamp)  ## prove the three pairs equal (about a minute once installed)
	$(bin)/parity

test: $(test_stamp)  ## the suite (some minutes)
	$(pytest)

slow: $(test_stamp)  ## the tests that take longer: ports, goldens, benchmarks (some minutes more)
	$(pytest) -m "slow and not proof"

proof: $(test_stamp)  ## all planted mistakes, seeds and loops; writes the tables that the docs show
	$(pytest) -m proof
	$(bin)/python -m parity_tests.proof
	$(bin)/python -m parity_tests.optimizers_page

bench: $(test_stamp) $(if $(shell command -v nvidia-smi),$(gpu_stamp))  ## time the variants of both frameworks (BENCH=--quick: only the main ones)
	$(bin)/python -m benchmarks $(BENCH)

lint: $(dev_stamp)  ## ruff
	$(bin)/ruff check .

types: $(dev_stamp)  ## mypy --strict
	$(bin)/mypy

# Another environment than .venv is somebody's own: it only loses the stamps.
clean:  ## remove what make and the tools made
	rm -f $(test_stamp)* $(dev_stamp)* $(gpu_stamp)*
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .parity
	find jaxnet torchnet parity benchmarks parity_tests -name __pycache__ -prune -exec rm -rf {} +

# What is there of torch and torchvision is held, since pip would otherwise replace a torch to suit the newest torchvision.
# The two must be builds of one kind: pip cannot see that a torchvision for CUDA does not load beside a torch for the CPU.
define install
	@$(bin)/python -m pip list --format=freeze > $@.list
	@sed -n '/^torch==/p; /^torchvision==/p' $@.list > $@.hold
	$(bin)/python -m pip install --constraint $@.hold --editable '.[$(1)]'
	@$(bin)/python -c 'import torchvision' || { \
		echo "torchvision does not load beside this torch: install torchvision from where torch came from, then run make again." >&2; exit 1; }
	@rm $@.list $@.hold
endef

$(test_stamp): pyproject.toml | $(bin)/pip
	@echo "Installing into $(VENV): PyTorch, JAX and what the suite needs (3.2 GB to download and 6.2 GB on disk where nothing is there yet)."
	$(call install,test)
	@touch $@

$(gpu_stamp): pyproject.toml | $(test_stamp)
	@echo "Installing into $(VENV): JAX's part for an NVIDIA GPU with CUDA 13."
	$(call install,cuda13)
	@touch $@

$(dev_stamp): pyproject.toml | $(bin)/pip
	@echo "Installing into $(VENV): PyTorch, JAX, the suite, ruff and mypy (3.2 GB to download and 6.2 GB on disk where nothing is there yet)."
	$(call install,dev)
	@touch $(test_stamp) $@

# PYTHON=... names another interpreter; otherwise the first one that is in range. An environment that is there stays as it is
# and gets pip, which uv's have not: making it anew would say in its pyvenv.cfg that it is another Python's.
$(bin)/pip:
	@if [ -x $(bin)/python ]; then \
		echo "Adding pip to $(VENV)."; \
		$(bin)/python -m ensurepip --default-pip && exit 0; \
		echo "$(VENV) has no pip, and Python could not add it: install it there (uv pip install pip)." >&2; exit 1; \
	fi; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
			echo "Making the virtual environment $(VENV) with $$($$python --version)."; \
			$$python -m venv $(VENV) && exit 0; \
			echo "Python could not make a virtual environment: install its venv module (Debian: apt-get install python3-venv)." >&2; \
			exit 1; \
		fi; \
	done; \
	echo "No Python 3.11, 3.12 or 3.13 found: install one, or name it (make PYTHON=path/to/python)." >&2; exit 1
