"""`python -m paddle_mps.info --selftest`: the device of this machine, asked everything.

Two examinations, the same ones that the project's tests run. The conformance exam is a program
(mps_conformance_*, from tests/cpp/conformance) that asks the device below Paddle. The operator
suite compares ops with Paddle's CPU device: cases says what to call, tolerance how far a result may
be off, values, gradients and layouts ask, and suite lists every question.
"""
