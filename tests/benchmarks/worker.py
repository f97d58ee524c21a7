"""One process per library: two BLAS libraries with two threads each in one process would disturb each other.

The number of threads is set by environment variables before the process starts, so before its BLAS is loaded. The
process then waits on a pipe, without using a processor, until it is asked for a few steps.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
import traceback

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
MODULES = {
    "minidni": "benchmarks.in_numpy",
    "minidni-no-dx": "benchmarks.in_numpy",
    "plain": "benchmarks.in_numpy",
    "naive": "benchmarks.in_numpy",
    "torch": "benchmarks.in_torch",
    "torch-ftz": "benchmarks.in_torch",
    "torch-no-dx": "benchmarks.in_torch",
    "jax": "benchmarks.in_jax",
}


class WorkerError(Exception):
    """A worker could not do what it was asked; the text says which, and why."""


class Worker:
    """The near end: `worker.call(name, *arguments)` runs that method of the `Duties` in the other process.

    Args:
        library: a key of MODULES, or "floor".
        threads: how many its BLAS may use.
    """

    def __init__(self, library, threads):
        self.library = library
        context = multiprocessing.get_context("spawn")
        self.pipe, far_end = context.Pipe()
        self.process = context.Process(target=serve, args=(far_end, library, threads), daemon=True, name=library)
        with _environment({name: str(threads) for name in THREADS}):
            self.process.start()
        far_end.close()  # so that the pipe ends when the process does

    def ask(self, name, *arguments):
        # A process that has ended says so when it is asked for the answer.
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send((name, arguments))

    def answer(self):
        try:
            good, value = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(5)
            raise WorkerError(f"{self.library}: its process ended, exit code {self.process.exitcode}") from None
        if not good:
            raise WorkerError(f"{self.library}: {value}")
        return value

    def call(self, name, *arguments):
        self.ask(name, *arguments)
        return self.answer()

    def close(self):
        self.pipe.close()
        self.process.kill()
        self.process.join()


@contextlib.contextmanager
def start_workers(libraries, threads):
    """Workers by library, all started at once; gives them with their versions, and ends them whatever happens."""
    workers = {}
    try:
        for library in libraries:
            workers[library] = Worker(library, threads)
            workers[library].ask("versions")
        versions = {}
        for worker in workers.values():
            versions |= worker.answer()
        yield workers, versions
    finally:
        for worker in workers.values():
            worker.close()


@contextlib.contextmanager
def _environment(variables):
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def serve(pipe, library, threads):
    """The far end: answer until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks, who then closes the pipe
    duties = Duties(library, threads)
    while True:
        try:
            name, arguments = pipe.recv()
        except (EOFError, OSError):  # closed, perhaps with an answer unread
            return
        try:
            answer = True, getattr(duties, name)(*arguments)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            answer = False, f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}, line {where.lineno})"
        try:
            pipe.send(answer)
        except OSError:
            return


class Duties:
    """What a worker can be asked."""

    def __init__(self, library, threads):
        self.library, self.threads = library, threads
        self.module = self.task = None

    def versions(self):
        """Import the library; name -> version of what it runs on."""
        if self.library == "floor":
            return {}
        self.module = importlib.import_module(MODULES[self.library])
        return self.module.versions(self.library, self.threads)

    def prepare(self, task):
        """Build the step, and run it once."""
        self.task = None  # the last one's memory is free before this one asks for its own
        if self.library == "floor":
            from benchmarks.floor import Floor

            self.task = Floor(task)
            return
        self.task = self.module.make(self.library, task)
        self.task.step()

    def results(self):
        """What the last step found: name -> array."""
        return self.task.results()

    def turn(self, seconds):
        """Run steps for about so long, at least one; (CPU seconds, wall seconds) of each."""
        times, begin = [], time.perf_counter()
        while not times or time.perf_counter() - begin < seconds:
            cpu, wall = time.process_time(), time.perf_counter()
            self.task.step()
            times.append((time.process_time() - cpu, time.perf_counter() - wall))
        # The first step finds the caches full of another library's data: left out where there are others.
        return times[1:] if len(times) > 3 else times

    def rates(self, by_cpu):
        return self.task.rates(by_cpu)

    def memory(self, cell, shape):
        from benchmarks import memory

        return memory.measure(cell, shape)

    def blas(self):
        """The BLAS that NumPy uses, with its kernel and threads, as far as threadpoolctl can tell."""
        import numpy as np

        with contextlib.suppress(ImportError):
            import threadpoolctl

            np.ones((2, 2)) @ np.ones((2, 2))
            found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            return ", ".join(
                f"{pool['internal_api']} {pool['version']} ({pool.get('architecture', 'unknown kernel')}, "
                f"{pool['num_threads']} threads)"
                for pool in found
            )
        name = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
        return f"{name} (threadpoolctl is not there to name the kernel)"
