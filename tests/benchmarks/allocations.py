"""Every byte that NumPy allocates for arrays, counted one by one.

`tracemalloc` tells what is held, and what was held at most at once; a hundred arrays made and freed one after the
other count there as one. NumPy (NEP 49) lets an allocator be put in the place of its own: this one counts, and hands on
to C's. It is set through NumPy's table of C functions, whose places are part of its stable ABI.
"""

import ctypes

_Malloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Calloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_Realloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_SET_HANDLER = 304  # PyDataMem_SetHandler's place in the table


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of NumPy's ndarraytypes.h."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("ctx", ctypes.c_void_p),
        ("malloc", _Malloc),
        ("calloc", _Calloc),
        ("realloc", _Realloc),
        ("free", _Free),
    )


class Counter:
    """`with counter:` counts; `counter.bytes` and `counter.arrays` say what was allocated inside.

    Made once in a process and never undone: arrays made inside are freed through it, whenever that is.
    """

    _kept: "list[Counter]" = []  # noqa: RUF012

    def __init__(self):
        import numpy._core._multiarray_umath as core

        libc = ctypes.PyDLL(None)
        for name, arguments in (("malloc", 1), ("calloc", 2)):
            getattr(libc, name).argtypes = [ctypes.c_size_t] * arguments
            getattr(libc, name).restype = ctypes.c_void_p
        libc.realloc.argtypes, libc.realloc.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_void_p
        libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None
        self.bytes = self.arrays = 0

        def count(n):
            self.bytes += n
            self.arrays += 1

        def malloc(_, n):
            count(n)
            return libc.malloc(n)

        def calloc(_, n, size):
            count(n * size)
            return libc.calloc(n, size)

        def realloc(_, address, n):
            count(n)
            return libc.realloc(address, n)

        def free(_, address, n):
            libc.free(address)

        self._handler = _Handler(b"counting", 1, None, _Malloc(malloc), _Calloc(calloc), _Realloc(realloc), _Free(free))
        api = ctypes.pythonapi
        api.PyCapsule_New.restype, api.PyCapsule_GetPointer.restype = ctypes.py_object, ctypes.c_void_p
        api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        table = ctypes.cast(api.PyCapsule_GetPointer(core._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
        self._set = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[_SET_HANDLER])
        self._name = b"mem_handler"
        self._capsule = api.PyCapsule_New(ctypes.addressof(self._handler), self._name, None)
        Counter._kept.append(self)

    def __enter__(self):
        self.bytes = self.arrays = 0
        self._before = self._set(self._capsule)
        return self

    def __exit__(self, *_):
        self._set(self._before)
