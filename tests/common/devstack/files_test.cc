#include "common/devstack/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/devstack/child_process.h"
#include "tests/support/test_env.h"

namespace saldo::devstack {
namespace {

using saldo::testing::TempDir;

TEST_CASE("a file is replaced as a whole") {
  TempDir dir;
  REQUIRE(WriteFile(dir.File("a"), "one").ok());
  REQUIRE(WriteFile(dir.File("a"), "two").ok());
  CHECK(*ReadFile(dir.File("a")) == "two");
  CHECK(ReadFile(dir.File("b")).status().code() == absl::StatusCode::kNotFound);
  CHECK_FALSE(WriteFile(dir.File("no/such/a"), "x").ok());
}

TEST_CASE("a folder is held by one process at a time") {
  TempDir dir;
  {
    auto lock = FolderLock::Take(dir.path());
    REQUIRE(lock.ok());
    const auto second = FolderLock::Take(dir.path());
    CHECK(second.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK(absl::StrContains(second.status().message(), absl::StrCat("process ", getpid())));
  }
  CHECK(FolderLock::Take(dir.path()).ok());
}

TEST_CASE("siblings are found beside the running program") {
  CHECK(SiblingProgram("saldo_test_parent").ok());
  CHECK(SiblingProgram("saldo-no-such").status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a folder below a private one is not reachable by everyone") {
  TempDir dir;
  REQUIRE(MakeFolder(dir.File("private/inner")).ok());
  CHECK(EveryoneMayReach(dir.File("private/inner")));
  REQUIRE(chmod(dir.File("private").c_str(), 0700) == 0);
  CHECK_FALSE(EveryoneMayReach(dir.File("private/inner")));
}

}  // namespace
}  // namespace saldo::devstack
