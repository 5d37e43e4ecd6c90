#include "server/tasks/rules.h"

#include <catch2/catch.hpp>
#include <limits>
#include <map>

#include "absl/strings/escaping.h"
#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"

namespace saldo::tasks {
namespace {

Kinds TwoKinds() {
  Kinds kinds;
  for (const char* name : {"clean", "count"}) {
    Kind kind;
    kind.name = name;
    kind.handler = [](TaskContext&) { return std::string(); };
    kinds.Add(kind);
  }
  return kinds;
}

// What is wrong, by field.
std::map<std::string, std::string> Faults(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  google::rpc::BadRequest bad;
  REQUIRE(rpc::GetDetail(status, &bad));
  std::map<std::string, std::string> faults;
  for (const auto& one : bad.field_violations()) faults[one.field()] = one.description();
  return faults;
}

}  // namespace

TEST_CASE("a task to add is taken as it is") {
  const Kinds kinds = TwoKinds();
  api::EnqueueTaskRequest request;
  request.set_kind("count");
  absl::StatusOr<NewTask> task = Check(request, kinds);
  REQUIRE(task.ok());
  CHECK(task->kind == "count");
  CHECK(task->key.empty());
  CHECK_FALSE(task->run_at.has_value());
  std::string key;
  for (size_t i = 0; i < kKeyMax; ++i) key += "\xD1\x8F";  // characters, not bytes
  request.set_key(key);
  request.set_payload(std::string(kPayloadMax, 'p'));
  request.mutable_run_at()->set_seconds(7'258'118'399);
  request.mutable_run_at()->set_nanos(999'999'999);
  task = Check(request, kinds);
  INFO(task.status().ToString());
  REQUIRE(task.ok());
  CHECK(task->key == key);
  CHECK(task->payload.size() == kPayloadMax);
  CHECK(task->run_at == absl::FromUnixSeconds(7'258'118'399) + absl::Nanoseconds(999'999'999));
}

TEST_CASE("every fault of a task to add is named") {
  const Kinds kinds = TwoKinds();
  api::EnqueueTaskRequest request;
  request.set_kind("dance");
  request.set_key(std::string(kKeyMax + 1, 'k'));
  request.set_payload(std::string(kPayloadMax + 1, 'p'));
  request.mutable_run_at()->set_seconds(-1);
  auto faults = Faults(Check(request, kinds).status());
  CHECK(faults.size() == 4);
  CHECK(faults["kind"] == "there is no such kind; there are clean, count");
  CHECK(faults["key"] == "must have 0 to 200 characters, has 201");
  CHECK(faults["payload"] == "must have at most 8192 bytes, has 8193");
  CHECK(faults["run_at"] == "must be in the years 1970 to 2199");

  request.clear_kind();
  request.set_key("\xff");
  request.set_payload(std::string("a\0b", 3));
  request.mutable_run_at()->set_seconds(7'258'118'400);
  faults = Faults(Check(request, kinds).status());
  CHECK(faults["kind"] == "there is no such kind; there are clean, count");
  CHECK(faults["key"] == "must be valid UTF-8");
  CHECK(faults["payload"] == "must not contain the character U+0000");
  CHECK(faults.contains("run_at"));
  for (const int nanos : {-1, 1'000'000'000}) {
    request.mutable_run_at()->set_seconds(1);
    request.mutable_run_at()->set_nanos(nanos);
    CHECK(Faults(Check(request, kinds).status()).contains("run_at"));
  }
  api::GetTaskRequest get;
  CHECK(Faults(Check(get).status())["id"] == "must be positive, is 0");
  get.set_id(7);
  CHECK(Check(get).value() == 7);
}

TEST_CASE("a page of tasks is asked for with its bounds") {
  const Kinds kinds = TwoKinds();
  api::ListTasksRequest request;
  TaskQuery query = Check(request, kinds).value();
  CHECK(query.kind.empty());
  CHECK_FALSE(query.state.has_value());
  CHECK(query.limit == 51);
  CHECK(query.before == std::numeric_limits<int64_t>::max());
  request.set_kind("clean");
  request.set_state(api::TASK_STATE_FAILED);
  request.set_page_size(200);
  query = Check(request, kinds).value();
  CHECK(query.kind == "clean");
  CHECK(query.state == State::kFailed);
  CHECK(query.limit == 201);

  request.set_page_token(PageToken(query, 17));
  query = Check(request, kinds).value();
  CHECK(query.before == 17);
  // The page's size may differ from page to page, the rest may not.
  request.set_page_size(1);
  CHECK(Check(request, kinds).ok());
  request.set_kind("count");
  CHECK(Faults(Check(request, kinds).status())["page_token"] ==
        "is of a list of another kind or state");
  request.set_kind("clean");
  request.clear_state();
  CHECK(Faults(Check(request, kinds).status()).contains("page_token"));

  request.set_state(static_cast<api::TaskState>(9));
  request.set_kind("dance");
  request.set_page_size(201);
  request.clear_page_token();
  auto faults = Faults(Check(request, kinds).status());
  CHECK(faults["state"] == "there is no state 9");
  CHECK(faults["kind"] == "there is no such kind; there are clean, count");
  CHECK(faults["page_size"] == "must be of 0 to 200, is 201");
  request.Clear();
  request.set_page_size(-1);
  CHECK(Faults(Check(request, kinds).status()).contains("page_size"));

  request.Clear();
  for (const std::string& token :
       {std::string("!"), std::string("AAAA"), absl::WebSafeBase64Escape("0//"),
        absl::WebSafeBase64Escape("-5//"), absl::WebSafeBase64Escape("99999999999999999999//"),
        std::string(2'000, 'A')}) {
    CAPTURE(token);
    request.set_page_token(token);
    CHECK(Faults(Check(request, kinds).status())["page_token"] ==
          "is no token that this service gave out");
  }
}

TEST_CASE("clients see a task with the times it has") {
  Task task;
  task.id = 5;
  task.kind = "clean";
  task.state = State::kWaiting;
  task.run_at = absl::FromUnixMillis(1'500);
  api::Task message = ToMessage(task);
  CHECK(message.state() == api::TASK_STATE_WAITING);
  CHECK(message.run_at().seconds() == 1);
  CHECK(message.run_at().nanos() == 500'000'000);
  CHECK_FALSE(message.has_started_at());
  CHECK_FALSE(message.has_finished_at());
  task.state = State::kDone;
  task.started_at = task.finished_at = absl::FromUnixSeconds(9);
  message = ToMessage(task);
  CHECK(message.state() == api::TASK_STATE_DONE);
  CHECK(message.started_at().seconds() == 9);
  CHECK(message.finished_at().seconds() == 9);
  Kind kind;
  kind.timeout = absl::Milliseconds(2'500);
  CHECK(ToMessage(kind).timeout().seconds() == 2);
  CHECK(ToMessage(kind).timeout().nanos() == 500'000'000);
}

}  // namespace saldo::tasks
