// Environment variables. Each is read once per process, so what depends on their text runs in a child.
#include "plugin/core/env.h"

#include <cstdlib>
#include <set>

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

TEST(Env, ParsesBytes) {
  EXPECT_EQ(env::parse_bytes("V", "64"), 64);
  EXPECT_EQ(env::parse_bytes("V", "512K"), 512 << 10);
  EXPECT_EQ(env::parse_bytes("V", "4M"), 4 << 20);
  EXPECT_EQ(env::parse_bytes("V", "2G"), int64_t{2} << 30);
}

TEST(Env, RefusesWhatIsNoNumberOfBytes) {
  for (const char* text : {"", "M", "-1", "4MB", "4 M", "1.5G", "9000000000000G", "0x10"}) {
    const std::string error = error_of(ErrorKind::kArgument, [&] { env::parse_bytes("PADDLE_MPS_X", text); });
    EXPECT_NE(error.find("PADDLE_MPS_X"), std::string::npos) << error;
    EXPECT_NE(error.find(std::string("got '") + text + "'"), std::string::npos) << error;
  }
}

TEST(Env, RowsNameEveryVariableOnce) {
  int count = 0;
  const env::Row* rows = env::rows(&count);
  ASSERT_GT(count, 5);
  std::set<std::string> names;
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(std::string(rows[i].variable).rfind("PADDLE_MPS_", 0), 0u);
    EXPECT_EQ(std::string(rows[i].sentence).back(), '.');
    EXPECT_TRUE(names.insert(rows[i].variable).second) << rows[i].variable;
  }
}

// Ends the process with 0 if the accessor gives the value, with 1 if not, with 2 if it throws.
template <typename F>
[[noreturn]] void end_with(F&& holds) {
  int code = 2;
  try {
    code = holds() ? 0 : 1;
  } catch (const Error& error) {
    std::fputs(error.what(), stderr);
  }
  std::_Exit(code);
}

void set(const char* variable, const char* text) { setenv(variable, text, 1); }

TEST(EnvDeathTest, ReadsEachType) {
  const auto exits_with = [](int code) { return ::testing::ExitedWithCode(code); };
  EXPECT_EXIT((set("PADDLE_MPS_HOST_DEVICES", "3"), end_with([] { return env::host_devices() == 3; })), exits_with(0),
              "");
  EXPECT_EXIT((set("PADDLE_MPS_HOST_REFERENCE", "1"), end_with([] { return env::host_reference(); })), exits_with(0),
              "");
  EXPECT_EXIT((set("PADDLE_MPS_BACKEND", "null"), end_with([] { return env::backend() == "null"; })), exits_with(0),
              "");
  EXPECT_EXIT((set("PADDLE_MPS_MEMORY_LIMIT", "1G"), end_with([] { return env::memory_limit() == 1 << 30; })),
              exits_with(0), "");
}

TEST(EnvDeathTest, AnEmptyVariableIsAnUnsetOne) {
  EXPECT_EXIT((set("PADDLE_MPS_HOST_DEVICES", ""), end_with([] { return env::host_devices() == 1; })),
              ::testing::ExitedWithCode(0), "");
}

TEST(EnvDeathTest, SaysWhatIsWrong) {
  EXPECT_EXIT((set("PADDLE_MPS_HOST_REFERENCE", "yes"), end_with([] { return env::host_reference(); })),
              ::testing::ExitedWithCode(2), "PADDLE_MPS_HOST_REFERENCE: expected 0 or 1, got 'yes'");
  EXPECT_EXIT((set("PADDLE_MPS_HOST_THREADS", "two"), end_with([] { return env::host_threads() == 2; })),
              ::testing::ExitedWithCode(2), "PADDLE_MPS_HOST_THREADS: expected a number of at least 0, got 'two'");
  EXPECT_EXIT((set("PADDLE_MPS_HOST_THREADS", "2x"), end_with([] { return env::host_threads() == 2; })),
              ::testing::ExitedWithCode(2), "expected a whole number, got '2x'");
}

}  // namespace
}  // namespace mps
