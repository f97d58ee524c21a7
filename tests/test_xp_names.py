"""The package's source against the frozen list of CuPy's names: each `xp.<name>` must exist in both libraries.

And what handles data must not call NumPy by name, since the data may lie on a GPU.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from standin.frozen import NAMES, SAME, UFUNCS, signature

PACKAGE = Path(__file__).parents[1] / "minidni"

# `np.<name>` that does not compute on a layer's data: types, constants, and drawing, which is always done on the host.
HOST_NAMES = {
    *("ndarray", "generic", "number", "integer", "floating", "bool_", "dtype"),
    *("float32", "float64", "complex64", "complex128", "int32", "int64"),
    *("e", "finfo", "iinfo", "inf", "nan", "newaxis", "pi"),
    *("errstate", "random.Generator", "random.SeedSequence", "random.default_rng"),
}
# More of them in single files, and why.
HOST_NAMES_IN = {
    "arrays/backend.py": {"asarray", "empty", "uint8"},  # to_numpy, whose result is on the host; empty, on the host
    "locking/blas.py": {"ones"},  # for the host's BLAS
    "locking/over_mpi.py": {"copyto", "dtype", "empty"},  # what MPI sends lies on the host, unless it knows GPUs
    "locking/ring.py": {"copyto", "dtype", "frombuffer", "uint8"},  # processes share the host's memory
    "nn/files.py": {"array", "load", "savez"},  # files are written from the host
    "nn/initialise.py": {
        "diag",
        "eye",
        "isfinite",
        "linalg.qr",
        "shape",
        "sign",
        "zeros",
    },  # weights are drawn on the host
    "nn/losses.py": {"isfinite"},  # behind `array_module(h) is np`
    "nn/parameters.py": {"shape", "zeros"},  # parameters start on the host; the shape of nested lists
    "nn/recurrent/base.py": {"hstack"},  # weights are drawn on the host
    "nn/recurrent/fast/products.py": {"show_config"},  # what this processor can do
    "training.py": {"mean"},  # of a list of Python's numbers
}
# Where all arrays are on the host: the data sets, the checker's own arithmetic, pictures, tables of results.
HOST_ONLY = ("data/", "experiments/", "gradcheck/", "plots/")

SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_source_uses_only_names_that_both_libraries_have(path):
    problems = list(problems_in(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()))
    assert not problems, "\n" + "\n".join(problems)


def test_the_package_is_found():
    assert len(SOURCES) > 10
    assert all((PACKAGE / name).exists() for name in HOST_NAMES_IN), "HOST_NAMES_IN names a file that is gone"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("with xp.errstate(all='ignore'): pass", "line 1: cupy has no errstate"),
        ("\ny = xp.insert(x, 0, 1)", "line 2: cupy has no insert"),
        ("y = xp.linalg.multi_dot(a)", "cupy.linalg has no multi_dot"),
        ("y = array_module(x).nditer(x)", "cupy has no nditer"),
        ("lib = array_module(x)\nlib.block(x)", "line 2: cupy has no block"),
        ("import cupy\ny = cupy.no_such_kernel(x)", "cupy has no no_such_kernel"),
        ("import cupyx\ncupyx.scatter_mul(a, i, b)", "cupyx has no scatter_mul"),
        ("xp.multiply.at(a, i, b)", "cupy.multiply has no at"),
        ("xp.maximum.reduce(a)", "cupy.maximum has no reduce"),
        ("xp.add.outest(a, b)", "cupy.ufunc has no outest"),
        ("xp.add(a, b, where=m)", "cupy.add does not take these arguments"),
        ("xp.sum(a, initial=0)", "cupy.sum does not take these arguments"),
        ("xp.sum(a, 0, None, None, False, 0)", "cupy.sum does not take these arguments"),
        ("xp.einsum('ij->i', a, out=b)", "cupy.einsum does not take these arguments"),
        ("y = xp.asnumpy(x)", "numpy has no asnumpy"),
        ("y = np.exp(x)", "line 1: np.exp on what may lie on a GPU"),
        ("y = np.random.normal(0, 1)", "np.random.normal on what may lie on a GPU"),
        ("import numpy\ny = numpy.exp(x)", "line 2: np.exp on what may lie on a GPU"),
        ("from numpy import dtype, tanh", "np.tanh on what may lie on a GPU"),
    ],
)
def test_planted_mistakes_are_caught(source, complaint):
    [problem] = problems_in(source, "nn/planted.py")
    assert problem.startswith("nn/planted.py") and complaint in problem


@pytest.mark.parametrize(
    "source",
    [
        "y = xp.add(a, b, out=c)",
        "xp.add.at(a, i, b)",
        "xp.add.reduce(a, axis=0)",
        "y = xp.einsum('ij->i', *arrays, optimize=True)",
        "xp.sum(a, **options)",
        "xp.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))",
        "t = xp.float32",
        "y = other.exp_of_anything(x, where=3)",
        "def f(x: np.ndarray, rng: np.random.Generator) -> np.float32: ...",
    ],
)
def test_sound_source_passes(source):
    assert not list(problems_in(source, "nn/planted.py"))


def test_folders_of_the_host_may_use_numpy_but_no_name_that_cupy_lacks():
    assert not list(problems_in("y = np.exp(x)", "gradcheck/planted.py"))
    assert list(problems_in("y = xp.insert(x, 0, 1)", "gradcheck/planted.py"))


def problems_in(source: str, file: str) -> Iterator[str]:
    """A sentence for each name or argument that is wrong."""
    tree = ast.parse(source)
    numpy_names, device_names = {"np"}, {"xp", "cupy", "cupyx"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            numpy_names |= {alias.asname or "numpy" for alias in node.names if alias.name == "numpy"}
        elif isinstance(node, ast.Assign) and is_array_module(node.value):
            device_names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    allowed = HOST_NAMES | HOST_NAMES_IN.get(file, set())
    for node, root, names, call in chains(tree):
        where = f"{file}, line {node.lineno}: "
        if root in numpy_names | {"from numpy"}:
            name = ".".join(names[: 2 if names[0] in ("random", "linalg", "fft", "lib") else 1])
            if name not in allowed and not file.startswith(HOST_ONLY):
                yield f"{where}np.{name} on what may lie on a GPU: use array_module, or HOST_NAMES in this test"
        elif root in device_names:
            for complaint in check_chain(root if root in ("cupy", "cupyx") else "xp", names, call):
                yield where + complaint


def is_array_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "array_module"


def chains(tree: ast.AST) -> Iterator[tuple[ast.AST, str, list[str], ast.Call | None]]:
    """Each outermost `root.a.b`: the node, "root", ["a", "b"], and the call if it is called."""
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "numpy":
            for alias in node.names:
                yield node, "from numpy", [alias.name], None
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        names: list[str] = []
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            names.insert(0, root.attr)
            root = root.value
        if isinstance(root, ast.Name):
            yield node, root.id, names, calls.get(id(node))
        elif is_array_module(root):
            yield node, "xp", names, calls.get(id(node))


def check_chain(root: str, names: list[str], call: ast.Call | None) -> Iterator[str]:
    """Follow `root.a.b` through CuPy's modules, and through NumPy's where `root` may be either."""
    owner, host = ("cupy", np) if root == "xp" else (root, None)
    for n, name in enumerate(names):
        if name not in NAMES[owner]:
            yield f"{owner} has no {name}"
            return
        if host is not None and (host := getattr(host, name, None)) is None:
            yield f"numpy has no {'.'.join(names[: n + 1])}"
            return
        if f"{owner}.{name}" in NAMES:
            owner = f"{owner}.{name}"
        elif owner == "cupy" and name in UFUNCS and n + 1 < len(names):
            method = names[n + 1]
            if method not in NAMES["cupy.ufunc"]:
                yield f"cupy.ufunc has no {method}"
            elif method in ("accumulate", "at", "reduce", "reduceat") and method not in UFUNCS[name]:
                yield f"cupy.{name} has no {method}"
            return
        elif NAMES[owner][name] == SAME or n + 1 < len(names):
            return
        elif call is not None and (known := signature(owner, name)) is not None:
            positional = [None for a in call.args if not isinstance(a, ast.Starred)]
            keywords = {k.arg: None for k in call.keywords if k.arg is not None}
            try:
                known.bind_partial(*positional, **keywords)
            except TypeError as error:
                yield f"{owner}.{name} does not take these arguments: {error}"
