#include "plugin/core/env.h"

#include <cstdlib>

#include "plugin/core/check.h"

namespace mps::env {
namespace {

int64_t parse_integer(const std::string& variable, const std::string& text, std::string* rest) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  *rest = end;
  MPS_CHECK(end != text.c_str() && value >= 0, kArgument, "bad environment variable ", variable,
            ": expected a number of at least 0, got '", text, "'. Correct or unset it.");
  return value;
}

Flag parse_flag(const std::string& variable, const std::string& text) {
  MPS_CHECK(text == "0" || text == "1", kArgument, "bad environment variable ", variable, ": expected 0 or 1, got '",
            text, "'. Correct or unset it.");
  return text == "1";
}

Int parse_int(const std::string& variable, const std::string& text) {
  std::string rest;
  const Int value = parse_integer(variable, text, &rest);
  MPS_CHECK(rest.empty(), kArgument, "bad environment variable ", variable, ": expected a whole number, got '", text,
            "'. Correct or unset it.");
  return value;
}

Text parse_text(const std::string&, const std::string& text) { return text; }

// An unset or empty variable means the default.
template <typename T>
T read(const char* variable, T default_value, T (*parse)(const std::string&, const std::string&)) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? default_value : parse(variable, text);
}

Flag read_Flag(const char* variable, Flag fallback) { return read<Flag>(variable, fallback, parse_flag); }
Int read_Int(const char* variable, Int fallback) { return read<Int>(variable, fallback, parse_int); }
Bytes read_Bytes(const char* variable, Bytes fallback) { return read<Bytes>(variable, fallback, parse_bytes); }
Text read_Text(const char* variable, const Text& fallback) { return read<Text>(variable, fallback, parse_text); }

constexpr Row kRows[] = {
#define MPS_ENV(accessor, variable, type, default_value, sentence) {variable, #type, #default_value, sentence},
#include "plugin/core/env.def"
#undef MPS_ENV
};

}  // namespace

int64_t parse_bytes(const std::string& variable, const std::string& text) {
  std::string unit;
  const int64_t value = parse_integer(variable, text, &unit);
  int shift = -1;
  if (unit.empty()) shift = 0;
  if (unit == "K") shift = 10;
  if (unit == "M") shift = 20;
  if (unit == "G") shift = 30;
  MPS_CHECK(shift >= 0 && value <= (INT64_MAX >> shift), kArgument, "bad environment variable ", variable,
            ": expected a number of bytes such as 1048576, 512M or 4G, got '", text, "'. Correct or unset it.");
  return value << shift;
}

#define MPS_ENV(accessor, variable, type, default_value, sentence)  \
  const type& accessor() {                                          \
    static const type value = read_##type(variable, default_value); \
    return value;                                                   \
  }
#include "plugin/core/env.def"
#undef MPS_ENV

const Row* rows(int* count) {
  *count = static_cast<int>(sizeof kRows / sizeof kRows[0]);
  return kRows;
}

}  // namespace mps::env
