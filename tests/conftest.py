"""What all tests share: one BLAS thread, hypothesis without a clock, and the devices that the library must run on."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy is imported: two threads beside a busy neighbour are far slower

from collections.abc import Iterator  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import standin  # noqa: E402

hypothesis.settings.register_profile("minidni", deadline=None, max_examples=20, print_blob=True)
hypothesis.settings.load_profile("minidni")


def _has_gpu() -> bool:
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.is_available())


GPU = [pytest.param("cupy", marks=pytest.mark.gpu)] if _has_gpu() else []


@pytest.fixture(params=["numpy", "stand-in", *GPU])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """ "cpu" for NumPy; "cuda" for the strict stand-in, and for CuPy itself where there is a GPU."""
    if request.param == "numpy":
        yield "cpu"
    elif request.param == "stand-in":
        with standin.installed():
            yield "cuda"
    else:
        yield "cuda"


@pytest.fixture
def on_a_gpu(request: pytest.FixtureRequest) -> bool:
    """Whether the device is a real GPU, and not its stand-in."""
    return request.node.callspec.params.get("device") == "cupy"


@pytest.fixture(autouse=True)
def fast_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' sizes are small; without this most of them would see a recurrent layer's plain walk alone."""
    monkeypatch.setattr("minidni.nn.recurrent.base.FEWEST_ROWS", 1)
