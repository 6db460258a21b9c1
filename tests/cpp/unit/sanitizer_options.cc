// What sanitizers need to know about these tests. Without sanitizers nobody calls this.

#define MPS_VISIBLE extern "C" __attribute__((visibility("default")))

// Memory that cannot be had is an answer, not the end of the process.
MPS_VISIBLE const char* __asan_default_options();
MPS_VISIBLE const char* __tsan_default_options();
const char* __asan_default_options() { return "allocator_may_return_null=1"; }
const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

// A child of fork() inherits what the pool's threads own, but not the threads: at its exit nothing seems to hold it.
MPS_VISIBLE const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() { return "leak:start_helpers\nleak:__cxa_thread_atexit_impl\n"; }
