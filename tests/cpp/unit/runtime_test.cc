// The process's devices and their streams. Runtime::open() may be called once per process, so each of its cases runs in
// a child.
#include "plugin/core/runtime.h"

#include <cstdlib>

#include "plugin/host/backend_host.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class DeviceStateTest : public NullTest {};

TEST_F(DeviceStateTest, SynchronizesEveryStreamAndThrowsTheFirstError) {
  Stream* const other = state().create_stream();
  faults().fail(Fault::fill, 1);
  void* const block = memory().allocate(16).address;
  other->fill(memory().resolve(block, 16), 0);
  stream().fill(memory().resolve(block, 16), 0);
  EXPECT_EQ(error_of(ErrorKind::kDevice, [&] { state().synchronize(); }).rfind("[fill] ", 0), 0u);
  EXPECT_EQ(faults().count(Fault::synchronize), 2u);
  state().synchronize();
}

TEST_F(DeviceStateTest, DrainingKeepsErrors) {
  faults().fail(Fault::fill);
  void* const block = memory().allocate(16).address;
  stream().fill(memory().resolve(block, 16), 0);
  state().drain();
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream().synchronize(); }), "");
}

TEST_F(DeviceStateTest, DestroysAStreamOnce) {
  Stream* const other = state().create_stream();
  state().destroy_stream(other);
  state().destroy_stream(other);  // unknown by now
  state().synchronize();
}

TEST_F(DeviceStateTest, AnEventThrowsErrorsFromBeforeItsMark) {
  const std::unique_ptr<Event> before = state().device().new_event(), after = state().device().new_event();
  void* const block = memory().allocate(16).address;
  stream().record(*before);
  faults().fail(Fault::fill);
  stream().fill(memory().resolve(block, 16), 0);
  stream().record(*after);
  before->synchronize();
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { after->synchronize(); }), "");
  after->synchronize();
  stream().synchronize();
}

template <typename F>
[[noreturn]] void end_with(F&& holds) {
  const bool good = holds();
  if (!good)
    std::fprintf(stderr, "%d devices, reason '%s'\n", Runtime::device_count(), Runtime::unavailable_reason().c_str());
  std::_Exit(good ? 0 : 1);
}

const Backend* const kBackends[] = {&kHostBackend, &kNullBackend};

// A null device whose system runs short of memory when told.
class PressedDevice final : public Device {
 public:
  explicit PressedDevice(std::function<void()>* handler) : handler_(*handler) {}

  const DeviceProperties& properties() const override { return device_.properties(); }
  uint64_t driver_allocated_bytes() const override { return device_.driver_allocated_bytes(); }
  std::unique_ptr<Heap> new_heap(size_t bytes) override { return device_.new_heap(bytes); }
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override { return device_.wrap(address, bytes); }
  std::unique_ptr<Stream> new_stream() override { return device_.new_stream(); }
  std::unique_ptr<Event> new_event() override { return device_.new_event(); }
  std::string supports(const Graph& graph) const override { return device_.supports(graph); }
  std::shared_ptr<const Executable> compile(const Graph& graph) override { return device_.compile(graph); }
  void on_memory_pressure(std::function<void()> handler) override { handler_ = std::move(handler); }

 private:
  std::function<void()>& handler_;
  NullDevice device_;
};

TEST(DeviceState, GivesIdleMemoryBackWhenTheSystemIsShortOfIt) {
  std::function<void()> handler;
  {
    DeviceState state(0, std::make_unique<FaultDevice>(std::make_unique<PressedDevice>(&handler)));
    ASSERT_NE(handler, nullptr);
    void* const kept = state.memory().allocate(1 << 20).address;
    state.memory().free(state.memory().allocate(100 << 20).address);
    const uint64_t before = state.memory().stats().reserved;
    handler();
    const uint64_t after = state.memory().stats().reserved;
    EXPECT_LE(after, before - (100 << 20));
    EXPECT_TRUE(state.memory().owns(kept));
  }
  EXPECT_EQ(handler, nullptr);  // nobody is told any more
}

TEST(RuntimeDeathTest, OpensTheFirstBackend) {
  EXPECT_EXIT((Runtime::open({kBackends, 2}), end_with([] {
                 return Runtime::device_count() == 1 && Runtime::unavailable_reason().empty() &&
                        Runtime::device(0).device().properties().backend == "host";
               })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, OpensTheBackendThatIsAskedFor) {
  EXPECT_EXIT((setenv("PADDLE_MPS_BACKEND", "null", 1), Runtime::open({kBackends, 2}),
               end_with([] { return Runtime::device(0).device().properties().backend == "null"; })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, OpensSeveralHostDevices) {
  EXPECT_EXIT((setenv("PADDLE_MPS_HOST_DEVICES", "3", 1), Runtime::open({kBackends, 2}),
               end_with([] { return Runtime::device_count() == 3 && Runtime::device(2).index() == 2; })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, AnUnknownBackendIsAReason) {
  EXPECT_EXIT((setenv("PADDLE_MPS_BACKEND", "cuda", 1), Runtime::open({kBackends, 2}), end_with([] {
                 return Runtime::device_count() == 0 &&
                        Runtime::unavailable_reason().find("expected one of host, null, got 'cuda'") !=
                            std::string::npos;
               })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, NoDevicesAreAReason) {
  EXPECT_EXIT((setenv("PADDLE_MPS_HOST_DEVICES", "0", 1), Runtime::open({kBackends, 2}), end_with([] {
                 return Runtime::device_count() == 0 &&
                        Runtime::unavailable_reason().find("PADDLE_MPS_HOST_DEVICES") != std::string::npos;
               })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, PutsFaultsAroundADeviceWhenAsked) {
  EXPECT_EXIT((setenv("PADDLE_MPS_FAULT", "compile:1", 1), Runtime::open({kBackends, 2}), end_with([] {
                 Graph g;
                 g.result(g.negative(g.placeholder(DType::int8, {4})));
                 return error_of(ErrorKind::kDevice, [&] {
                          Runtime::device(0).device().compile(g);
                        }).find("call 1 of compile") != std::string::npos;
               })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, AnUnknownFaultIsAReason) {
  EXPECT_EXIT((setenv("PADDLE_MPS_FAULT", "meteor:1", 1), Runtime::open({kBackends, 2}), end_with([] {
                 return Runtime::device_count() == 0 &&
                        Runtime::unavailable_reason().find("got 'meteor'") != std::string::npos;
               })),
              ::testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, RefusesAnIndexThatDoesNotExist) {
  EXPECT_EXIT((Runtime::open({kBackends, 1}), end_with([] {
                 return error_of(ErrorKind::kArgument, [] {
                          Runtime::device(1);
                        }).find("expected an index below 1, got 1") != std::string::npos;
               })),
              ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mps
