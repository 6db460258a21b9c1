// Errors: the one sentence, and whose op it names.
#include "plugin/core/check.h"

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

TEST(Check, NamesTheInnermostOp) {
  EXPECT_STREQ(current_op(), "mps");
  OpScope outer("softmax");
  {
    OpScope inner("add");
    EXPECT_EQ(error_of(ErrorKind::kArgument, [] { MPS_THROW(kArgument, "expected ", 1, ", got ", 2, "."); }),
              "[add] expected 1, got 2.");
  }
  EXPECT_STREQ(current_op(), "softmax");
}

TEST(Check, ThrowsOnlyIfTheConditionFails) {
  int evaluated = 0;
  MPS_CHECK(true, kDevice, "not built: ", ++evaluated);
  EXPECT_EQ(evaluated, 0);
  EXPECT_EQ(error_of(ErrorKind::kDevice, [] { MPS_CHECK(1 > 2, kDevice, "no."); }), "[mps] no.");
}

TEST(Check, OurOwnMistakesAskForAReport) {
  const std::string text = error_of(ErrorKind::kInternal, [] { MPS_THROW(kInternal, "oops."); });
  EXPECT_EQ(text.rfind("[mps] oops. This is a bug in paddle_mps", 0), 0u) << text;
}

}  // namespace
}  // namespace mps
