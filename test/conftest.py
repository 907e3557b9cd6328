"""Makes `support` importable by every test, and keeps tests out of the user's compilation cache."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# CI draws the same examples every time: what it says does not depend on luck. Everybody else draws new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("support")

# JAX is asked for numbers, not for speed: most of its time here would go into optimizing.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory):
    """A cache of this test run's own."""
    os.environ["LAMINA_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
