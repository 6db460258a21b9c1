// The null device: memory is memory, copies copy, and executables compute nothing.
#include "plugin/null/device_null.h"

#include "plugin/core/launch.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class NullDeviceTest : public NullTest {};

TEST_F(NullDeviceTest, CopiesCopy) {
  void* const block = memory().allocate(16).address;
  const Range range = memory().resolve(block, 16);
  char host[16] = {1, 2, 3}, back[16] = {};
  stream().upload(range, host);
  stream().download(back, range);
  EXPECT_EQ(back[2], 3);
  stream().fill(range, 7);
  EXPECT_EQ(static_cast<char*>(block)[15], 7);
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
