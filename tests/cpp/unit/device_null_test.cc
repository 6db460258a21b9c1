// The null device: what it counts, and how it fails on demand.
#include "plugin/null/device_null.h"

#include "plugin/core/launch.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class NullDeviceTest : public NullTest {};

TEST_F(NullDeviceTest, CountsCalls) {
  void* const block = memory().allocate(16).address;
  const Range range = memory().resolve(block, 16);
  char host[16] = {1, 2, 3}, back[16] = {};
  stream().upload(range, host);
  stream().download(back, range);
  EXPECT_EQ(back[2], 3);
  stream().fill(range, 7);
  EXPECT_EQ(static_cast<char*>(block)[15], 7);
  EXPECT_EQ(calls().count(NullCall::kUpload), 1u);
  EXPECT_EQ(calls().count(NullCall::kDownload), 1u);
  EXPECT_EQ(calls().count(NullCall::kFill), 1u);
  EXPECT_EQ(calls().count(NullCall::kCopy), 0u);
  EXPECT_EQ(calls().count(NullCall::kNewHeap), 1u);
}

TEST_F(NullDeviceTest, FailsTheCallThatItIsToldTo) {
  void* const block = memory().allocate(16).address;
  const Range range = memory().resolve(block, 16);
  calls().fail(NullCall::kFill, 2);
  stream().fill(range, 1);
  stream().synchronize();
  stream().fill(range, 2);
  EXPECT_EQ(static_cast<char*>(block)[0], 1);  // failed work has no effect
  stream().fill(range, 3);                     // work behind it runs
  EXPECT_EQ(static_cast<char*>(block)[0], 3);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream().synchronize(); }), "");
  stream().synchronize();
  calls().fail(NullCall::kSynchronize);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream().synchronize(); }), "");
  stream().synchronize();
}

TEST_F(NullDeviceTest, ExecutablesComputeNothing) {
  Graph g;
  g.result(g.negative(g.placeholder(DType::int8, {16})));
  void* const block = memory().allocate(16).address;
  stream().fill(memory().resolve(block, 16), 5);
  const Feed feeds[] = {block};
  launch(state(), stream(), g, {feeds, 1}, {&block, 1});
  EXPECT_EQ(static_cast<char*>(block)[3], 5);
}

}  // namespace
}  // namespace mps
