PYTHON ?= python
# One script, one JSON file; names that begin with _ are shared parts, four show what others measured,
# and training.py needs a checkout of diffusers.
BENCHMARKS := $(filter-out benchmarks/_% %/draw_coverage.py %/draw_looks.py %/levels.py %/headlines.py %/training.py, $(wildcard benchmarks/*.py))

.PHONY: check test bench docs help page-check force

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

bench: $(BENCHMARKS:benchmarks/%.py=out/benchmarks/%.json)

out/benchmarks/%.json: benchmarks/%.py force
	@mkdir -p $(@D)
	$(PYTHON) $< --out $@

help:
	$(PYTHON) docs/help_texts.py

docs:
	$(PYTHON) -m sphinx -W --keep-going -n -b html docs docs/_build/html

# The page of an audit in a browser: needs node, npm and Chromium (CHROME=/path/to/it).
CHROME ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

page-check:
	rm -rf out/page-check
	$(PYTHON) .ci/page/write_pages.py out/page-check
	mkdir -p out/page-tools && cp .ci/page/package.json .ci/page/check.mjs out/page-tools
	npm install --prefix out/page-tools --no-audit --no-fund --loglevel=error
	CHROME=$(CHROME) node out/page-tools/check.mjs out/page-check
