// The environment table as functions: `env::host_threads()` and so on, one per row of env.def. A
// variable is read once, at its first use; a value that does not parse is an error that names it.
#pragma once

#include <cstdint>
#include <string>

namespace mps::env {

using Flag = bool;
using Int = int64_t;
using Bytes = int64_t;
using Text = std::string;

#define MPS_ENV(accessor, variable, type, default_value, sentence) const type& accessor();
#include "plugin/core/env.def"
#undef MPS_ENV

struct Row {
  const char* variable;
  const char* type;
  const char* default_value;
  const char* sentence;
};

// Every row, for documentation and for `python -m paddle_mps.info`. `count` receives the number of
// rows.
const Row* rows(int* count);

// "64", "512K", "4M", "2G" -> bytes. Throws kArgument on anything else.
int64_t parse_bytes(const std::string& variable, const std::string& text);

}  // namespace mps::env
