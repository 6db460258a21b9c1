#include "plugin/metal/package_folder.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <vector>

#include "plugin/core/files.h"
#include "plugin/core/log.h"

namespace mps {
namespace {

constexpr char kPackage[] = "package", kContents[] = "contents", kReading[] = "reading.", kOff[] = "off",
               kAside[] = "aside.", kNew[] = ".new";

uint64_t hash_of(const char* data, size_t size, uint64_t hash = 0xcbf29ce484222325u) {  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(data[i])) * 0x100000001b3u;
  return hash;
}

std::string hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

// Every file of a package, with size and checksum; empty if one cannot be read.
std::string list_of(const std::string& package) {
  std::string list;
  for (const files::File& file : files::files_below(package)) {
    std::string bytes;
    if (!files::read(file.path.empty() ? package : files::join(package, file.path), &bytes)) return {};
    list += hex(hash_of(bytes.data(), bytes.size())) + " " + std::to_string(bytes.size()) + " " + file.path + "\n";
  }
  return list;
}

uint64_t bytes_of(const std::string& folder) {
  uint64_t bytes = 0;
  for (const files::File& file : files::files_below(folder)) bytes += file.bytes;
  return bytes;
}

bool starts_with(const std::string& name, const std::string& words) { return name.rfind(words, 0) == 0; }

std::string contents_of(const std::string& key, const std::string& notes, const std::string& list) {
  std::string text;
  for (const std::string* part : {&key, &notes, &list}) text += std::to_string(part->size()) + "\n" + *part;
  return text + hex(hash_of(text.data(), text.size())) + "\n";
}

// The parts of what contents_of() made; false if it was cut or changed.
bool parse(const std::string& text, std::string* key, std::string* notes, std::string* list) {
  if (text.size() < 17) return false;
  const size_t body = text.size() - 17;
  if (text.substr(body) != hex(hash_of(text.data(), body)) + "\n") return false;
  size_t at = 0;
  for (std::string* part : {key, notes, list}) {
    const size_t line = text.find('\n', at);
    if (line == std::string::npos) return false;
    const size_t size = std::strtoull(text.c_str() + at, nullptr, 10);
    if (line + 1 + size > body) return false;
    *part = text.substr(line + 1, size);
    at = line + 1 + size;
  }
  return at == body;
}

bool is_alive(long process) { return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM; }

// Tells others, while it lives, that this process reads the entry.
class ReadingMark {
 public:
  explicit ReadingMark(const std::string& entry) : path_(files::join(entry, kReading + std::to_string(::getpid()))) {
    files::write(path_, "");
  }
  ~ReadingMark() { files::remove_all(path_); }
  ReadingMark(const ReadingMark&) = delete;
  ReadingMark& operator=(const ReadingMark&) = delete;

 private:
  const std::string path_;
};

}  // namespace

std::string PackageFolder::entry(const std::string& key) const {
  return files::join(path_, hex(hash_of(key.data(), key.size())));
}

bool PackageFolder::is_off() {
  std::call_once(looked_, [this] { look_for_remains(); });
  return files::exists(files::join(path_, kOff));
}

void PackageFolder::switch_off(const std::string& why) {
  MPS_LOG(kWarning, "a process ended while macOS ", why, " a compiled graph in ", path_,
          ": none are kept any more. To try again, call paddle_mps.clear_graph_cache(kept=True).");
  files::write(files::join(path_, kOff), "a process ended while macOS " + why + " a compiled graph\n");
}

// What processes have left behind that are gone.
void PackageFolder::look_for_remains() {
  for (const std::string& name : files::names_in(path_)) {
    if (!starts_with(name, kAside) || is_alive(std::atol(name.c_str() + sizeof kAside - 1))) continue;
    const std::string each = files::join(path_, name);
    const bool was_written = name.find(kNew) == std::string::npos || files::exists(files::join(each, kContents));
    if (!was_written) switch_off("wrote");
    files::remove_all(each);
  }
}

// Moved aside first, so that nobody finds half of it.
void PackageFolder::drop(const std::string& entry) {
  static std::atomic<int> count{0};
  const std::string aside = files::join(path_, kAside + std::to_string(::getpid()) + "." + std::to_string(count++));
  files::remove_all(files::rename(entry, aside) ? aside : entry);
}

bool PackageFolder::find(const std::string& key,
                         const std::function<bool(const std::string&, const std::string&)>& read) {
  const std::string place = entry(key), contents = files::join(place, kContents),
                    package = files::join(place, kPackage);
  std::string text, kept_key, notes, list;
  if (is_off() || !files::read(contents, &text)) return false;
  for (const std::string& name : files::names_in(place)) {
    if (!starts_with(name, kReading) || is_alive(std::atol(name.c_str() + sizeof kReading - 1))) continue;
    switch_off("read");
    drop(place);
    return false;
  }
  if (!parse(text, &kept_key, &notes, &list) || list.empty() || list_of(package) != list) {
    if (!files::exists(contents)) return false;  // another process has just removed it
    MPS_LOG(kWarning, "a compiled graph in ", path_, " is damaged and was removed.");
    drop(place);
    return false;
  }
  if (kept_key != key) return false;
  bool usable = false;
  {
    const ReadingMark mark(place);
    usable = read(package, notes);
  }
  if (usable) {
    files::touch(contents);  // when it was used last
  } else {
    drop(place);
  }
  return usable;
}

bool PackageFolder::keep(const std::string& key, const std::string& notes,
                         const std::function<bool(const std::string&)>& write) {
  static std::atomic<int> count{0};
  const std::string aside = files::join(path_, kAside + std::to_string(::getpid()) + kNew + std::to_string(count++));
  const std::string place = entry(key), package = files::join(aside, kPackage);
  if (files::exists(place) || is_off()) return false;
  bool kept = false;
  if (files::make_folders(aside) && write(package)) {
    const std::string list = list_of(package);
    // If another process was first, theirs is as good.
    kept = !list.empty() && files::write(files::join(aside, kContents), contents_of(key, notes, list)) &&
           files::rename(aside, place);
  }
  if (kept) {
    shrink_after(bytes_of(place));
  } else {
    MPS_LOG(kDebug, "a compiled graph was not kept in ", path_, ".");
    files::remove_all(aside);
  }
  return kept;
}

// Looks at the whole folder only when it may be full; other processes keep graphs there, too, hence the quarter.
void PackageFolder::shrink_after(uint64_t kept_bytes) {
  if ((room_ -= static_cast<int64_t>(kept_bytes)) >= 0) return;
  struct Entry {
    double used;
    uint64_t bytes;
    std::string path;
  };
  std::vector<Entry> entries;
  uint64_t sum = 0;
  for (const std::string& name : files::names_in(path_)) {
    const std::string folder = files::join(path_, name);
    const std::optional<double> used = files::touched_at(files::join(folder, kContents));
    if (starts_with(name, kAside) || !used) continue;
    entries.push_back({*used, bytes_of(folder), folder});
    sum += entries.back().bytes;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& oldest : entries) {
    if (sum <= most_bytes_) break;
    drop(oldest.path);
    sum -= oldest.bytes;
  }
  room_ = static_cast<int64_t>((most_bytes_ - std::min(sum, most_bytes_)) / 4);
}

// Moved aside first: another process may be adding to it all the time.
bool PackageFolder::clear() {
  const std::string aside = path_ + "." + kAside + std::to_string(::getpid());
  return files::remove_all(files::rename(path_, aside) ? aside : path_);
}

}  // namespace mps
