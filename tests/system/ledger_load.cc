#include "tests/system/ledger_load.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/errors.h"
#include "google/protobuf/util/message_differencer.h"

namespace saldo::testing {
namespace {

// Long enough for a server to get over a restart of PostgreSQL.
constexpr std::chrono::seconds kCallTimeout(40);
constexpr int kBurstMax = 40;

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  return context;
}

// Says for sure that nothing was written by this try.
bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
         absl::IsAlreadyExists(status) || absl::IsOutOfRange(status);
}

// The reason of its ErrorInfo, or the first field of its BadRequest.
std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (rpc::GetDetail(status, &info)) return info.reason();
  google::rpc::BadRequest bad;
  if (rpc::GetDetail(status, &bad) && bad.field_violations_size() > 0)
    return bad.field_violations(0).field();
  return "";
}

absl::Status FromMessage(const google::rpc::Status& message) {
  return rpc::FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(message.code()),
                                          message.message(), message.SerializeAsString()));
}

bool IsAsPlanned(const PlannedRequest& plan, const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  if (plan.refusal.has_value()) {
    return *plan.refusal == status.code() && reason.rfind(plan.reason, 0) == 0;
  }
  return !plan.again.has_value() && absl::IsFailedPrecondition(status) &&
         (reason == "BALANCE_BELOW_MINIMUM" || reason == "BALANCE_ABOVE_MAXIMUM");
}

}  // namespace

LedgerLoad::LedgerLoad(LedgerLoadOptions options) : options_(std::move(options)) {
  // What all others build on.
  Caller first = MakeCaller("first", options_.seed);
  Write(first, {.plan = {.request = LedgerRequests::FillWallets()}});
  for (int i = 0; i < options_.callers + options_.streams; ++i) {
    const bool unary = i < options_.callers;
    const std::string name = absl::StrCat(unary ? "call-" : "stream-", i);
    const uint64_t seed = options_.seed + static_cast<uint64_t>(i) + 1;
    threads_.emplace_back(name, [this, unary, name, seed] {
      unary ? RunUnary(MakeCaller(name, seed)) : RunStream(MakeCaller(name, seed));
    });
  }
}

void LedgerLoad::Stop() {
  stop_.Stop();
  threads_.clear();
}

LedgerHistory LedgerLoad::Resolve() {
  Caller caller = MakeCaller("last", options_.seed);
  std::vector<Open> left;
  {
    absl::MutexLock lock(&mutex_);
    left.swap(open_);
  }
  for (Open& open : left) {
    for (int tries = 0;; ++tries) {
      v1::WriteEventsResponse answer;
      const absl::Status status = Call(caller, open, &answer);
      if (Settle(caller, open, status, answer)) break;
      if (tries == 5) {
        Surprise(absl::StrCat("request '", open.plan.request.request_id(),
                              "' finds no answer: ", status.ToString()));
        Note(open.plan, Fate::kUnknown, {});
        break;
      }
    }
  }
  absl::MutexLock lock(&mutex_);
  return history_;
}

LedgerLoad::Caller LedgerLoad::MakeCaller(const std::string& name, uint64_t seed) const {
  Caller caller{.stubs = {}, .requests = {name, seed}, .random = std::mt19937_64(~seed)};
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  for (const std::string& address : options_.addresses) {
    caller.stubs.push_back(Api::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
  }
  return caller;
}

void LedgerLoad::RunUnary(Caller caller) {
  while (!stop_.stopped()) {
    Write(caller, {.plan = caller.requests.Next()});
    stop_.WaitFor(absl::Milliseconds(caller.random() % 10));
  }
}

void LedgerLoad::Write(Caller& caller, Open open) {
  while (true) {
    v1::WriteEventsResponse answer;
    const absl::Status status = Call(caller, open, &answer);
    if (Settle(caller, open, status, answer)) return;
    // Some are repeated at once, some much later.
    if (caller.random() % 4 == 0) break;
    if (stop_.WaitFor(absl::Milliseconds(20))) break;
  }
  absl::MutexLock lock(&mutex_);
  open_.push_back(std::move(open));
}

absl::Status LedgerLoad::Call(Caller& caller, const Open& open, v1::WriteEventsResponse* answer) {
  const auto context = Context();
  // A call that waits also drives the reconnection.
  context->set_wait_for_ready(true);
  Api::Stub& stub = *caller.stubs[caller.random() % caller.stubs.size()];
  return rpc::FromGrpcStatus(stub.WriteEvents(context.get(), open.plan.request, answer));
}

void LedgerLoad::RunStream(Caller caller) {
  while (!stop_.stopped()) {
    const auto context = Context();
    context->set_wait_for_ready(true);
    const auto stream =
        caller.stubs[caller.random() % caller.stubs.size()]->WriteEventsStream(context.get());
    for (int bursts = 0; bursts < 20 && !stop_.stopped(); ++bursts) {
      std::vector<Open> opens;
      for (uint64_t n = 1 + caller.random() % kBurstMax; n > 0; --n)
        opens.push_back({.plan = caller.requests.Next()});
      if (!Burst(caller, *stream, std::move(opens))) break;
      stop_.WaitFor(absl::Milliseconds(caller.random() % 60));
    }
    stream->WritesDone();
    // Ends a stream that is broken or not, whatever its server does.
    context->TryCancel();
    stream->Finish();
  }
}

bool LedgerLoad::Burst(
    Caller& caller,
    grpc::ClientReaderWriter<v1::WriteEventsRequest, v1::WriteEventsStreamResponse>& stream,
    std::vector<Open> opens) {
  size_t sent = 0;
  while (sent < opens.size() && stream.Write(opens[sent].plan.request)) ++sent;
  size_t settled = 0;
  v1::WriteEventsStreamResponse response;
  while (settled < sent && stream.Read(&response)) {
    Open& open = opens[settled++];
    if (response.request_id() != open.plan.request.request_id()) {
      Surprise(absl::StrCat("a stream answers '", response.request_id(), "' instead of '",
                            open.plan.request.request_id(), "'"));
    }
    const absl::Status status =
        response.has_error() ? FromMessage(response.error()) : absl::OkStatus();
    if (!Settle(caller, open, status, response.written())) Write(caller, std::move(open));
  }
  const bool whole = settled == opens.size();
  // The rest has no answer, or was not even sent.
  for (; settled < opens.size(); ++settled) {
    ++unanswered_;
    Write(caller, std::move(opens[settled]));
  }
  return whole;
}

bool LedgerLoad::Settle(Caller& caller, Open& open, const absl::Status& status,
                        const v1::WriteEventsResponse& answer) {
  PlannedRequest& plan = open.plan;
  const std::string& id = plan.request.request_id();
  if (status.ok()) {
    if (plan.refusal.has_value()) Surprise(absl::StrCat("request '", id, "' is not refused"));
    if (plan.again.has_value()) {
      ++repeated_;
      if (!google::protobuf::util::MessageDifferencer::Equals(*plan.again, answer))
        Surprise(absl::StrCat("request '", id, "' is answered with ", answer.ShortDebugString(),
                              " after ", plan.again->ShortDebugString()));
      return true;
    }
    ++acknowledged_;
    Note(plan, plan.refusal.has_value() ? Fate::kRejected : Fate::kWritten, answer);
    caller.requests.Acknowledged(plan.request, answer);
    return true;
  }
  if (!IsRefusal(status)) {
    ++unanswered_;
    open.may_come_late |= absl::IsDeadlineExceeded(status);
    return false;
  }
  if (!IsAsPlanned(plan, status))
    Surprise(absl::StrCat("request '", id, "' is refused: ", status.ToString()));
  if (absl::IsAlreadyExists(status)) {
    ++repeated_;
    return true;
  }
  ++rejected_;
  Note(plan, open.may_come_late ? Fate::kUnknown : Fate::kRejected, {});
  return true;
}

void LedgerLoad::Note(const PlannedRequest& plan, Fate fate,
                      const v1::WriteEventsResponse& answer) {
  // A repetition says nothing about the request that is not known.
  if (plan.again.has_value() || plan.reason == "REQUEST_ID_REUSED") return;
  absl::MutexLock lock(&mutex_);
  history_.requests[plan.request.request_id()] = {plan.request, fate, answer};
}

void LedgerLoad::Surprise(const std::string& what) {
  absl::MutexLock lock(&mutex_);
  history_.surprises.push_back(what);
}

}  // namespace saldo::testing
