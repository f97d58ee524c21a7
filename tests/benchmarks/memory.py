"""Memory of back-propagation through time: what a window keeps and needs at most, and what a recycled cache saves."""

import gc
import tracemalloc

from benchmarks.tasks import GATES, SHAPES, Task

#: Peak memory as a function of T, at the B, D and H of "lm20".
LENGTHS = (5, 20, 80, 320)


def rows(shapes=None):
    """(cell, shape) of each row."""
    if not shapes:
        _, *rest = SHAPES["lm20"]
        shapes = dict.fromkeys([*((T, *rest) for T in LENGTHS), *SHAPES.values()])
    return [(cell, shape) for cell in GATES for shape in shapes]


def measure(cell, shape):
    """One row, all in bytes but the page faults. To be called in a process of its own."""
    from benchmarks import in_numpy

    task = Task("memory", cell, tuple(shape))
    row = {"cell": cell, "shape": list(shape)}
    tracemalloc.start()
    naive = in_numpy.Naive(task)
    row["naive_peak"] = _peak(naive.step)
    del naive
    gc.collect()
    step = in_numpy.Recurrent(task, plain=False)
    row["first_peak"] = _peak(step.step)
    row["kept"] = step.cache.nbytes
    step.step()
    before, _ = tracemalloc.get_traced_memory()
    row["later_peak"] = _peak(step.step)
    row["later_growth"] = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    row["page_faults"] = _page_faults(step.step)
    row["later_allocated"], row["later_arrays"] = _allocated(step.step)
    return row


def _peak(step):
    """The most bytes held at once during the step, beyond those held before."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    step()
    return tracemalloc.get_traced_memory()[1] - before


def _page_faults(step):
    """Pages of memory that the operating system had to hand out during the step; None where it does not tell."""
    try:
        import resource
    except ImportError:
        return None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


_counter = None


def _allocated(step):
    """Bytes and number of all arrays made during the step; None where they cannot be counted."""
    global _counter
    try:
        from benchmarks.allocations import Counter

        _counter = _counter or Counter()
    except (ImportError, OSError, AttributeError, TypeError, ValueError):
        return None, None
    with _counter:
        step()
    return _counter.bytes, _counter.arrays


HEADS = ("first window, peak", "naive, peak", "kept", "later: allocated", "arrays", "at once", "grown", "page faults")


def title():
    head = f"{'(T, B, D, H)':<28}" + "".join(f"{name:>20}" for name in HEADS)
    return (
        "\nmemory of a training step of minidni, in MB (10^6 bytes); the first window with a new cache, later ones "
        f"with the same cache\n{head}\n{'-' * len(head)}"
    )


def row(found):
    """One printed line."""
    mega = [found[name] for name in ("first_peak", "naive_peak", "kept", "later_allocated")]
    cells = ["-" if n is None else f"{n / 1e6:.3f}" for n in mega]
    cells.append("-" if found["later_arrays"] is None else str(found["later_arrays"]))
    cells += [f"{found[name] / 1e6:.3f}" for name in ("later_peak", "later_growth")]
    cells.append("-" if found["page_faults"] is None else str(found["page_faults"]))
    name = f"{found['cell']} ({', '.join(map(str, found['shape']))})"
    return f"{name:<28}" + "".join(f"{cell:>20}" for cell in cells)
