PYTHON ?= python
# One script, one JSON file; names that begin with _ are shared parts, four show what others measured.
BENCHMARKS := $(filter-out benchmarks/_% %/draw_coverage.py %/draw_looks.py %/levels.py %/headlines.py, $(wildcard benchmarks/*.py))

.PHONY: check test bench docs help force

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
