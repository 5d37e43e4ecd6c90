#include "tests/docker/deployment.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/support/test_env.h"

namespace saldo::deployment {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
// For jobs, connections and the process itself.
constexpr absl::Duration kRestOfStop = absl::Seconds(10);

std::string Program(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

YAML::Node Defaults(const std::string& program) {
  std::vector<std::string> argv = {Program(program), "--print-config", "--postgres.dsn=host=none"};
  if (program == kRelay) argv.emplace_back("--kafka.brokers=none");
  const auto printed = devstack::RunCommand({.argv = std::move(argv)}, kPatience);
  INFO(printed.status().ToString());
  REQUIRE(printed.ok());
  return YAML::Load(*printed);
}

absl::Duration Time(const YAML::Node& value) {
  absl::Duration time;
  REQUIRE(absl::ParseDuration(value.as<std::string>(), &time));
  return time;
}

}  // namespace

std::string Text(const std::string& path) {
  const auto text = devstack::ReadFile(std::string(SALDO_SOURCE_DIR) + "/docker/" + path);
  INFO(text.status().ToString());
  REQUIRE(text.ok());
  return *text;
}

std::vector<YAML::Node> Documents(const std::string& path) {
  std::vector<YAML::Node> documents = YAML::LoadAll(Text(path));
  REQUIRE(!documents.empty());
  return documents;
}

std::vector<std::string> Matches(const std::string& text, const std::string& pattern) {
  std::vector<std::string> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at)
    found.push_back((*at)[1]);
  return found;
}

std::map<std::string, int> Ports(const std::string& program) {
  std::map<std::string, int> ports;
  for (const auto& section : Defaults(program)) {
    if (section.second.IsMap() && section.second["port"])
      ports[section.first.as<std::string>()] = section.second["port"].as<int>();
  }
  REQUIRE(ports.size() == (program == kServer ? 3 : 2));
  return ports;
}

std::set<int> PortNumbers(const std::string& program) {
  std::set<int> numbers;
  for (const auto& [section, port] : Ports(program)) numbers.insert(port);
  return numbers;
}

absl::Duration StopTime(const std::string& program) {
  const YAML::Node defaults = Defaults(program);
  return kRestOfStop + Time(program == kServer ? defaults["grpc"]["drain_timeout"]
                                               : defaults["relay"]["flush_timeout"]);
}

absl::Duration StartTime(const std::string& program) {
  return Time(Defaults(program)["postgres"]["start_timeout"]);
}

std::string Faults(const std::string& program, const std::string& path, Environment environment) {
  const testing::TempDir dir;
  REQUIRE(devstack::WriteFile(dir.File("secret"), "host=none").ok());
  for (auto& [name, value] : environment) {
    if (absl::EndsWith(name, "_FILE")) value = dir.File("secret");
  }
  std::vector<std::string> argv = {Program(program), "--check-config"};
  if (!path.empty()) argv.push_back(absl::StrCat("--config=", SALDO_SOURCE_DIR, "/docker/", path));
  const auto said =
      devstack::RunCommand({.argv = std::move(argv), .env = std::move(environment)}, kPatience);
  if (!said.ok()) return said.status().ToString();
  return *said == "ok\n" ? "" : *said;
}

}  // namespace saldo::deployment
