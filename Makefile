# Two targets do everything on a fresh machine: `make demo` and `make test`. Both make the environment first if it is not there.
VENV   ?= .venv
PYTHON ?= python3
PY     := $(VENV)/bin/python
# made anew only when what is to be installed has changed
READY  := $(VENV)/.ready-$(shell cat pyproject.toml setup.py settings.ini | cksum | cut -d' ' -f1)
BAR    := $(if $(CI),--progress-bar off,)
# tests run in JOBS processes with one thread each, which is quicker than one process with many threads
JOBS   ?= 2
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) --dist worksteal
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help env demo test test-all lab docs readme export clean
help:            ## what can be made
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(READY)    ## the virtual environment (about 6 GB: PyTorch comes with its CUDA libraries)
$(READY):
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check $(BAR) -e '.[dev]'
	$(PY) -m pip install --disable-pip-version-check $(BAR) --no-deps trackeval==1.3.0   # alone: it asks for the OpenCV with windows, which would overwrite ours
	rm -f $(VENV)/.ready-* && touch $@

demo: $(READY)   ## make data, train, evaluate, classify a video: results in demo_out/
	$(PY) -m vidnb demo --out demo_out

test: $(READY)   ## everything that must hold: notebooks, tests, site pages
	$(PYTEST)

test-all: $(READY) ## the same and the slow cells and tests
	$(PYTEST) --slow

lab: $(READY)    ## open JupyterLab on the notebooks
	$(PY) -m jupyter lab nbs

docs: $(READY)   ## render the site with Quarto into _docs/
	@command -v quarto >/dev/null || { echo "Quarto is not installed, so the site cannot be rendered here. Get it from https://quarto.org/docs/get-started/ and run 'make docs' again. The pages themselves are checked without it by 'make test'."; exit 1; }
	$(VENV)/bin/nbdev-docs

export: $(READY) ## notebooks -> modules, README; clean notebooks
	$(VENV)/bin/nbdev-export
	$(VENV)/bin/nbdev-clean
	$(PY) -c "from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml; refresh_quarto_yml(); nbdev_sidebar.__wrapped__()"
	$(PY) -c "from vidnb.core.doctools import write_readme; write_readme()"

clean:           ## remove what was built (not the environment)
	rm -rf _proc _docs build dist demo_out *.egg-info .pytest_cache
