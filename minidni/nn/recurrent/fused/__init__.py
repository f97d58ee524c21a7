"""Walks arranged for a GPU: what a step does between two products is one kernel in CUDA C, beside its plain version.

A launch costs the host more time than a GPU needs for a step's arithmetic, so launches are what is saved: two a step on
the way forward, two on the way back, and whole-window products for the rest. Nothing in a step waits for the GPU or
asks for memory.
"""
