// The Dockerfile.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "tests/docker/deployment.h"

namespace saldo::deployment {
namespace {

// From the line that begins a stage to the next one.
std::string Stage(const std::string& name) {
  const std::string file = Text("Dockerfile");
  const size_t begin = file.find(absl::StrCat(" AS ", name, "\n"));
  REQUIRE(begin != std::string::npos);
  return file.substr(begin, file.find("\nFROM ", begin) - begin);
}

std::set<int> Numbers(const std::vector<std::string>& texts) {
  std::set<int> numbers;
  for (const std::string& text : texts) numbers.insert(std::stoi(text));
  return numbers;
}

}  // namespace

TEST_CASE("a stage of the image exposes and checks what its program listens on") {
  for (const auto& [stage, program] : {std::pair("server", kServer), {"retranslator", kRelay}}) {
    INFO(stage);
    const std::string text = Stage(stage);
    const std::vector<std::string> exposed = Matches(text, "EXPOSE ([0-9 ]+)");
    REQUIRE(exposed.size() == 1);
    CHECK(Numbers(Matches(exposed[0], "([0-9]+)")) == PortNumbers(program));
    CHECK(text.find(absl::StrCat("ENTRYPOINT [\"/usr/bin/", program, "\"]")) != std::string::npos);

    std::map<std::string, int> ports = Ports(program);
    CHECK(text.find("CMD [\"/usr/bin/saldo\", \"health\"") != std::string::npos);
    CHECK(text.find(absl::StrCat("--ready=http://127.0.0.1:", ports["status"], "/ready\"")) !=
          std::string::npos);
    if (ports.count("grpc") == 1)
      CHECK(text.find(absl::StrCat("--address=127.0.0.1:", ports["grpc"], "\"")) !=
            std::string::npos);
    // Until then a start may wait for the database.
    const std::vector<std::string> period = Matches(text, "--start-period=([0-9]+)s");
    REQUIRE(period.size() == 1);
    CHECK(absl::Seconds(std::stoi(period[0])) > StartTime(program));
  }
}

TEST_CASE("the image's user has a number and is not root") {
  const std::vector<std::string> user = Matches(Stage("programs"), "\nUSER ([^\n]+)");
  REQUIRE(user.size() == 1);
  CHECK(Matches(user[0], "^([1-9][0-9]*:[1-9][0-9]*)$") == user);
}

}  // namespace saldo::deployment
