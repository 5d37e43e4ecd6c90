// Two databases as two shards of one configuration, and the program on them.
#pragma once

#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::cli {

struct Outcome {
  int code;
  std::string text;
};

inline Outcome Saldo(std::vector<std::string> arguments,
                     std::vector<std::pair<std::string, std::string>> env = {}) {
  testing::TempDir dir;
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo")};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.env = std::move(env);
  options.log_file = dir.File("log");
  auto child = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(child.ok());
  const auto ended = (*child)->Wait(absl::Seconds(120));
  REQUIRE(ended.ok());
  CHECK(ended->signal == 0);
  return {ended->code, *devstack::ReadFile(dir.File("log"))};
}

// A file that lists two shards, among what other programs read.
class ShardsFile {
 public:
  ShardsFile(const std::string& dsn_a, const std::string& dsn_b) {
    std::ofstream(path()) << "grpc: {port: 8082}\nshards:\n- {name: a, from: 00, to: 7f, dsn: \""
                          << dsn_a << "\"}\n- {name: b, from: 80, to: ff, dsn: \"" << dsn_b
                          << "\"}\n";
  }
  std::string path() const { return dir_.File("shards.yaml"); }
  std::string option() const { return "--shards.file=" + path(); }

 private:
  testing::TempDir dir_;
};

constexpr const char* kNobody = "host=127.0.0.1 port=1";

// `Database` has a dsn().
template <typename Database>
struct TwoShards {
  Database a, b;
  ShardsFile file{a.dsn(), b.dsn()};

  Outcome Run(std::vector<std::string> arguments) const {
    arguments.push_back(file.option());
    return Saldo(std::move(arguments));
  }
};

}  // namespace saldo::cli
