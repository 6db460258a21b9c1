// Where a Python program is, as a number: equal stacks have equal numbers.
//
// current_stack() is what the plugin asks before each allocation and free while history is recorded, on whichever
// thread that is; a number costs far less than a list of frames. Frames that are called from the same place lie in a
// tree, so a number is a node and its stack is the way to the root. Guarded by Python's lock.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace mps::python {

constexpr uint64_t kNoStack = 0;

// The number of this thread's stack; kNoStack on a thread that Python does not know, after switch_stacks_off(), and in
// a child of fork(). Waits for Python's lock if this thread does not hold it.
uint64_t current_stack();
// The same, but kNoStack rather than a wait.
uint64_t current_stack_without_waiting();

void switch_stacks_on();
void switch_stacks_off();

// Forgets every stack; their numbers are never used again.
void forget_stacks();
// [(file, line, function), ...], the innermost first; None if the number is of no stack that is still known.
pybind11::object frames_of(uint64_t stack);
// Frames in the tree. When it is full, a new stack is the part of it that is known.
size_t frames_in_tree();

}  // namespace mps::python
