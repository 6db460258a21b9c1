// Order, events, errors and copies. Everything is asked twice: as it comes, when most work runs at once, and with a
// random delay before each piece of work, so that a missing wait shows.
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);

class Streams : public Exam {
 protected:
  explicit Streams(int64_t delay_us = 0) : Exam(delay_us) {}

  // y = x * 3 + 1 on [n]; small runs at once, large is queued.
  static Graph step(int64_t n) {
    Graph g;
    const Value x = g.placeholder(DType::int32, {n});
    g.result(g.addition(g.multiplication(x, g.constant(3, DType::int32)), g.constant(1, DType::int32)));
    return g;
  }

  void launch_step(Stream& stream, Block& block, int64_t n) {
    const Feed feeds[] = {block.address()};
    void* const results[] = {block.address()};
    launch(device(), stream, step(n), {feeds, 1}, {results, 1});
  }

  void ask_order();
  void ask_order_among_copies();
  void ask_copies();
  void ask_large_copies();
  void ask_events();
  void ask_event_of_a_destroyed_stream();
  void ask_callbacks();
  void ask_buffer_of_queued_work();
  void ask_progress();
};

class DelayedStreams : public Streams {
 protected:
  DelayedStreams() : Streams(300) {}
};

void Streams::ask_order() {
  for (int64_t n : {10, 300000}) {
    auto block = upload(tensor_of(DType::int32, {n}, {1}));
    uint32_t want = 1;
    for (int i = 0; i < 30; ++i) {
      launch_step(stream(), *block, n);
      want = want * 3 + 1;
    }
    const Tensor got = download(*block, DType::int32, {n});
    EXPECT_EQ(static_cast<uint32_t>(got.data<int32_t>()[0]), want);
    EXPECT_EQ(static_cast<uint32_t>(got.data<int32_t>()[n - 1]), want);
  }
}

void Streams::ask_order_among_copies() {
  // Large work first, so that the small work behind it has to queue; then copies and launches in turns.
  const int64_t n = 400000;
  auto large = upload(tensor_of(DType::int32, {n}, {1}));
  auto small = upload(tensor_of(DType::int32, {4}, {5}));
  auto other = upload(tensor_of(DType::int32, {4}, {0}));
  for (int round = 0; round < 5; ++round) {
    launch_step(stream(), *large, n);
    launch_step(stream(), *small, 4);
    stream().copy(other->range(), small->range());
    launch_step(stream(), *other, 4);
    stream().fill(small->range(), 0);
    launch_step(stream(), *small, 4);
    const int32_t number[] = {round, round, round, round};
    stream().upload(other->range(), number);
    launch_step(stream(), *other, 4);
    int32_t seen[4] = {};
    stream().download(seen, other->range());
    launch_step(stream(), *other, 4);
    stream().synchronize();
    EXPECT_EQ(seen[3], round * 3 + 1);
    EXPECT_EQ(download(*small, DType::int32, {4}).data<int32_t>()[2], 1);
    EXPECT_EQ(download(*other, DType::int32, {4}).data<int32_t>()[2], (round * 3 + 1) * 3 + 1);
  }
}

void Streams::ask_copies() {
  // The source of an upload may change as soon as the call returns.
  auto a = upload(tensor_of(DType::int32, {8}, {0})), b = upload(tensor_of(DType::int32, {8}, {0}));
  std::vector<std::vector<int32_t>> seen;
  for (int32_t i = 0; i < 20; ++i) seen.emplace_back(8);
  for (int32_t i = 0; i < 20; ++i) {
    int32_t source[8] = {i, i, i, i, i, i, i, i};
    stream().upload(a->range(), source);
    source[0] = source[7] = -1;
    stream().copy(b->range(), a->range());
    stream().fill(a->range(), 0xFF);
    stream().download(seen[static_cast<size_t>(i)].data(), b->range());
  }
  stream().synchronize();
  for (int32_t i = 0; i < 20; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], std::vector<int32_t>(8, i));
  EXPECT_EQ(download(*a, DType::int32, {8}).data<int32_t>()[5], -1);
}

void Streams::ask_large_copies() {
  const size_t bytes = 5 << 20;
  Block a(device(), bytes), b(device(), bytes);
  std::vector<unsigned char> source(bytes), got(bytes);
  for (size_t i = 0; i < bytes; ++i) source[i] = static_cast<unsigned char>(i * 7 + i / 1000);
  const std::vector<unsigned char> want = source;
  stream().fill(a.range(), 1);
  stream().upload(a.range(), source.data());
  std::fill(source.begin(), source.end(), 0);
  stream().copy(b.range(), a.range());
  stream().download(got.data(), b.range());
  stream().synchronize();
  EXPECT_EQ(got, want);
}

void Streams::ask_events() {
  Stream* const other = device().create_stream();
  const std::unique_ptr<Event> event = device().device().new_event(), back = device().device().new_event();
  EXPECT_TRUE(event->query());  // never recorded
  event->drain();
  event->synchronize();
  auto a = upload(tensor_of(DType::int32, {100}, {0})), b = upload(tensor_of(DType::int32, {100}, {0}));
  stream().synchronize();
  int32_t seen[50][2];
  for (int32_t i = 0; i < 50; ++i) {
    const std::vector<int32_t> numbers(100, i);
    stream().upload(a->range(), numbers.data());
    stream().record(*event);  // recording again moves the mark
    other->wait(*event);
    other->copy(b->range(), a->range());
    other->record(*back);
    stream().wait(*back);  // or the next upload would overtake the copy
    stream().wait(*back);
    other->wait(*back);  // on its own stream
    stream().download(&seen[i][0], {b->range().buffer, b->range().offset, 4});
    other->download(&seen[i][1], {b->range().buffer, b->range().offset + 396, 4});
  }
  other->synchronize();
  EXPECT_TRUE(event->query());
  back->drain();
  EXPECT_TRUE(back->query());
  back->synchronize();
  stream().synchronize();
  for (int32_t i = 0; i < 50; ++i) {
    EXPECT_EQ(seen[i][0], i);
    EXPECT_EQ(seen[i][1], i);
  }
  device().destroy_stream(other);
}

void Streams::ask_event_of_a_destroyed_stream() {
  const std::unique_ptr<Event> event = device().device().new_event();
  auto a = upload(tensor_of(DType::int32, {100}, {0}));
  stream().synchronize();
  Stream* const other = device().create_stream();
  other->fill(a->range(), 1);
  other->record(*event);
  device().destroy_stream(other);
  EXPECT_TRUE(event->query());
  event->synchronize();
  stream().wait(*event);
  EXPECT_EQ(download(*a, DType::int32, {100}).data<int32_t>()[99], 0x01010101);
}

void Streams::ask_callbacks() {
  auto a = upload(tensor_of(DType::int32, {4}, {3}));
  std::vector<int32_t> seen(4);
  std::promise<int32_t> promise;
  stream().download(seen.data(), a->range());
  // A callback may wait for its own stream, and free memory.
  stream().add_callback([&] {
    stream().drain();
    promise.set_value(seen[3]);
  });
  stream().fill(a->range(), 0);
  std::future<int32_t> future = promise.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(future.get(), 3);
  stream().synchronize();
}

void Streams::ask_buffer_of_queued_work() {
  const size_t bytes = 1 << 20;
  const std::unique_ptr<Heap> heap = device().device().new_heap(bytes);
  for (int i = 1; i <= 5; ++i) {
    std::unique_ptr<Buffer> buffer = heap->new_buffer(0, bytes);
    stream().fill({buffer.get(), 0, bytes}, static_cast<uint8_t>(i));
    buffer.reset();  // the work keeps what it needs
  }
  stream().synchronize();
  const std::unique_ptr<Buffer> buffer = heap->new_buffer(0, bytes);
  EXPECT_EQ(static_cast<const unsigned char*>(buffer->contents())[bytes - 1], 5);
}

void Streams::ask_progress() {
  const uint64_t before = stream().submitted();
  auto block = upload(tensor_of(DType::int32, {100}, {1}));
  for (int i = 0; i < 10; ++i) launch_step(stream(), *block, 100);
  const uint64_t after = stream().submitted();
  EXPECT_GE(after, before + 10);
  stream().drain();
  EXPECT_GE(stream().completed(), after);
}

TEST_F(Streams, LaunchesKeepTheirOrder) { ask_order(); }
TEST_F(DelayedStreams, LaunchesKeepTheirOrder) { ask_order(); }
TEST_F(Streams, LaunchesKeepTheirOrderAmongCopies) { ask_order_among_copies(); }
TEST_F(DelayedStreams, LaunchesKeepTheirOrderAmongCopies) { ask_order_among_copies(); }
TEST_F(Streams, CopiesKeepTheirOrder) { ask_copies(); }
TEST_F(DelayedStreams, CopiesKeepTheirOrder) { ask_copies(); }
TEST_F(Streams, LargeCopies) { ask_large_copies(); }
TEST_F(DelayedStreams, LargeCopies) { ask_large_copies(); }
TEST_F(Streams, EventsOrderStreams) { ask_events(); }
TEST_F(DelayedStreams, EventsOrderStreams) { ask_events(); }
TEST_F(Streams, AnEventOutlivesItsStream) { ask_event_of_a_destroyed_stream(); }
TEST_F(DelayedStreams, AnEventOutlivesItsStream) { ask_event_of_a_destroyed_stream(); }
TEST_F(Streams, CallbacksFollowTheWorkBeforeThem) { ask_callbacks(); }
TEST_F(DelayedStreams, CallbacksFollowTheWorkBeforeThem) { ask_callbacks(); }

TEST_F(Streams, ABufferMayGoBeforeItsWorkIsDone) { ask_buffer_of_queued_work(); }
TEST_F(DelayedStreams, ABufferMayGoBeforeItsWorkIsDone) { ask_buffer_of_queued_work(); }
TEST_F(Streams, WhatIsDrainedIsCompleted) { ask_progress(); }
TEST_F(DelayedStreams, WhatIsDrainedIsCompleted) { ask_progress(); }

TEST_F(Streams, AnIdleStreamHasNothingToWaitFor) {
  EXPECT_TRUE(stream().query());
  stream().drain();
  stream().synchronize();
}

TEST_F(DelayedStreams, QueryTurnsTrueWhenWorkIsDone) {
  Block block(device(), 1000);
  stream().fill(block.range(), 1);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!stream().query() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(stream().query());
}

TEST_F(Streams, SeveralThreadsMayUseOneStream) {
  const int64_t n = 1000;
  std::vector<std::unique_ptr<Block>> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(upload(tensor_of(DType::int32, {n}, {1})));
  std::vector<std::thread> threads;
  for (auto& block : blocks) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        stream().fill(block->range(), static_cast<uint8_t>(i));
        if (i % 10 == 0) stream().synchronize();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& block : blocks) EXPECT_EQ(download(*block, DType::int32, {n}).data<int32_t>()[n - 1], 0x63636363);
}

TEST_F(Streams, ManyStreams) {
  std::vector<Stream*> streams;
  std::vector<std::unique_ptr<Block>> blocks;
  for (int i = 0; i < 8; ++i) {
    streams.push_back(device().create_stream());
    blocks.push_back(std::make_unique<Block>(device(), 1 << 20));
    for (int k = 0; k <= i; ++k) streams.back()->fill(blocks.back()->range(), static_cast<uint8_t>(k));
  }
  device().synchronize();
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(static_cast<unsigned char*>(blocks[i]->address())[777], i);
    device().destroy_stream(streams[i]);
  }
}

TEST_F(Streams, ComeAndGoByTheThousand) {
  Block block(device(), 1000);
  for (int i = 0; i < 2000; ++i) {
    Stream* const other = device().create_stream();
    const std::unique_ptr<Event> event = device().device().new_event();
    other->fill(block.range(), static_cast<uint8_t>(i));
    other->record(*event);
    stream().wait(*event);
    device().destroy_stream(other);
  }
  stream().synchronize();
  EXPECT_EQ(static_cast<unsigned char*>(block.address())[999], 1999 % 256);
}

}  // namespace
}  // namespace mps::exam
