// The Metal device on the double: which GPUs are taken, what is known of them, and their memory.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "tests/apple_double/tests/on_double.h"

namespace mps::on_double {
namespace {

using apple_double::Machine;

constexpr uintptr_t kPressureWarn = 2, kPressureCritical = 4;  // DISPATCH_MEMORYPRESSURE_*

class Discovery : public ::testing::Test {
 protected:
  void TearDown() override { apple_double::set_machine(Machine::kM2); }
};

TEST_F(Discovery, DescribesTheGpu) {
  const std::unique_ptr<Device> device = open_one();
  const DeviceProperties& properties = device->properties();
  EXPECT_EQ(properties.name, "Apple M2 Max");
  EXPECT_EQ(properties.backend, "metal");
  EXPECT_EQ(properties.architecture, apple_double::os_version().major >= 14 ? "applegpu_g14c" : "apple8");
  EXPECT_GT(properties.core_count, 0);
  EXPECT_GT(properties.total_memory, properties.recommended_memory);
  EXPECT_GT(properties.recommended_memory, 0u);
  EXPECT_GT(properties.max_buffer_bytes, 0u);
  EXPECT_GE(properties.alignment, 256u);
  EXPECT_LE(properties.alignment, 16384u);
  EXPECT_TRUE(properties.unified_memory);
  EXPECT_EQ(properties.bfloat16, apple_double::os_version().major >= 14);
}

TEST_F(Discovery, AMachineWithoutAGpuIsAReason) {
  apple_double::set_machine(Machine::kNone);
  std::string reason;
  EXPECT_TRUE(open(&reason).empty());
  EXPECT_NE(reason.find("no Metal device"), std::string::npos) << reason;
}

TEST_F(Discovery, AVirtualMachinesGpuIsRefused) {
  apple_double::set_machine(Machine::kVirtual);
  std::string reason;
  EXPECT_TRUE(open(&reason).empty());
  EXPECT_NE(reason.find("Apple Paravirtual device"), std::string::npos) << reason;
  EXPECT_NE(reason.find("PADDLE_MPS_VIRTUAL_GPU=1"), std::string::npos) << reason;
}

class MetalMemory : public OnDouble {};

TEST_F(MetalMemory, BlocksLieWhereTheHeapSays) {
  const std::unique_ptr<Heap> heap = device().device().new_heap(1 << 20);
  EXPECT_GE(heap->bytes(), size_t{1} << 20);
  const size_t unit = device().device().properties().alignment;
  const auto first = heap->new_buffer(0, unit), third = heap->new_buffer(2 * unit, 4 * unit);
  EXPECT_EQ(static_cast<char*>(third->contents()) - static_cast<char*>(first->contents()),
            static_cast<ptrdiff_t>(2 * unit));
  EXPECT_EQ(third->bytes(), 4 * unit);
  error_of(ErrorKind::kInternal, [&] { heap->new_buffer(heap->bytes(), unit); });
  error_of(ErrorKind::kInternal, [&] { heap->new_buffer(unit / 2, unit); });
}

TEST_F(MetalMemory, OfAnySizeCanBeAllocated) {
  for (size_t bytes : {1, 255, 256, 257, 5000, 16383, 16385, 65536, 65537, 1 << 20, (9 << 20) + 5, 40 << 20}) {
    const Memory::Allocation given = memory().allocate(bytes);
    ASSERT_NE(given.address, nullptr) << bytes;
    std::memset(given.address, 0x5A, bytes);
    EXPECT_EQ(memory().resolve(given.address, bytes).address(), given.address);
    memory().free(given.address);
  }
}

TEST_F(MetalMemory, IsCountedByTheDriver) {
  const uint64_t before = device().device().driver_allocated_bytes();
  const std::unique_ptr<Heap> heap = device().device().new_heap(64 << 20);
  EXPECT_GE(device().device().driver_allocated_bytes(), before + (64 << 20));
}

TEST_F(MetalMemory, ThatIsNotThereIsNull) {
  apple_double::set_memory_bytes(uint64_t{256} << 20);
  EXPECT_EQ(device().device().new_heap(size_t{1} << 30), nullptr);
  EXPECT_EQ(memory().allocate(size_t{1} << 30).address, nullptr);
  apple_double::set_memory_bytes(0);
}

TEST_F(MetalMemory, IdleArenasGoWhenTheSystemIsShortOfMemory) {
  void* const kept = memory().allocate(1 << 20).address;
  memory().free(memory().allocate(200 << 20).address);
  stream().fill(memory().resolve(kept, 1 << 20), 1);
  const uint64_t before = memory().stats().reserved;
  apple_double::raise_memory_pressure(kPressureWarn);
  apple_double::settle();
  EXPECT_LE(memory().stats().reserved, before - (200 << 20));
  EXPECT_TRUE(stream().query());
  apple_double::raise_memory_pressure(kPressureCritical);
  apple_double::settle();
  EXPECT_NE(memory().allocate(100 << 20).address, nullptr);
}

TEST_F(MetalMemory, ManyHeapsShareResidencySets) {
  const int64_t before = alive("MTLResidencySet");
  apple_double::set_memory_bytes(uint64_t{1} << 30);
  const std::unique_ptr<Device> small = open_one();
  const std::unique_ptr<Stream> early = small->new_stream();
  std::vector<std::unique_ptr<Heap>> heaps;
  for (int i = 0; i < 60; ++i) heaps.push_back(small->new_heap(4 << 20));
  const std::unique_ptr<Stream> late = small->new_stream();  // a queue that comes after the sets
  const int64_t sets = alive("MTLResidencySet") - before;
  EXPECT_EQ(sets, apple_double::os_version().major >= 15 ? 4 : 0);
  const std::unique_ptr<Buffer> buffer = heaps.back()->new_buffer(0, 1 << 20);
  for (Stream* stream : {early.get(), late.get()}) {
    stream->fill({buffer.get(), 0, 1 << 20}, 3);
    stream->synchronize();
  }
  heaps.erase(heaps.begin(), heaps.begin() + 30);  // their room is used again
  for (int i = 0; i < 10; ++i) heaps.push_back(small->new_heap(4 << 20));
  EXPECT_EQ(alive("MTLResidencySet") - before, sets);
  apple_double::set_memory_bytes(0);
}

TEST_F(MetalMemory, AForkedChildMayFreeWhatItInherited) {
  void* const address = memory().allocate(200 << 10).address;
  const std::unique_ptr<Heap> heap = device().device().new_heap(1 << 20);
  std::unique_ptr<Buffer> buffer = heap->new_buffer(0, 1 << 20);
  stream().fill({buffer.get(), 0, 1 << 20}, 1);
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    buffer.reset();
    memory().free(address);
    stream().drain();
    stream().synchronize();
    bool refused = false;
    try {
      stream().fill({}, 0);  // of no bytes: nothing to refuse
      stream().record(*device().device().new_event());
      stream().add_callback([] {});
    } catch (const Error& error) {
      refused = error.kind() == ErrorKind::kUnsupported;
    }
    _exit(refused && stream().query() ? 7 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  stream().synchronize();
}

}  // namespace
}  // namespace mps::on_double
