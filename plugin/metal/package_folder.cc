#include "plugin/metal/package_folder.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include "plugin/core/log.h"

namespace mps {
namespace {

namespace fs = std::filesystem;

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

bool read_file(const fs::path& path, std::string* text) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  all << file.rdbuf();
  *text = all.str();
  return file.good();
}

bool write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return !file.fail();
}

// Every file of a package, with size and checksum, in the order of their names.
std::string list_of(const fs::path& package) {
  std::vector<fs::path> files;
  if (fs::is_regular_file(package)) files.push_back(package);
  if (fs::is_directory(package)) {
    for (const auto& file : fs::recursive_directory_iterator(package)) {
      if (file.is_regular_file()) files.push_back(file.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::string list;
  for (const fs::path& file : files) {
    std::string bytes;
    if (!read_file(file, &bytes) && fs::file_size(file) != 0) return {};
    list += hex(hash_of(bytes.data(), bytes.size())) + " " + std::to_string(bytes.size()) + " " +
            file.lexically_relative(package).generic_string() + "\n";
  }
  return list;
}

uint64_t bytes_of(const fs::path& folder) {
  std::error_code gone;
  uint64_t bytes = 0;
  for (const auto& file : fs::recursive_directory_iterator(folder, gone)) {
    if (file.is_regular_file(gone)) bytes += file.file_size(gone);
  }
  return gone ? 0 : bytes;
}

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
  explicit ReadingMark(const fs::path& entry) : path_(entry / (kReading + std::to_string(::getpid()))) {
    write_file(path_, "");
  }
  ~ReadingMark() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  ReadingMark(const ReadingMark&) = delete;
  ReadingMark& operator=(const ReadingMark&) = delete;

 private:
  const fs::path path_;
};

}  // namespace

std::string PackageFolder::entry(const std::string& key) const {
  return (fs::path(path_) / hex(hash_of(key.data(), key.size()))).string();
}

bool PackageFolder::is_off() {
  std::call_once(looked_, [this] { look_for_remains(); });
  return fs::exists(fs::path(path_) / kOff);
}

void PackageFolder::switch_off(const std::string& why) {
  MPS_LOG(kWarning, "a process ended while macOS ", why, " a compiled graph in ", path_,
          ": none are kept any more. To try again, remove the folder.");
  write_file(fs::path(path_) / kOff, "a process ended while macOS " + why + " a compiled graph\n");
}

// What processes have left behind that are gone.
void PackageFolder::look_for_remains() {
  if (!fs::exists(path_)) return;
  std::vector<fs::path> remains;
  for (const auto& each : fs::directory_iterator(path_)) {
    const std::string name = each.path().filename().string();
    if (name.rfind(kAside, 0) == 0 && !is_alive(std::atol(name.c_str() + sizeof kAside - 1))) {
      remains.push_back(each.path());
    }
  }
  for (const fs::path& each : remains) {
    const bool was_written = each.filename().string().find(kNew) == std::string::npos || fs::exists(each / kContents);
    if (!was_written) switch_off("wrote");
    std::error_code ignored;
    fs::remove_all(each, ignored);
  }
}

// Moved aside first, so that nobody finds half of it.
void PackageFolder::drop(const std::string& entry) {
  static std::atomic<int> count{0};
  const fs::path aside = fs::path(path_) / (kAside + std::to_string(::getpid()) + "." + std::to_string(count++));
  std::error_code failed;
  fs::rename(entry, aside, failed);
  fs::remove_all(failed ? fs::path(entry) : aside, failed);
}

bool PackageFolder::find(const std::string& key,
                         const std::function<bool(const std::string&, const std::string&)>& read) {
  try {
    const fs::path place = entry(key);
    std::string text, kept_key, notes, list;
    if (is_off() || !read_file(place / kContents, &text)) return false;
    for (const auto& file : fs::directory_iterator(place)) {
      const std::string name = file.path().filename().string();
      if (name.rfind(kReading, 0) != 0 || is_alive(std::atol(name.c_str() + sizeof kReading - 1))) continue;
      switch_off("read");
      drop(place.string());
      return false;
    }
    if (!parse(text, &kept_key, &notes, &list) || list.empty() || list_of(place / kPackage) != list) {
      if (!fs::exists(place / kContents)) return false;  // another process has just removed it
      MPS_LOG(kWarning, "a compiled graph in ", path_, " is damaged and was removed.");
      drop(place.string());
      return false;
    }
    if (kept_key != key) return false;
    bool usable = false;
    {
      const ReadingMark mark(place);
      usable = read((place / kPackage).string(), notes);
    }
    if (!usable) {
      drop(place.string());
      return false;
    }
    std::error_code ignored;  // when it was used last
    fs::last_write_time(place / kContents, fs::file_time_type::clock::now(), ignored);
    return true;
  } catch (const fs::filesystem_error& error) {  // another process has removed it meanwhile, say
    MPS_LOG(kDebug, "a compiled graph could not be read: ", error.what());
    return false;
  }
}

bool PackageFolder::keep(const std::string& key, const std::string& notes,
                         const std::function<bool(const std::string&)>& write) {
  static std::atomic<int> count{0};
  const fs::path aside = fs::path(path_) / (kAside + std::to_string(::getpid()) + kNew + std::to_string(count++));
  bool kept = false;
  try {
    const fs::path place = entry(key);
    if (fs::exists(place) || is_off()) return false;
    fs::create_directories(aside);
    if (write((aside / kPackage).string())) {
      const std::string list = list_of(aside / kPackage);
      if (!list.empty() && write_file(aside / kContents, contents_of(key, notes, list))) {
        std::error_code taken;  // by another process: then theirs is as good
        fs::rename(aside, place, taken);
        kept = !taken;
      }
    }
    if (!kept) fs::remove_all(aside);
    if (kept) shrink_after(bytes_of(place));
  } catch (const fs::filesystem_error& error) {
    MPS_LOG(kDebug, "a compiled graph was not kept: ", error.what());
    std::error_code ignored;
    fs::remove_all(aside, ignored);
  }
  return kept;
}

// Looks at the whole folder only when it may be full; other processes keep graphs there, too, hence the quarter.
void PackageFolder::shrink_after(uint64_t kept_bytes) {
  if ((room_ -= static_cast<int64_t>(kept_bytes)) >= 0) return;
  struct Entry {
    fs::file_time_type used;
    uint64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  uint64_t sum = 0;
  for (const auto& folder : fs::directory_iterator(path_)) {
    std::error_code gone;
    if (folder.path().filename().string().rfind(kAside, 0) == 0) continue;
    const auto used = fs::last_write_time(folder.path() / kContents, gone);
    if (gone) continue;
    entries.push_back({used, bytes_of(folder.path()), folder.path()});
    sum += entries.back().bytes;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& oldest : entries) {
    if (sum <= most_bytes_) break;
    drop(oldest.path.string());
    sum -= oldest.bytes;
  }
  room_ = static_cast<int64_t>((most_bytes_ - std::min(sum, most_bytes_)) / 4);
}

bool PackageFolder::clear() {
  std::error_code failed;
  fs::remove_all(path_, failed);
  return !failed;
}

}  // namespace mps
