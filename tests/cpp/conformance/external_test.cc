// Memory of the program that the device works in: buffers over pages, and adopted ranges.
#include <sys/mman.h>

#include <algorithm>

#include "plugin/core/check.h"
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

// Some pages of the program's, with one page before and behind them that nobody may touch.
class Pages {
 public:
  Pages(size_t page, size_t count) : page_(page), bytes_(count * page) {
    void* const mapped = mmap(nullptr, bytes_ + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<unsigned char*>(mapped);
    std::fill_n(base_, bytes_ + 2 * page, static_cast<unsigned char>(0xA5));
  }
  ~Pages() {
    for (size_t i = 0; i < page_; ++i) {
      if (base_[i] != 0xA5 || base_[page_ + bytes_ + i] != 0xA5) {
        ADD_FAILURE() << "written outside of the pages";
        break;
      }
    }
    munmap(base_, bytes_ + 2 * page_);
  }
  unsigned char* address() const { return base_ + page_; }
  size_t bytes() const { return bytes_; }

 private:
  const size_t page_, bytes_;
  unsigned char* base_;
};

class ExternalMemory : public Exam {
 protected:
  explicit ExternalMemory(int64_t delay_us = 0) : Exam(delay_us) {}
  size_t page() { return device().device().properties().page_bytes; }
  Memory& memory() { return device().memory(); }

  void ask_buffer();
  void ask_launches();
};

class DelayedExternalMemory : public ExternalMemory {
 protected:
  DelayedExternalMemory() : ExternalMemory(300) {}
};

void ExternalMemory::ask_buffer() {
  Pages pages(page(), 40);
  std::unique_ptr<Buffer> buffer = device().device().wrap(pages.address(), pages.bytes());
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(buffer->contents(), pages.address());
  EXPECT_GE(buffer->bytes(), pages.bytes());
  Block block(device(), pages.bytes());
  const Range range = {buffer.get(), 0, pages.bytes()};
  stream().copy(block.range(), range);  // what the program has written is there
  stream().fill(range, 7);
  const unsigned char word[] = {1, 2, 3};
  stream().upload({buffer.get(), page() + 1, 3}, word);
  unsigned char back[3] = {};
  stream().download(back, {buffer.get(), page() + 1, 3});
  buffer.reset();  // the work keeps what it needs
  stream().synchronize();
  EXPECT_EQ(static_cast<unsigned char*>(block.address())[pages.bytes() - 1], 0xA5);
  EXPECT_EQ(pages.address()[0], 7);
  EXPECT_EQ(pages.address()[pages.bytes() - 1], 7);
  EXPECT_EQ(pages.address()[page() + 2], 2);
  EXPECT_EQ(back[2], 3);
}

void ExternalMemory::ask_launches() {
  // y = x + 1 on the second page, in place, read and written by the program in between.
  const int64_t n = static_cast<int64_t>(page() / 4);
  Pages pages(page(), 3);
  ASSERT_TRUE(memory().adopt(pages.address(), pages.bytes()));
  Graph g;
  g.result(g.addition(g.placeholder(DType::int32, {n}), g.constant(1, DType::int32)));
  auto* const numbers = reinterpret_cast<int32_t*>(pages.address() + page());
  for (int32_t round = 0; round < 5; ++round) {
    std::fill_n(numbers, n, round);
    const Feed feeds[] = {numbers};
    void* const results[] = {numbers};
    launch(device(), stream(), g, {feeds, 1}, {results, 1});
    launch(device(), stream(), g, {feeds, 1}, {results, 1});
    stream().synchronize();
    EXPECT_EQ(numbers[0], round + 2);
    EXPECT_EQ(numbers[n - 1], round + 2);
  }
  EXPECT_EQ(pages.address()[page() - 1], 0xA5);
  EXPECT_EQ(pages.address()[2 * page()], 0xA5);
  memory().release(pages.address());
}

TEST_F(ExternalMemory, IsABufferWithoutACopy) { ask_buffer(); }
TEST_F(DelayedExternalMemory, IsABufferWithoutACopy) { ask_buffer(); }
TEST_F(ExternalMemory, IsReadAndWrittenByLaunches) { ask_launches(); }
TEST_F(DelayedExternalMemory, IsReadAndWrittenByLaunches) { ask_launches(); }

TEST_F(ExternalMemory, IsFoundByAnyAddress) {
  Pages pages(page(), 4);
  const size_t bytes = 3 * page() + 5;  // the last page counts as a whole
  ASSERT_TRUE(memory().adopt(pages.address(), bytes));
  EXPECT_EQ(memory().external().count(), 1u);
  EXPECT_EQ(memory().external().bytes(), 4 * page());
  for (size_t offset : {size_t{0}, size_t{1}, page(), bytes - 1}) {
    const Range range = memory().resolve(pages.address() + offset, 1);
    EXPECT_EQ(range.address(), pages.address() + offset);
    EXPECT_EQ(range.bytes, 1u);
  }
  EXPECT_THROW(memory().resolve(pages.address() + 4 * page(), 1), Error);
  EXPECT_THROW(memory().resolve(pages.address() - 1, 1), Error);
  EXPECT_THROW(memory().resolve(pages.address() + page(), 4 * page()), Error);
  memory().release(pages.address());
  EXPECT_EQ(memory().external().count(), 0u);
  EXPECT_THROW(memory().resolve(pages.address(), 1), Error);
}

TEST_F(ExternalMemory, InsideAnAdoptedRangeIsThatRange) {
  Pages pages(page(), 4);
  ASSERT_TRUE(memory().adopt(pages.address(), pages.bytes()));
  ASSERT_TRUE(memory().adopt(pages.address() + page(), page()));
  ASSERT_TRUE(memory().adopt(pages.address(), pages.bytes()));
  EXPECT_EQ(memory().external().count(), 1u);
  const Range outer = memory().resolve(pages.address(), 1), inner = memory().resolve(pages.address() + page(), 1);
  EXPECT_EQ(inner.buffer, outer.buffer);
  EXPECT_EQ(inner.offset, page());
  memory().release(pages.address());
  memory().release(pages.address());
  EXPECT_EQ(memory().resolve(pages.address() + page(), 1).address(), pages.address() + page());  // one is left
  memory().release(pages.address() + page());
  EXPECT_EQ(memory().external().count(), 0u);
  EXPECT_THROW(memory().release(pages.address()), Error);
}

TEST_F(ExternalMemory, ThatOverlapsInPartIsRefused) {
  Pages pages(page(), 4);
  ASSERT_TRUE(memory().adopt(pages.address() + page(), 2 * page()));
  EXPECT_THROW(memory().adopt(pages.address(), 4 * page()), Error);               // around it
  EXPECT_THROW(memory().adopt(pages.address(), 2 * page()), Error);               // its begin
  EXPECT_THROW(memory().adopt(pages.address() + 2 * page(), 2 * page()), Error);  // its end
  ASSERT_TRUE(memory().adopt(pages.address(), page()));                           // beside it
  ASSERT_TRUE(memory().adopt(pages.address() + 3 * page(), page()));
  EXPECT_EQ(memory().external().count(), 3u);
  for (size_t i : {size_t{0}, size_t{1}, size_t{3}}) memory().release(pages.address() + i * page());
}

TEST_F(ExternalMemory, ThatStartsNoPageIsRefused) {
  Pages pages(page(), 2);
  EXPECT_THROW(memory().adopt(pages.address() + 16, 100), Error);
  EXPECT_THROW(memory().adopt(pages.address(), 0), Error);
  EXPECT_THROW(memory().adopt(nullptr, 100), Error);
  EXPECT_EQ(memory().external().count(), 0u);
}

TEST_F(ExternalMemory, OfTheDeviceItselfNeedsNothing) {
  Block block(device(), 1000);
  EXPECT_FALSE(memory().adopt(block.address(), 1000));
  EXPECT_EQ(memory().external().count(), 0u);
  EXPECT_EQ(memory().resolve(block.address(), 1000).address(), block.address());
}

TEST_F(DelayedExternalMemory, IsReleasedWhenItsWorkIsDone) {
  for (int i = 0; i < 20; ++i) {
    Pages pages(page(), 2);
    ASSERT_TRUE(memory().adopt(pages.address(), pages.bytes()));
    stream().fill(memory().resolve(pages.address(), pages.bytes()), static_cast<uint8_t>(i));
    memory().release(pages.address());
    EXPECT_EQ(pages.address()[pages.bytes() - 1], i);  // and now the pages may go
  }
}

}  // namespace
}  // namespace mps::exam
