// A configuration with a key of every type, and a way to load it from texts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/config/binder.h"
#include "common/config/load.h"

namespace saldo::config::test {

enum class Format { kJson, kConsole };

struct Shard {
  std::string name;
  std::string dsn;
  int connections = 4;
};

struct Sample {
  uint16_t port = 8082;
  int workers = -1;
  absl::Duration drain_timeout = absl::Seconds(10);
  size_t message_bytes_max = 4 * kMiB;
  bool reflection = true;
  double sample_ratio = 0.25;
  std::string topic = "events";
  Format format = Format::kJson;
  std::vector<std::string> brokers = {"localhost:9092"};
  std::string dsn = "host=default password=default-secret";
  std::vector<Shard> shards;
};

void Bind(Binder& binder, Shard& shard);
void Bind(Binder& binder, Sample& sample);

// An own folder, removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string Write(const std::string& name, const std::string& content) const;
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Sources {
  std::string yaml = {};  // when not empty: the content of saldo.yaml, named by --config
  std::vector<std::string> env = {};
  std::vector<std::string> args = {};
  Program program = {.name = "sample", .summary = "a sample", .version = "1.2.3"};
};

struct Loaded {
  LoadResult result;
  Sample config;
};

// Paths of the temporary folder are cut down to the file's name in what comes back.
Loaded LoadSample(const Sources& sources);

// Loads what `bind` binds.
LoadResult LoadWith(const Sources& sources, absl::FunctionRef<void(Binder&)> bind);

using Lines = std::vector<std::string>;

}  // namespace saldo::config::test
