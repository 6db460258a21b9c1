// fork() at any moment, from any thread.
#pragma once

namespace mps::paddle {

// A child of fork() may free the tensors that it inherited, so it must not inherit a lock of ours that another thread
// was holding; nor may it count in its parent's monitor page. Called once, when the devices are open.
void guard_against_fork();

}  // namespace mps::paddle
