#include "plugin/core/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace mps::files {
namespace {

// Of the path itself, not of what a link points to: a walk must stay below its folder.
bool status_of(const std::string& path, struct stat* status) { return ::lstat(path.c_str(), status) == 0; }

void collect(const std::string& path, const std::string& below, std::vector<File>* files) {
  struct stat status;
  if (!status_of(path, &status)) return;
  if (S_ISREG(status.st_mode)) files->push_back({below, static_cast<uint64_t>(status.st_size)});
  if (!S_ISDIR(status.st_mode)) return;
  for (const std::string& name : names_in(path)) {
    collect(join(path, name), below.empty() ? name : join(below, name), files);
  }
}

}  // namespace

std::string join(const std::string& folder, const std::string& name) { return folder + "/" + name; }

std::string absolute(const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  char here[PATH_MAX];
  return ::getcwd(here, sizeof here) == nullptr ? path : join(here, path);
}

bool exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

bool is_folder(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* const entries = ::opendir(folder.c_str());
  if (entries == nullptr) return names;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(entries);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<File> files_below(const std::string& path) {
  std::vector<File> files;
  collect(path, "", &files);
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

bool read(const std::string& path, std::string* text) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  if (file.peek() != std::ifstream::traits_type::eof()) all << file.rdbuf();
  *text = all.str();
  return file.is_open() && !file.bad();
}

bool write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return !file.fail();
}

bool make_folders(const std::string& path) {
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    ::mkdir(path.substr(0, end).c_str(), 0777);
  }
  ::mkdir(path.c_str(), 0777);
  return is_folder(path);
}

bool rename(const std::string& from, const std::string& to) { return std::rename(from.c_str(), to.c_str()) == 0; }

bool remove_all(const std::string& path) {
  struct stat status;
  if (!status_of(path, &status)) return errno == ENOENT || errno == ENOTDIR;
  if (S_ISDIR(status.st_mode)) {
    for (const std::string& name : names_in(path)) remove_all(join(path, name));
  }
  return std::remove(path.c_str()) == 0 || errno == ENOENT;
}

std::optional<double> touched_at(const std::string& path) {
  struct stat status;
  if (!status_of(path, &status)) return std::nullopt;
#ifdef __APPLE__
  const timespec& at = status.st_mtimespec;
#else
  const timespec& at = status.st_mtim;
#endif
  return static_cast<double>(at.tv_sec) + 1e-9 * static_cast<double>(at.tv_nsec);
}

void touch(const std::string& path) { ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

}  // namespace mps::files
