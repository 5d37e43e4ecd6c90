#include "tests/common/config/fixture.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "absl/strings/str_replace.h"

namespace saldo::config::test {

void Bind(Binder& binder, Shard& shard) {
  binder.String("name", &shard.name, {.min = 1, .max = 16}, "Name of the shard");
  binder.Secret("dsn", &shard.dsn, {.min = 0, .max = 100}, "Connection string of the shard");
  binder.Section("pool", [&](Binder& b) {
    b.Int("connections", &shard.connections, {.min = 1, .max = 100}, "Connections of the pool");
  });
}

void Bind(Binder& binder, Sample& sample) {
  binder.Section("grpc", [&](Binder& b) {
    b.Int("port", &sample.port, {.min = 0, .max = 65535}, "TCP port of gRPC; 0 picks a free one");
    b.Int("workers", &sample.workers, {.min = -1, .max = 256},
          "Worker threads; -1 takes one a core");
    b.Duration("drain_timeout", &sample.drain_timeout,
               {.min = absl::ZeroDuration(), .max = absl::Minutes(10)},
               "How long a stop waits for running calls");
    b.Bytes("message_max", &sample.message_bytes_max, {.min = kKiB, .max = 64 * kMiB},
            "Largest message taken in");
    b.Bool("reflection", &sample.reflection, "Whether to serve reflection");
  });
  binder.Section("tracing", [&](Binder& b) {
    b.Float("sample_ratio", &sample.sample_ratio, {.min = 0, .max = 1}, "Share of calls traced");
  });
  binder.Section("kafka", [&](Binder& b) {
    b.String("topic", &sample.topic, {.min = 1, .max = 20}, "Topic of the events");
    b.StringList("brokers", &sample.brokers, {.min = 1, .max = 3}, "Brokers, host:port");
  });
  binder.Section("postgres", [&](Binder& b) {
    b.Secret("dsn", &sample.dsn, {.min = 1, .max = 100}, "Connection string");
  });
  binder.Enum("log_format", &sample.format,
              {{"json", Format::kJson}, {"console", Format::kConsole}}, "How logs are written");
  binder.List(
      "shards", &sample.shards, {.min = 0, .max = 3},
      [](Binder& item, Shard& shard) { Bind(item, shard); }, "Databases");
}

TempFolder::TempFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "saldo-config-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = path;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::Write(const std::string& name, const std::string& content) const {
  const std::filesystem::path file = path_ / name;
  std::ofstream(file, std::ios::binary) << content;
  return file.string();
}

LoadResult LoadWith(const Sources& sources, absl::FunctionRef<void(Binder&)> bind) {
  const TempFolder folder;
  std::vector<std::string> args = {sources.program.name};
  if (!sources.yaml.empty()) args.push_back("--config=" + folder.Write("saldo.yaml", sources.yaml));
  args.insert(args.end(), sources.args.begin(), sources.args.end());
  std::vector<const char*> argv, env;
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  for (const std::string& variable : sources.env) env.push_back(variable.c_str());
  env.push_back(nullptr);

  LoadResult result =
      Load(sources.program, static_cast<int>(argv.size()), argv.data(), env.data(), bind);
  const std::string prefix = folder.path() + "/";
  for (std::string& fault : result.faults) fault = absl::StrReplaceAll(fault, {{prefix, ""}});
  result.output = absl::StrReplaceAll(result.output, {{prefix, ""}});
  return result;
}

Loaded LoadSample(const Sources& sources) {
  Loaded loaded;
  loaded.result = LoadWith(sources, [&](Binder& binder) { Bind(binder, loaded.config); });
  return loaded;
}

}  // namespace saldo::config::test
