#include "common/runtime/service_group.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/capture_log.h"

namespace saldo::runtime {
namespace {

class Part final : public Service {
 public:
  Part(std::string name, std::vector<std::string>* calls, absl::Status start = absl::OkStatus())
      : name_(std::move(name)), calls_(calls), start_(std::move(start)) {}
  std::string_view name() const override { return name_; }
  absl::Status Start() override {
    calls_->push_back("start " + name_);
    return start_;
  }
  void Stop() override { calls_->push_back("stop " + name_); }

 private:
  const std::string name_;
  std::vector<std::string>* const calls_;
  const absl::Status start_;
};

using Calls = std::vector<std::string>;

TEST_CASE("starts in order, stops in reverse, each stop once and logged with its duration") {
  Calls calls;
  Part a("a", &calls), b("b", &calls), c("c", &calls);
  testing::CaptureLog log;
  {
    ServiceGroup group("all");
    group.Add(a);
    group.Add(b);
    group.Add(c);
    REQUIRE(group.Start().ok());
    CHECK(calls == Calls{"start a", "start b", "start c"});
    calls.clear();
    group.Stop();
    group.Stop();
  }
  CHECK(calls == Calls{"stop c", "stop b", "stop a"});
  const std::string text = log.Text();
  INFO(text);
  CHECK(testing::CountOf(text, "stopped") == 3);
  CHECK(testing::CountOf(text, "took") >= 3);
}

TEST_CASE("a start that fails stops what runs and names the part") {
  Calls calls;
  absl::Status failure = absl::UnavailableError("port taken");
  failure.SetPayload("type", absl::Cord("detail"));
  Part a("a", &calls), b("b", &calls, failure), c("c", &calls);
  ServiceGroup group("all");
  group.Add(a);
  group.Add(b);
  group.Add(c);
  const absl::Status status = group.Start();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(status.message() == "cannot start b: port taken");
  CHECK(status.GetPayload("type") == absl::Cord("detail"));
  CHECK(calls == Calls{"start a", "start b", "stop b", "stop a"});
  calls.clear();
  group.Stop();
  CHECK(calls.empty());
}

}  // namespace
}  // namespace saldo::runtime
