// Allocating and freeing blocks of the null device's memory, with its figures here or there, and with history or
// without. Compiled and called by observing.py.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <new>

#include "plugin/core/memory.h"
#include "plugin/null/device_null.h"

namespace {

uint64_t no_stack() { return 0; }

}  // namespace

struct Bench {
  Bench(mps::Figures* figures, size_t block_bytes) : bytes(block_bytes), memory(device, 0, [] {}, figures) {}
  const size_t bytes;
  mps::NullDevice device;
  mps::Memory memory;
};

extern "C" {

// `path`: a file to count in, made here; empty: count in memory of our own. history: 0 none, 1 without stacks, 2 with a
// hook that does nothing.
Bench* bench_open(const char* path, uint64_t bytes, int history) {
  mps::Figures* figures = nullptr;
  if (*path != '\0') {
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (file < 0 || ftruncate(file, static_cast<off_t>(page)) != 0) return nullptr;
    void* const base = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) return nullptr;
    figures = new (base) mps::Figures;
  }
  auto* const bench = new Bench(figures, bytes);
  if (history != 0) bench->memory.start_history(1 << 16, history == 2 ? no_stack : nullptr);
  bench->memory.allocate(bytes);  // so that its arena stays
  return bench;
}

void bench_run(Bench* bench, uint64_t pairs) {
  for (uint64_t i = 0; i < pairs; ++i) bench->memory.free(bench->memory.allocate(bench->bytes).address);
}

}  // extern "C"
