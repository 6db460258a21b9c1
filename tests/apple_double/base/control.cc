#include "tests/apple_double/base/control.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

#include "tests/apple_double/base/violation.h"

namespace apple_double {
namespace {

int64_t number_of(const char* variable, int64_t fallback) {
  const char* const text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return fallback;
  char* end = nullptr;
  const int64_t value = std::strtoll(text, &end, 10);
  require(*end == '\0' && value >= 0, "bad environment variable ", variable, ": expected a number, got '", text, "'.");
  return value;
}

OsVersion read_os() {
  const char* const text = std::getenv("PADDLE_MPS_DOUBLE_OS");
  if (text == nullptr || *text == '\0') return {26, 0};
  int major = 0, minor = 0;
  require(std::sscanf(text, "%d.%d", &major, &minor) == 2 && major >= 12,
          "bad environment variable PADDLE_MPS_DOUBLE_OS: expected a macOS version from 12.0 on, got '", text, "'.");
  return {major, minor};
}

Machine read_machine() {
  const char* const variable = std::getenv("PADDLE_MPS_DOUBLE_MACHINE");
  const std::string text = variable == nullptr ? "" : variable;
  if (text == "m4") return Machine::kM4;
  if (text == "virtual") return Machine::kVirtual;
  if (text == "none") return Machine::kNone;
  require(text.empty() || text == "m2",
          "bad environment variable PADDLE_MPS_DOUBLE_MACHINE: expected m2, m4, virtual or none, got '", text, "'.");
  return Machine::kM2;
}

std::atomic<Machine>& machine_setting() {
  static std::atomic<Machine> setting{read_machine()};
  return setting;
}

std::atomic<int64_t>& delay_setting() {
  static std::atomic<int64_t> setting{number_of("PADDLE_MPS_DOUBLE_DELAY_US", 0)};
  return setting;
}

std::atomic<int64_t>& patience_setting() {
  static std::atomic<int64_t> setting{number_of("PADDLE_MPS_DOUBLE_PATIENCE_MS", 60'000)};
  return setting;
}

std::atomic<uint64_t> memory_setting{0};

std::mutex failure_mutex;
int64_t failure_error = 0;
int failure_after = 0;

}  // namespace

OsVersion os_version() {
  static const OsVersion version = read_os();
  return version;
}

bool os_at_least(int major, int minor) { return os_version().number() >= OsVersion{major, minor}.number(); }

Machine machine() { return machine_setting().load(); }
void set_machine(Machine machine) { machine_setting().store(machine); }

void set_memory_bytes(uint64_t bytes) { memory_setting.store(bytes); }

uint64_t memory_bytes() {
  const uint64_t set = memory_setting.load();
  if (set != 0) return set;
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
}

void set_delay_us(int64_t delay_us) { delay_setting().store(delay_us); }
int64_t delay_us() { return delay_setting().load(); }

void delay() {
  const int64_t limit = delay_setting().load();
  if (limit <= 0) return;
  const auto us = static_cast<int64_t>(random_number() % static_cast<uint64_t>(limit + 1));
  std::this_thread::sleep_for(std::chrono::microseconds(us));
}

void set_patience_ms(int64_t patience_ms) { patience_setting().store(patience_ms); }
int64_t patience_ms() { return patience_setting().load(); }

void fail_command_buffer(int64_t error, int after) {
  const std::lock_guard<std::mutex> lock(failure_mutex);
  failure_error = error;
  failure_after = after;
}

int64_t take_failure() {
  const std::lock_guard<std::mutex> lock(failure_mutex);
  if (failure_error == 0 || failure_after-- > 0) return 0;
  const int64_t error = failure_error;
  failure_error = 0;
  return error;
}

uint64_t random_number() {
  static auto* const mutex = new std::mutex;
  static auto* const generator = new std::mt19937_64(1);
  const std::lock_guard<std::mutex> lock(*mutex);
  return (*generator)();
}

}  // namespace apple_double
