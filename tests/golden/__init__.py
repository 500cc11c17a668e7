"""What training computes, down to the last bit: hashes of the weights that small runs of all three tasks end with.

A refactoring must not move them. They hold for one processor and one release of torch (other kernels sum in another
order), so hashes are kept by machine, and the test skips on one that has none. ``python -m tests.golden`` prints those
of this machine; ``--write`` keeps them: do that at the commit that is to be compared with, before the change.
"""
