#include "common/devstack/files.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/devstack/launch.h"

namespace saldo::devstack {

namespace fs = std::filesystem;

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return absl::InternalError("cannot make the folder " + path + ": " + error.message());
  return absl::OkStatus();
}

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  std::error_code error;
  const fs::path result = fs::canonical(path, error);
  if (error) return absl::NotFoundError(path + ": " + error.message());
  return result.string();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  std::ofstream file(draft, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return absl::InternalError("cannot write " + draft);
  std::error_code error;
  fs::rename(draft, path, error);
  if (error) return absl::InternalError("cannot write " + path + ": " + error.message());
  return absl::OkStatus();
}

absl::Status GiveTo(const std::string& path, const std::string& user) {
  LaunchPlan plan;
  SALDO_RETURN_IF_ERROR(PlanUser(user, plan));
  const auto give = [&plan](const std::string& name) {
    if (lchown(name.c_str(), plan.uid, plan.gid) == 0) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, "cannot change the owner of " + name);
  };
  SALDO_RETURN_IF_ERROR(give(path));
  std::error_code error;
  fs::recursive_directory_iterator entry(path, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    SALDO_RETURN_IF_ERROR(give(entry->path().string()));
  }
  if (error) return absl::InternalError(path + ": " + error.message());
  return absl::OkStatus();
}

bool EveryoneMayReach(const std::string& path) {
  for (fs::path folder = fs::path(path).parent_path(); !folder.empty();
       folder = folder.parent_path()) {
    struct stat info;
    if (stat(folder.c_str(), &info) != 0 || (info.st_mode & S_IXOTH) == 0) return false;
    if (folder == folder.root_path()) break;
  }
  return true;
}

absl::StatusOr<std::string> ProgramFolder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("cannot read /proc/self/exe: " + error.message());
  return program.parent_path().string();
}

absl::StatusOr<std::string> SiblingProgram(const std::string& name) {
  SALDO_ASSIGN_OR_RETURN(const std::string folder, ProgramFolder());
  std::string path = absl::StrCat(folder, "/", name);
  if (access(path.c_str(), X_OK) == 0) return path;
  return absl::NotFoundError(absl::StrCat("there is no program ", path, ": build it first"));
}

absl::StatusOr<FolderLock> FolderLock::Take(const std::string& folder) {
  const std::string path = folder + "/lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot open " + path);
  FolderLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const std::string holder = ReadFile(path).value_or("");
    return absl::FailedPreconditionError(
        absl::StrCat(folder, " is in use by process ", absl::StripAsciiWhitespace(holder)));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(fd, 0) != 0 || write(fd, pid.data(), pid.size()) < 0) {
    return absl::ErrnoToStatus(errno, "cannot write " + path);
  }
  return lock;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace saldo::devstack
