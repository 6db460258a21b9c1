// Streams of Metal on the double, beyond what the conformance exam asks: command buffers, their errors, and what tools
// get to see.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "plugin/core/interrupt.h"
#include "tests/apple_double/tests/on_double.h"

namespace mps::on_double {
namespace {

constexpr int64_t kTimeout = 2, kOutOfMemory = 8;  // MTLCommandBufferError
constexpr auto kPatience = std::chrono::seconds(30);

class MetalStreams : public OnDouble {
 protected:
  bool soon(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return condition();
  }
};

TEST_F(MetalStreams, AFailureNamesItsOpsAndTheDevicesWords) {
  const Range a = block(1000), b = block(1000);
  stream().fill(a, 1);
  stream().synchronize();
  apple_double::fail_command_buffer(kTimeout);
  stream().fill(a, 2);
  stream().copy(b, a);
  const std::string error = error_of(ErrorKind::kDevice, [&] { stream().synchronize(); });
  EXPECT_EQ(error.rfind("[fill] ", 0), 0u) << error;
  EXPECT_NE(error.find("fill, copy"), std::string::npos) << error;
  EXPECT_NE(error.find("kIOGPUCommandBufferCallbackErrorTimeout"), std::string::npos) << error;
  stream().synchronize();  // told once
  EXPECT_EQ(static_cast<char*>(a.address())[0], 1);
  stream().fill(a, 3);  // and the stream goes on
  stream().synchronize();
  EXPECT_EQ(static_cast<char*>(a.address())[0], 3);
}

TEST_F(MetalStreams, WantOfMemoryIsAnErrorOfMemory) {
  apple_double::fail_command_buffer(kOutOfMemory);
  stream().fill(block(1000), 2);
  error_of(ErrorKind::kMemory, [&] { stream().synchronize(); });
}

TEST_F(MetalStreams, AFailureKeepsNobodyWaiting) {
  apple_double::set_delay_us(2000);
  Stream* const other = device().create_stream();
  const std::unique_ptr<Event> event = device().device().new_event();
  const Range a = block(1000), b = block(1000);
  const auto failed = [](const std::function<void()>& wait) {
    try {
      wait();
    } catch (const Error&) {
      return 1;
    }
    return 0;
  };
  for (int i = 0; i < 20; ++i) {
    apple_double::fail_command_buffer(kTimeout);  // whichever comes first
    stream().fill(a, 1);
    stream().record(*event);
    other->wait(*event);
    other->fill(b, static_cast<uint8_t>(i));
    const int others = failed([&] { other->synchronize(); });
    EXPECT_TRUE(event->query());
    event->drain();
    EXPECT_EQ(others + failed([&] { event->synchronize(); }), 1);
    event->synchronize();
    stream().synchronize();
    other->synchronize();
    if (others == 0) {
      EXPECT_EQ(static_cast<char*>(b.address())[0], i);
    }
  }
  device().destroy_stream(other);
}

TEST_F(MetalStreams, AnEventBeforeTheFailureDoesNotThrowIt) {
  const std::unique_ptr<Event> before = device().device().new_event(), after = device().device().new_event();
  const Range a = block(1000);
  stream().fill(a, 1);
  stream().record(*before);
  before->drain();
  apple_double::fail_command_buffer(kTimeout);
  stream().fill(a, 2);
  stream().record(*after);
  after->drain();
  before->synchronize();
  error_of(ErrorKind::kDevice, [&] { after->synchronize(); });
}

TEST_F(MetalStreams, ATimedMarkThatFailsHasATime) {
  const std::unique_ptr<Event> event = device().device().new_event();
  event->enable_timing();
  apple_double::fail_command_buffer(kTimeout);
  stream().record(*event);
  event->drain();
  EXPECT_TRUE(event->reached_at().has_value());
  error_of(ErrorKind::kDevice, [&] { stream().synchronize(); });
}

TEST_F(MetalStreams, CallbacksAreCalledThoughTheirWorkFailed) {
  std::promise<void> called;
  apple_double::fail_command_buffer(kTimeout);
  stream().fill(block(1000), 1);
  stream().add_callback([&] {
    stream().drain();
    called.set_value();
  });
  EXPECT_EQ(called.get_future().wait_for(kPatience), std::future_status::ready);
  error_of(ErrorKind::kDevice, [&] { stream().synchronize(); });
}

TEST_F(MetalStreams, CallbacksKeepTheirOrder) {
  apple_double::set_delay_us(500);
  std::vector<int> order;  // callbacks of a stream are called one at a time
  std::promise<void> last;
  const Range a = block(1000);
  for (int i = 0; i < 30; ++i) {
    if (i % 3 != 0) stream().fill(a, 1);
    stream().add_callback([&, i] {
      order.push_back(i);
      if (i % 7 == 0) throw std::runtime_error("a callback that throws does no harm");
      if (i == 29) last.set_value();
    });
  }
  ASSERT_EQ(last.get_future().wait_for(kPatience), std::future_status::ready);
  ASSERT_EQ(order.size(), 30u);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST_F(MetalStreams, WorkIsCommittedThoughNobodyWaits) {
  const Range a = block(1 << 20);
  for (int i = 0; i < 2000; ++i) stream().fill(a, static_cast<uint8_t>(i));
  EXPECT_TRUE(soon([&] { return stream().completed() >= 1900; }));
  EXPECT_LT(stream().completed(), 2001u);
  EXPECT_TRUE(soon([&] { return stream().query(); }));
}

TEST_F(MetalStreams, AnEventIsReachedThoughNobodyWaits) {
  const std::unique_ptr<Event> event = device().device().new_event();
  stream().fill(block(100), 1);
  stream().record(*event);
  EXPECT_TRUE(soon([&] { return event->query(); }));
}

TEST_F(MetalStreams, MoreCommandBuffersThanAQueueHolds) {
  const std::unique_ptr<Event> event = device().device().new_event();
  event->enable_timing();  // each mark ends a command buffer
  const Range a = block(1000);
  apple_double::set_delay_us(50);
  for (int i = 0; i < 600; ++i) {
    stream().fill(a, static_cast<uint8_t>(i));
    stream().record(*event);
  }
  event->synchronize();
  EXPECT_EQ(static_cast<uint8_t*>(a.address())[999], 599 % 256);
}

TEST_F(MetalStreams, UploadsOfAllSizesBehindWork) {
  apple_double::set_delay_us(200);
  const Range large = block(4 << 20);
  for (size_t bytes : {1, 2, 3, 4, 4097, 100000, 256 << 10, (256 << 10) + 1, 3 << 20}) {
    for (size_t offset : {0, 1, 4}) {
      const Range to = {large.buffer, large.offset + offset, bytes};
      std::vector<unsigned char> source(bytes);
      for (size_t i = 0; i < bytes; ++i) source[i] = static_cast<unsigned char>(i * 31 + bytes);
      const std::vector<unsigned char> want = source;
      stream().fill(large, 0xEE);  // so that the stream is busy
      stream().upload(to, source.data());
      std::fill(source.begin(), source.end(), 0);
      stream().synchronize();
      ASSERT_EQ(std::memcmp(to.address(), want.data(), bytes), 0) << bytes << " at " << offset;
      ASSERT_EQ(static_cast<unsigned char*>(to.address())[bytes], 0xEE);
    }
  }
}

TEST_F(MetalStreams, FillsAndCopiesOfMoreThanTwoGibibytes) {
  const size_t bytes = (size_t{2} << 30) + 6;
  memory().set_limit(uint64_t{6} << 30);
  const Range a = block(bytes);
  stream().fill(a, 7);
  stream().fill({a.buffer, a.offset, 4}, 1);
  const Range head = {a.buffer, a.offset, 8}, tail = {a.buffer, a.offset + bytes - 8, 8};
  stream().copy(tail, head);
  stream().synchronize();
  const auto* const first = static_cast<const unsigned char*>(a.address());
  EXPECT_EQ(first[bytes / 2], 7);
  EXPECT_EQ(first[(size_t{2} << 30) - 3], 7);
  EXPECT_EQ(first[bytes - 8], 1);
  EXPECT_EQ(first[bytes - 1], 7);
  memory().free(a.address());
  memory().release_unused();
  memory().set_limit(0);
}

TEST_F(MetalStreams, AWaitThatAllowsItEndsEarly) {
  apple_double::set_delay_us(400000);
  static std::atomic<bool> signal{true};
  set_interrupt_check([] { return signal.load(); });
  bool ended_early = false;
  for (int i = 0; i < 50 && !ended_early; ++i) {  // the delay is random
    stream().fill(block(100), 1);
    try {
      const Interruptible interruptible;
      stream().synchronize();
    } catch (const Error& error) {
      ended_early = error.kind() == ErrorKind::kInterrupted;
    }
  }
  EXPECT_TRUE(ended_early);
  set_interrupt_check(nullptr);
  apple_double::set_delay_us(0);
  stream().synchronize();
}

TEST_F(MetalStreams, ToolsSeeTheOps) {
  auto before = apple_double::signposts();
  stream().fill(block(100), 1);
  stream().synchronize();
  apple_double::settle();
  auto after = apple_double::signposts();
  EXPECT_EQ(after["encode"], before["encode"] + 2);  // begin and end
  EXPECT_EQ(after["command buffer"], before["command buffer"] + 2);
}

TEST_F(MetalStreams, ManyThreadsAndStreams) {
  apple_double::set_delay_us(50);
  std::vector<std::thread> threads;
  std::vector<Range> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(block(5000));
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Stream* const own = device().create_stream();
      const std::unique_ptr<Event> event = device().device().new_event();
      for (int k = 0; k < 50; ++k) {
        if (k % 5 == 0) event->enable_timing();
        own->fill(blocks[static_cast<size_t>(i)], static_cast<uint8_t>(k));
        own->record(*event);
        stream().wait(*event);
        stream().query();
        if (k % 10 == 0) own->synchronize();
      }
      device().destroy_stream(own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  stream().synchronize();
  for (const Range& range : blocks) EXPECT_EQ(static_cast<unsigned char*>(range.address())[4999], 49);
}

// What the environment decides is read once, so each of these runs in a process of its own.
class MetalSettingsDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // Five command buffers of one fill each, with a failure in the last.
  static std::string run() {
    DeviceState device(0, open_one());
    Stream* const stream = device.create_stream();
    const Range range = device.memory().resolve(device.memory().allocate(1000).address, 1000);
    for (int i = 0; i < 5; ++i) {
      if (i == 4) apple_double::fail_command_buffer(kTimeout);
      stream->fill(range, static_cast<uint8_t>(i));
      stream->drain();
    }
    std::string error;
    try {
      stream->synchronize();
    } catch (const Error& thrown) {
      error = thrown.what();
    }
    return error;
  }
};

TEST_F(MetalSettingsDeathTest, ACaptureHoldsSomeCommandBuffers) {
  const std::string trace = ::testing::TempDir() + "mps_capture_" + std::to_string(getpid()) + ".gputrace";
  EXPECT_EXIT(
      {
        setenv("METAL_CAPTURE_ENABLED", "1", 1);
        setenv("PADDLE_MPS_CAPTURE", trace.c_str(), 1);
        setenv("PADDLE_MPS_CAPTURE_FIRST", "1", 1);
        setenv("PADDLE_MPS_CAPTURE_COUNT", "2", 1);
        run();
        std::_Exit(access(trace.c_str(), F_OK) == 0 && rmdir(trace.c_str()) == 0 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(MetalSettingsDeathTest, ACaptureThatTheSystemRefusesIsAWarning) {
  EXPECT_EXIT(
      {
        setenv("PADDLE_MPS_CAPTURE", "/nowhere/a.gputrace", 1);
        run();
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "METAL_CAPTURE_ENABLED=1");
}

TEST_F(MetalSettingsDeathTest, TooFewOpsInACommandBufferAreRefused) {
  EXPECT_EXIT(
      {
        setenv("PADDLE_MPS_COMMIT_OPS", "0", 1);
        const std::string error = error_of(ErrorKind::kArgument, [] { run(); });
        std::fprintf(stderr, "%s", error.c_str());
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "PADDLE_MPS_COMMIT_OPS is too small");
}

TEST_F(MetalSettingsDeathTest, OneOpInACommandBufferIsNamed) {
  EXPECT_EXIT(
      {
        setenv("PADDLE_MPS_COMMIT_OPS", "1", 1);
        const std::string error = run();
        std::fprintf(stderr, "%s", error.c_str());
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "expected it to run fill, got");
}

TEST_F(MetalSettingsDeathTest, MemoryIsNotKeptMappedIfThatIsNotWanted) {
  EXPECT_EXIT(
      {
        setenv("PADDLE_MPS_RESIDENCY", "0", 1);
        const std::unique_ptr<Device> device = open_one();
        const std::unique_ptr<Heap> heap = device->new_heap(1 << 20);
        std::_Exit(alive("MTLResidencySet") == 0 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mps::on_double
