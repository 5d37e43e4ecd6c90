// Docker compose, and what Prometheus scrapes there.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/docker/deployment.h"

namespace saldo::deployment {
namespace {

const std::set<std::string> kCore = {"postgres", "kafka", "migrate", "server", "retranslator"};
const std::set<std::string> kObservability = {"prometheus", "grafana", "jaeger"};

YAML::Node Compose() { return Documents("compose.yml")[0]; }

// A key of a service, perhaps by `<<`.
YAML::Node Of(const YAML::Node& map, const std::string& key) {
  if (map[key]) return map[key];
  const YAML::Node merged = map["<<"];
  return merged && merged.IsMap() ? Of(merged, key) : YAML::Node(YAML::NodeType::Undefined);
}

std::set<std::string> Texts(const YAML::Node& list) {
  std::set<std::string> texts;
  for (const auto& text : list) texts.insert(text.as<std::string>());
  return texts;
}

void AddTo(Environment& environment, const YAML::Node& map) {
  if (map["<<"]) AddTo(environment, map["<<"]);
  for (const auto& item : map) {
    if (item.second.IsScalar())
      environment.emplace_back(item.first.as<std::string>(), item.second.as<std::string>());
  }
}

Environment EnvironmentOf(const std::string& service) {
  Environment environment;
  AddTo(environment, Compose()["services"][service]["environment"]);
  REQUIRE(!environment.empty());
  return environment;
}

std::string Awaited(const std::string& service, const std::string& other) {
  const YAML::Node condition = Compose()["services"][service]["depends_on"][other]["condition"];
  return condition ? condition.as<std::string>() : "";
}

}  // namespace

TEST_CASE("compose publishes what the programs listen on, on loopback alone") {
  const YAML::Node services = Compose()["services"];
  for (const auto& [service, program] : {std::pair("server", kServer), {"retranslator", kRelay}}) {
    std::set<std::string> expected;
    for (const int port : PortNumbers(program))
      expected.insert(absl::StrCat("127.0.0.1:", port, ":", port));
    CHECK(Texts(services[service]["ports"]) == expected);
    CHECK(Faults(program, "", EnvironmentOf(service)) == "");
  }
  for (const auto& service : services) {
    for (const std::string& port : Texts(service.second["ports"])) {
      INFO(service.first << " " << port);
      CHECK(absl::StartsWith(port, "127.0.0.1:"));
    }
  }
  // What the checks above would not notice in a program that takes whatever it is given.
  CHECK(absl::StrContains(Faults(kRelay, "", {{"SALDO_KAFKA_BROKER", "kafka:19092"}}),
                          "unknown variable"));
}

TEST_CASE("compose starts its services in order, and knows their health") {
  CHECK(Awaited("migrate", "postgres") == "service_healthy");
  CHECK(Awaited("server", "migrate") == "service_completed_successfully");
  CHECK(Awaited("retranslator", "migrate") == "service_completed_successfully");
  CHECK(Awaited("retranslator", "kafka") == "service_healthy");
  CHECK(Awaited("grafana", "prometheus") == "service_healthy");
  for (const auto& item : Compose()["services"]) {
    INFO(item.first);
    const YAML::Node service = item.second;
    // Ours have it in the image, and the migration ends.
    const bool ours = Of(service, "build").IsDefined();
    CHECK(Of(service, "healthcheck").IsDefined() != ours);
    if (!ours) continue;
    CHECK(Of(service, "read_only").as<bool>());
    CHECK(Texts(Of(service, "cap_drop")) == std::set<std::string>{"ALL"});
    CHECK(Texts(Of(service, "security_opt")) == std::set<std::string>{"no-new-privileges:true"});
    absl::Duration grace;
    REQUIRE(absl::ParseDuration(Of(service, "stop_grace_period").as<std::string>(), &grace));
    CHECK(grace > StopTime(kServer));
    CHECK(grace > StopTime(kRelay));
  }
}

TEST_CASE("compose's profiles are Saldo alone, and Saldo with what observes it") {
  std::set<std::string> core, observability;
  for (const auto& item : Compose()["services"]) {
    for (const std::string& profile : Texts(Of(item.second, "profiles")))
      (profile == "core" ? core : observability).insert(item.first.as<std::string>());
  }
  std::set<std::string> all = kCore;
  all.insert(kObservability.begin(), kObservability.end());
  CHECK(core == kCore);
  CHECK(observability == all);
  // A plain `docker compose up`, at the top of the tree and here.
  for (const char* path : {".env", "../.env"}) {
    CHECK(Matches(Text(path), "COMPOSE_PROFILES=(.*)") ==
          std::vector<std::string>{"observability"});
    CHECK(Matches(Text(path), "COMPOSE_PROJECT_NAME=(.*)") == std::vector<std::string>{"saldo"});
  }
  CHECK(Matches(Text("../.env"), "COMPOSE_FILE=(.*)") ==
        std::vector<std::string>{"docker/compose.yml"});
}

TEST_CASE("Prometheus scrapes both programs, under the jobs that the alerts know") {
  const YAML::Node configuration = Documents("prometheus.yml")[0];
  std::map<std::string, std::string> targets;
  for (const auto& job : configuration["scrape_configs"]) {
    CHECK(!job["metrics_path"]);
    targets[job["job_name"].as<std::string>()] =
        job["static_configs"][0]["targets"][0].as<std::string>();
  }
  CHECK(targets == std::map<std::string, std::string>{
                       {kServer, absl::StrCat("server:", Ports(kServer)["metrics"])},
                       {kRelay, absl::StrCat("retranslator:", Ports(kRelay)["metrics"])}});
  for (const auto& [job, target] : targets)
    CHECK(absl::StrContains(Text("../grafana/alerts/platform.yml"), job));
}

}  // namespace saldo::deployment
