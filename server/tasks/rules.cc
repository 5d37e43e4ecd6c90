#include "server/tasks/rules.h"

#include <limits>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/rpc/errors.h"
#include "common/rpc/field_checks.h"
#include "common/rpc/timestamps.h"

namespace saldo::tasks {
namespace {

constexpr int32_t kPageDefault = 50;
constexpr int32_t kPageMax = 200;  // of full payloads and results they stay under 4 MiB
constexpr int64_t kSecondsMax = 7'258'118'400;  // 2200-01-01

void CheckKind(const std::string& kind, const Kinds& kinds, rpc::BadRequestBuilder& bad) {
  if (kinds.Find(kind) != nullptr) return;
  bad.Add("kind",
          absl::StrCat("there is no such kind; there are ", absl::StrJoin(kinds.Names(), ", ")));
}

std::optional<absl::Time> CheckRunAt(const google::protobuf::Timestamp& at,
                                     rpc::BadRequestBuilder& bad) {
  if (at.seconds() < 0 || at.seconds() >= kSecondsMax || at.nanos() < 0 ||
      at.nanos() >= 1'000'000'000) {
    bad.Add("run_at", "must be in the years 1970 to 2199");
    return std::nullopt;
  }
  return absl::FromUnixSeconds(at.seconds()) + absl::Nanoseconds(at.nanos());
}

// What a token must agree on with the request that it comes with.
std::string Filter(const TaskQuery& query) {
  return absl::StrCat(AsAbsl(query.state.has_value() ? StateName(*query.state) : ""), "/",
                      query.kind);
}

int64_t CheckPageToken(const std::string& token, const TaskQuery& query,
                       rpc::BadRequestBuilder& bad) {
  if (token.empty()) return std::numeric_limits<int64_t>::max();
  std::string text;
  int64_t last = 0;
  const bool decoded = token.size() <= 1'000 && absl::WebSafeBase64Unescape(token, &text);
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  if (!decoded || !absl::SimpleAtoi(parts.first, &last) || last < 1) {
    bad.Add("page_token", "is no token that this service gave out");
  } else if (parts.second != Filter(query)) {
    bad.Add("page_token", "is of a list of another kind or state");
  }
  return last;
}

api::TaskState ToMessage(State state) {
  switch (state) {
    case State::kWaiting:
      return api::TASK_STATE_WAITING;
    case State::kRunning:
      return api::TASK_STATE_RUNNING;
    case State::kDone:
      return api::TASK_STATE_DONE;
    case State::kFailed:
      return api::TASK_STATE_FAILED;
  }
  return api::TASK_STATE_UNSPECIFIED;
}

std::optional<State> CheckState(api::TaskState state, rpc::BadRequestBuilder& bad) {
  switch (state) {
    case api::TASK_STATE_UNSPECIFIED:
      return std::nullopt;
    case api::TASK_STATE_WAITING:
      return State::kWaiting;
    case api::TASK_STATE_RUNNING:
      return State::kRunning;
    case api::TASK_STATE_DONE:
      return State::kDone;
    case api::TASK_STATE_FAILED:
      return State::kFailed;
    default:
      bad.Add("state", absl::StrCat("there is no state ", static_cast<int>(state)));
      return std::nullopt;
  }
}

}  // namespace

absl::StatusOr<NewTask> Check(const api::EnqueueTaskRequest& request, const Kinds& kinds) {
  rpc::BadRequestBuilder bad;
  NewTask task{.kind = request.kind(),
               .key = request.key(),
               .payload = request.payload(),
               .run_at = std::nullopt};
  CheckKind(request.kind(), kinds, bad);
  rpc::CheckText("key", request.key(), {.min = 0, .max = kKeyMax}, bad);
  if (request.payload().size() > kPayloadMax) {
    bad.Add("payload", absl::StrCat("must have at most ", kPayloadMax, " bytes, has ",
                                    request.payload().size()));
  } else {
    rpc::CheckText("payload", request.payload(), {.min = 0, .max = kPayloadMax}, bad);
  }
  if (request.has_run_at()) task.run_at = CheckRunAt(request.run_at(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return task;
}

absl::StatusOr<int64_t> Check(const api::GetTaskRequest& request) {
  rpc::BadRequestBuilder bad;
  if (request.id() < 1) bad.Add("id", absl::StrCat("must be positive, is ", request.id()));
  SALDO_RETURN_IF_ERROR(bad.Build());
  return request.id();
}

absl::StatusOr<TaskQuery> Check(const api::ListTasksRequest& request, const Kinds& kinds) {
  rpc::BadRequestBuilder bad;
  TaskQuery query;
  query.kind = request.kind();
  if (!request.kind().empty()) CheckKind(request.kind(), kinds, bad);
  query.state = CheckState(request.state(), bad);
  if (request.page_size() < 0 || request.page_size() > kPageMax) {
    bad.Add("page_size", absl::StrCat("must be of 0 to ", kPageMax, ", is ", request.page_size()));
  }
  query.limit = (request.page_size() == 0 ? kPageDefault : request.page_size()) + 1;
  query.before = CheckPageToken(request.page_token(), query, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return query;
}

std::string PageToken(const TaskQuery& query, int64_t last) {
  return absl::WebSafeBase64Escape(absl::StrCat(last, "/", Filter(query)));
}

api::Task ToMessage(const Task& task) {
  api::Task message;
  message.set_id(task.id);
  message.set_kind(task.kind);
  message.set_key(task.key);
  message.set_payload(task.payload);
  message.set_state(ToMessage(task.state));
  *message.mutable_run_at() = rpc::ToTimestamp(task.run_at);
  message.set_attempts(task.attempts);
  message.set_max_attempts(task.max_attempts);
  message.set_last_error(task.last_error);
  message.set_result(task.result);
  *message.mutable_created_at() = rpc::ToTimestamp(task.created_at);
  if (task.started_at) *message.mutable_started_at() = rpc::ToTimestamp(*task.started_at);
  if (task.finished_at) *message.mutable_finished_at() = rpc::ToTimestamp(*task.finished_at);
  return message;
}

api::TaskKind ToMessage(const Kind& kind) {
  api::TaskKind message;
  message.set_kind(kind.name);
  message.set_about(kind.about);
  message.set_schedule(kind.schedule);
  message.set_max_attempts(kind.max_attempts);
  const int64_t seconds = absl::ToInt64Seconds(kind.timeout);
  message.mutable_timeout()->set_seconds(seconds);
  message.mutable_timeout()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(kind.timeout - absl::Seconds(seconds))));
  return message;
}

}  // namespace saldo::tasks
