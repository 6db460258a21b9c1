#include "plugin/paddle/monitor_page.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <string>
#include <utility>

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/core/files.h"
#include "plugin/core/log.h"

namespace mps::paddle {
namespace {

constexpr char kMagic[8] = "mpspage";
constexpr uint32_t kVersion = 1;
constexpr char kNames[] =
#define MPS_MEMORY_FIGURE(field, public_name) #public_name "\n"
#include "plugin/core/figures.def"
#define MPS_CACHE_FIGURE(name) "graph_cache_" #name "\n"
#include "plugin/core/figures.def"
    "launches\n";
constexpr time_t kOldSeconds = 60;  // a file that is not complete after so long never will be

struct alignas(64) DeviceRecord {
  char name[128];
  Figures figures;
};

// Where things lie in the file.
constexpr size_t kNamesOffset = sizeof(MonitorHeader);
constexpr size_t kDeviceOffset = (kNamesOffset + sizeof kNames + 63) / 64 * 64;

struct Page {
  int file = -1;  // holds the lock
  pid_t owner = 0;
  char* base = nullptr;
  size_t bytes = 0;
  std::string path;
};

// Never destroyed: figures are counted until the process is gone.
Page& page() {
  static auto* const instance = new Page;
  return *instance;
}

// An open folder or file.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

template <size_t N>
void copy_text(char (&to)[N], const std::string& from) {
  std::memcpy(to, from.data(), std::min(from.size(), N - 1));
}

[[noreturn]] void give_up(const char* what, const std::string& where) {
  MPS_THROW(kDevice, what, " ", where, ": ", std::strerror(errno), ".");
}

std::string folder_path() {
  const char* const variable = std::getenv("TMPDIR");
  const std::string temporary = variable != nullptr && *variable != '\0' ? variable : "/tmp";
  return files::join(files::absolute(temporary), detail::concatenate("paddle_mps-", getuid()));
}

// The folder may lie where everybody can write: it must be ours alone.
int open_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) give_up("cannot make", path);
  Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  if (folder.get() < 0 || fstat(folder.get(), &status) != 0) give_up("cannot open", path);
  MPS_CHECK(status.st_uid == getuid() && (status.st_mode & 077) == 0, kDevice, path,
            " is not only ours: expected owner ", getuid(), " and mode 700.");
  return folder.release();
}

// A number is the file of a process; with a dot before it, one that is being made.
bool is_left_behind(int folder, const char* name) {
  const bool complete = *name != '.';
  const char* const number = name + !complete;
  if (*number == '\0' || number[std::strspn(number, "0123456789")] != '\0') return false;
  Descriptor file(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (file.get() < 0 || flock(file.get(), LOCK_SH | LOCK_NB) != 0) return false;
  struct stat status;
  return complete || (fstat(file.get(), &status) == 0 && status.st_mtime + kOldSeconds < std::time(nullptr));
}

void remove_what_was_left_behind(int folder) {
  DIR* const entries = fdopendir(dup(folder));
  if (entries == nullptr) return;  // then nobody's left-overs are in the way either
  while (const dirent* entry = readdir(entries)) {
    if (is_left_behind(folder, entry->d_name)) unlinkat(folder, entry->d_name, 0);
  }
  closedir(entries);
}

std::string contents(int device_count) {
  const size_t bytes = kDeviceOffset + sizeof(DeviceRecord) * static_cast<size_t>(device_count);
  const size_t system_page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::string text((bytes + system_page - 1) / system_page * system_page, '\0');
  using std::chrono::duration_cast, std::chrono::nanoseconds, std::chrono::system_clock;
  MonitorHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.bytes = static_cast<uint32_t>(text.size());
  header.pid = getpid();
  header.start_time_ns = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  header.names_offset = kNamesOffset;
  header.names_bytes = sizeof kNames - 1;
  header.device_count = static_cast<uint32_t>(device_count);
  header.device_offset = kDeviceOffset;
  header.device_bytes = sizeof(DeviceRecord);
  header.figures_offset = offsetof(DeviceRecord, figures);
  copy_text(header.allocator, env::allocator());
  copy_text(header.plugin_version, MPS_VERSION);
  std::memcpy(text.data(), &header, sizeof header);
  std::memcpy(text.data() + kNamesOffset, kNames, sizeof kNames - 1);
  return text;
}

// Written, not only made longer: so the space is there, and no later count ends in SIGBUS on a full disk.
void write_all(int file, const std::string& text, const std::string& path) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = write(file, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) give_up("cannot write", path);
    done += static_cast<size_t>(written);
  }
}

void make_page(int device_count) {
  Page& made = page();
  const std::string folder_name = folder_path(), name = std::to_string(getpid()), unfinished = "." + name;
  const Descriptor folder(open_folder(folder_name));
  remove_what_was_left_behind(folder.get());
  unlinkat(folder.get(), unfinished.c_str(), 0);
  Descriptor file(openat(folder.get(), unfinished.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) give_up("cannot make a file in", folder_name);
  try {
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) give_up("cannot lock a file in", folder_name);
    const std::string text = contents(device_count);
    write_all(file.get(), text, folder_name);
    void* const base = mmap(nullptr, text.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (base == MAP_FAILED) give_up("cannot map a file in", folder_name);
    // What was left behind is gone, so a file of this name belongs to a process of another container.
    const bool taken = faccessat(folder.get(), name.c_str(), F_OK, 0) == 0;
    if (taken) errno = EEXIST;
    if (taken || renameat(folder.get(), unfinished.c_str(), folder.get(), name.c_str()) != 0) {
      munmap(base, text.size());
      give_up("cannot name a file in", folder_name);
    }
    made.base = static_cast<char*>(base);
    made.bytes = text.size();
  } catch (...) {
    unlinkat(folder.get(), unfinished.c_str(), 0);
    throw;
  }
  made.file = file.release();
  made.owner = getpid();
  made.path = folder_name + "/" + name;
  std::atexit(remove_monitor_page);
}

}  // namespace

Figures* figures_in_monitor_page(int index, int count, const Device& device) {
  if (!env::monitor()) return nullptr;
  if (index == 0) {
    try {
      make_page(count);
    } catch (const std::exception& error) {
      MPS_LOG(kDebug, "no monitor: ", error.what());
    }
  }
  if (page().base == nullptr) return nullptr;
  auto* const record =
      new (page().base + kDeviceOffset + sizeof(DeviceRecord) * static_cast<size_t>(index)) DeviceRecord{};
  copy_text(record->name, device.properties().name);
  return &record->figures;
}

const char* monitor_page() { return page().path.c_str(); }

void remove_monitor_page() {
  Page& ours = page();
  if (ours.file < 0 || ours.owner != getpid()) return;
  unlink(ours.path.c_str());
  ours.path.clear();
}

void leave_monitor_page() {
  Page& parents = page();
  if (parents.file < 0) return;
  // The same addresses, with memory of our own behind them. Nobody else runs in a child that was just forked.
  const std::string figures(parents.base, parents.bytes);
  if (mmap(parents.base, parents.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    MPS_LOG(kError, "a forked process shows its figures as its parent's: ", std::strerror(errno), ".");
    return;
  }
  std::memcpy(parents.base, figures.data(), figures.size());
  close(parents.file);  // the lock is the parent's
  parents.file = -1;
  parents.path.clear();
}

}  // namespace mps::paddle
