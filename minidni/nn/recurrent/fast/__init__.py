"""Walks arranged for speed on a CPU, each the same arithmetic as the plain walk of its layer, and tested against it.

Inside, arrays have their features first: a step's gates are (4 H, B), not (B, 4 H), so each gate is one block of
memory, and a step is one product of the weights with what it sees. x and y are turned once for the whole window.
"""
