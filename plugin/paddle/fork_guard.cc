#include "plugin/paddle/fork_guard.h"

#include <pthread.h>

#include "plugin/core/runtime.h"
#include "plugin/paddle/monitor_page.h"

namespace mps::paddle {
namespace {

template <void (Memory::*call)()>
void for_each_memory() {
  for (int i = 0; i < Runtime::device_count(); ++i) (Runtime::device(i).memory().*call)();
}

void settle_in_child() {
  leave_monitor_page();
  for_each_memory<&Memory::unlock_after_fork>();
}

}  // namespace

void guard_against_fork() {
  pthread_atfork(for_each_memory<&Memory::lock_for_fork>, for_each_memory<&Memory::unlock_after_fork>, settle_in_child);
}

}  // namespace mps::paddle
