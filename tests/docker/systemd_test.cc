// The units of systemd.
#include <catch2/catch.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/docker/deployment.h"

namespace saldo::deployment {
namespace {

std::string One(const std::string& unit, const std::string& key) {
  const std::vector<std::string> values = Matches(unit, absl::StrCat("\n", key, "=([^\n]*)"));
  INFO(key);
  REQUIRE(values.size() == 1);
  return values[0];
}

absl::Duration Time(const std::string& unit, const std::string& key) {
  const std::string value = One(unit, key);
  absl::Duration time;
  INFO(value);
  // systemd's "3min" is Abseil's "3m".
  REQUIRE(absl::ParseDuration(
      absl::EndsWith(value, "min") ? value.substr(0, value.size() - 2) : value, &time));
  return time;
}

}  // namespace

TEST_CASE("a unit starts its program with a configuration that it takes, and gives it time") {
  for (const auto& [program, config] :
       {std::pair(kServer, "server.yaml"), {kRelay, "retranslator.yaml"}}) {
    INFO(program);
    const std::string unit = Text(absl::StrCat("systemd/", program, ".service"));
    CHECK(One(unit, "Type") == "notify");
    CHECK(One(unit, "ExecStart") ==
          absl::StrCat("/usr/bin/", program, " --config=/etc/saldo/", config));
    CHECK(One(unit, "Environment") == "SALDO_POSTGRES_DSN_FILE=%d/postgres.dsn");
    CHECK(absl::StartsWith(One(unit, "LoadCredential"), "postgres.dsn:"));
    CHECK(Faults(program, absl::StrCat("systemd/", config), {{"SALDO_POSTGRES_DSN_FILE", ""}}) ==
          "");
    CHECK(Time(unit, "TimeoutStartSec") > StartTime(program));
    CHECK(Time(unit, "TimeoutStopSec") > StopTime(program));
  }
}

TEST_CASE("all units are hardened alike") {
  const auto sandbox = [](const std::string& name) {
    const std::string unit = Text(absl::StrCat("systemd/", name, ".service"));
    const size_t begin = unit.find("# What the program needs");
    REQUIRE(begin != std::string::npos);
    std::string part = unit.substr(begin, unit.find("\n[Install]") - begin);
    absl::StripTrailingAsciiWhitespace(&part);
    return part;
  };
  CHECK(sandbox("saldo-migrate") == sandbox(kServer));
  CHECK(sandbox(kServer) == sandbox(kRelay));
}

}  // namespace saldo::deployment
