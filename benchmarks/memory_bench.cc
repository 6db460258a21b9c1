// Allocators without a framework around them, for memory.py:
//   mps_memory_bench replay TRACE...   peaks of ours and of Paddle's auto_growth on recorded traces, as JSON
//   mps_memory_bench pairs LIVE...     nanoseconds of an allocation and a free with so many live blocks, as JSON
// A trace is a text file of numbers: n >= 0 allocates n bytes, -k frees the k-th allocation, counted from 1.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "paddle/phi/core/memory/allocation/auto_growth_best_fit_allocator.h"
#include "plugin/core/memory.h"
#include "plugin/host/device_host.h"
#include "plugin/null/device_null.h"

namespace {

namespace allocation = paddle::memory::allocation;

std::vector<int64_t> read_trace(const char* path) {
  std::ifstream file(path);
  std::vector<int64_t> events;
  for (int64_t event; file >> event;) events.push_back(event);
  if (events.empty()) {
    std::fprintf(stderr, "no trace in %s\n", path);
    std::exit(1);
  }
  return events;
}

uint64_t peak_requested(const std::vector<int64_t>& events) {
  std::vector<int64_t> sizes;
  int64_t now = 0, peak = 0;
  for (int64_t event : events) {
    if (event >= 0) sizes.push_back(event);
    now += event >= 0 ? event : -sizes[static_cast<size_t>(-event - 1)];
    peak = std::max(peak, now);
  }
  return static_cast<uint64_t>(peak);
}

uint64_t replay_ours(const std::vector<int64_t>& events) {
  mps::NullDevice device;
  mps::Memory memory(device, 0, [] {});
  std::vector<void*> blocks;
  for (int64_t event : events) {
    if (event >= 0) {
      blocks.push_back(memory.allocate(static_cast<size_t>(event)).address);
    } else {
      memory.free(blocks[static_cast<size_t>(-event - 1)]);
    }
  }
  return memory.stats().peak_reserved;
}

// Below auto_growth: addresses without memory, counted.
class Counting final : public allocation::Allocator {
 public:
  bool IsAllocThreadSafe() const override { return true; }
  uint64_t peak = 0;

 protected:
  phi::Allocation* AllocateImpl(size_t bytes) override {
    held_ += bytes;
    peak = std::max(peak, held_);
    next_ += (bytes + 4095) / 4096 * 4096;
    return new allocation::Allocation(reinterpret_cast<void*>(next_), bytes, phi::CPUPlace());
  }
  void FreeImpl(phi::Allocation* freed) override {
    held_ -= freed->size();
    delete freed;
  }

 private:
  uint64_t held_ = 0;
  uintptr_t next_ = uintptr_t{1} << 40;
};

uint64_t replay_auto_growth(const std::vector<int64_t>& events) {
  const auto system = std::make_shared<Counting>();
  allocation::AutoGrowthBestFitAllocator allocator(system, 256);  // what Paddle makes for a custom device
  std::vector<allocation::AllocationPtr> blocks;
  for (int64_t event : events) {
    if (event >= 0) {
      blocks.push_back(allocator.Allocate(static_cast<size_t>(event)));
    } else {
      blocks[static_cast<size_t>(-event - 1)].reset();
    }
  }
  blocks.clear();
  return system->peak;
}

void replay(const char* path) {
  const std::vector<int64_t> events = read_trace(path);
  std::printf("{\"trace\": \"%s\", \"events\": %zu, \"requested\": %llu, \"mps\": %llu, \"auto_growth\": %llu}\n", path,
              events.size(), static_cast<unsigned long long>(peak_requested(events)),
              static_cast<unsigned long long>(replay_ours(events)),
              static_cast<unsigned long long>(replay_auto_growth(events)));
}

// Sizes as programs have them: evenly spread over the powers of two from 256 bytes to 64 KiB.
std::vector<size_t> sizes_of(size_t count) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> exponent(8, 16);
  std::vector<size_t> sizes(count);
  for (size_t& size : sizes) size = static_cast<size_t>(std::exp2(exponent(random)));
  return sizes;
}

template <typename Pair>
double median_ns(Pair&& pair) {
  constexpr int kBatches = 201, kPairs = 500;
  std::vector<double> batches;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kPairs; ++i) pair();
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    batches.push_back(time.count() / kPairs);
  }
  std::nth_element(batches.begin(), batches.begin() + kBatches / 2, batches.end());
  return batches[kBatches / 2];
}

void pairs(size_t live) {
  const std::unique_ptr<mps::Device> device = std::make_unique<mps::HostDevice>(mps::HostOptions());
  mps::Memory memory(*device, uint64_t{1} << 40, [] {});
  const std::vector<size_t> sizes = sizes_of(live + 4096);
  std::vector<void*> blocks;
  for (size_t i = 0; i < live; ++i) blocks.push_back(memory.allocate(sizes[i]).address);
  size_t next = 0;
  // A temporary: allocated, freed.
  const double temporary = median_ns([&] { memory.free(memory.allocate(sizes[live + next++ % 4096]).address); });
  // Turnover: a random block goes, one of another size comes.
  std::mt19937 random(2);
  const double turnover = median_ns([&] {
    void*& block = blocks[random() % live];
    memory.free(block);
    block = memory.allocate(sizes[live + next++ % 4096]).address;
  });
  std::printf("{\"live\": %zu, \"temporary_ns\": %.1f, \"turnover_ns\": %.1f}\n", live, temporary, turnover);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string command = count > 2 ? arguments[1] : "";
  for (int i = 2; i < count; ++i) {
    if (command == "replay") {
      replay(arguments[i]);
    } else if (command == "pairs") {
      pairs(static_cast<size_t>(std::atoll(arguments[i])));
    }
  }
  if (command != "replay" && command != "pairs") std::fprintf(stderr, "replay TRACE... or pairs LIVE...\n");
  return command == "replay" || command == "pairs" ? 0 : 2;
}
