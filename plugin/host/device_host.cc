#include "plugin/host/device_host.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "plugin/host/event_host.h"
#include "plugin/host/plan_host.h"
#include "plugin/host/reference_host.h"
#include "plugin/host/stream_host.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t round_up(size_t bytes, size_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

class HostBuffer final : public Buffer {
 public:
  HostBuffer(char* address, size_t bytes) : address_(address), bytes_(bytes) {}
  void* contents() const override { return address_; }
  size_t bytes() const override { return bytes_; }

 private:
  char* const address_;
  const size_t bytes_;
};

class HostHeap final : public Heap {
 public:
  HostHeap(char* base, size_t bytes, std::shared_ptr<std::atomic<uint64_t>> mapped)
      : base_(base), bytes_(bytes), mapped_(std::move(mapped)) {
    mapped_->fetch_add(bytes_);
  }
  ~HostHeap() override {
    munmap(base_, bytes_);
    mapped_->fetch_sub(bytes_);
  }
  size_t bytes() const override { return bytes_; }
  std::unique_ptr<Buffer> new_buffer(size_t offset, size_t bytes) override {
    return std::make_unique<HostBuffer>(base_ + offset, bytes);
  }

 private:
  char* const base_;
  const size_t bytes_;
  const std::shared_ptr<std::atomic<uint64_t>> mapped_;
};

// Large pages need a range that starts at a multiple of their size: map more and return the ends.
char* map_aligned(size_t bytes, size_t alignment) {
  const size_t mapped = bytes + alignment;
  void* const raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* const first = static_cast<char*>(raw);
  char* const base = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(first), alignment));
  if (base != first) munmap(first, static_cast<size_t>(base - first));
  if (const size_t rest = static_cast<size_t>(first + mapped - (base + bytes)); rest != 0) munmap(base + bytes, rest);
  return base;
}

// "model name : AMD EPYC 7543" and the like; the architecture where the kernel names no model, as on most Arm machines.
std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
#if defined(__aarch64__)
  return "AArch64 CPU";
#else
  return "CPU";
#endif
}

// What this process may use: the machine's memory or its container's limit.
uint64_t total_memory() {
  uint64_t total = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  std::ifstream group("/sys/fs/cgroup/memory.max");
  uint64_t limit = 0;
  if (group >> limit) total = std::min(total, limit);  // "max" is no number: no limit
  return total;
}

DeviceProperties describe() {
  DeviceProperties properties;
  properties.name = cpu_name();
  properties.backend = "host";
#if defined(__aarch64__)
  properties.architecture = "aarch64";
#else
  properties.architecture = "x86-64";
#endif
  properties.total_memory = total_memory();
  properties.recommended_memory = properties.total_memory / 4 * 3;
  properties.max_buffer_bytes = properties.total_memory;
  properties.page_bytes = static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  properties.core_count = thread_count();
  return properties;
}

}  // namespace

HostDevice::HostDevice(const HostOptions& options)
    : options_(options),
      properties_(describe()),
      mapped_bytes_(std::make_shared<std::atomic<uint64_t>>(0)),
      scratch_(std::make_shared<Scratch>()) {}

uint64_t HostDevice::driver_allocated_bytes() const { return mapped_bytes_->load() + scratch_->bytes(); }

std::unique_ptr<Heap> HostDevice::new_heap(size_t bytes) {
  const size_t page = properties_.page_bytes;
  const bool large = bytes >= kHugePage;
  const size_t size = round_up(std::max<size_t>(bytes, 1), page);
  if (size < bytes) return nullptr;  // more than there are addresses
  char* const base = map_aligned(size, large ? kHugePage : page);
  if (base == nullptr) return nullptr;
#if defined(MADV_HUGEPAGE)
  if (large) madvise(base, size, MADV_HUGEPAGE);  // advice: a kernel without huge pages refuses it, and all is well
#endif
  return std::make_unique<HostHeap>(base, size, mapped_bytes_);
}

std::unique_ptr<Buffer> HostDevice::wrap(void* address, size_t bytes) {
  return std::make_unique<HostBuffer>(static_cast<char*>(address), bytes);
}

std::unique_ptr<Stream> HostDevice::new_stream() { return std::make_unique<HostStream>(options_.delay_us); }

std::unique_ptr<Event> HostDevice::new_event() { return std::make_unique<HostEvent>(); }

std::string HostDevice::supports(const Graph&) const { return {}; }

std::shared_ptr<const Executable> HostDevice::compile(const Graph& graph) {
  if (options_.reference) return compile_reference(graph);
  return compile_plan(graph, scratch_);
}

}  // namespace mps
