// fork(), seen from a library with threads, locks and a device: the child has a copy of the memory and nothing else. It
// has no worker threads, a lock that another thread held is held for ever, and the device belongs to the parent. So in
// a child nothing of the runtime is used: whoever is about to take a lock or to wait asks here first.
#pragma once

namespace mps {

// True in a child of fork(), and in its children.
bool is_forked();

// Throws kUnsupported in such a child.
void check_not_forked();

}  // namespace mps
