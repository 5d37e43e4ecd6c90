#include "tests/system/event_writers.h"

#include <catch2/catch.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/kafka/consumer.h"
#include "common/rpc/errors.h"
#include "grpcpp/grpcpp.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kPause = absl::Milliseconds(10);

v1::WriteEventsRequest Request(const std::string& id, int client) {
  v1::WriteEventsRequest request;
  request.set_request_id(id);
  v1::NewEvent& event = *request.add_events();
  event.mutable_account()->set_type("client_wallet");
  (*event.mutable_account()->mutable_key())["client_id"] = std::to_string(client);
  (*event.mutable_account()->mutable_key())["currency"] = "RUB";
  (*event.mutable_attributes())["source"] = "card";
  event.set_side(v1::SIDE_CREDIT);
  event.set_amount("0.01");
  return request;
}

}  // namespace

EventWriters::EventWriters(EventWritersOptions options) : options_(std::move(options)) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  // Else every 30 s at most, and calls that do not wait for the server reconnect no earlier.
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 100);
  for (int i = 0; i < options_.callers + options_.streams; ++i) {
    stubs_.push_back(Api::NewStub(grpc::CreateCustomChannel(
        options_.address, grpc::InsecureChannelCredentials(), arguments)));
  }
  for (int i = 0; i < options_.callers + options_.streams; ++i) {
    const std::string name = absl::StrCat(options_.prefix, "-", i);
    Api::Stub& stub = *stubs_[static_cast<size_t>(i)];
    threads_.emplace_back(name, [this, i, name, &stub] {
      if (i < options_.callers) {
        RunCaller(i, name, stub);
      } else {
        RunStream(i, name, stub);
      }
    });
  }
}

void EventWriters::Stop() {
  stop_.Stop();
  threads_.clear();
}

std::set<std::string> EventWriters::ids() {
  absl::MutexLock lock(&mutex_);
  return ids_;
}

std::string EventWriters::first_refusal() {
  absl::MutexLock lock(&mutex_);
  return first_refusal_;
}

std::vector<std::string> EventWriters::surprises() {
  absl::MutexLock lock(&mutex_);
  return surprises_;
}

void EventWriters::RunCaller(int client, const std::string& name, Api::Stub& stub) {
  for (int made = 0; !stop_.stopped(); ++made) {
    const std::string id = absl::StrCat(name, "-", made);
    const v1::WriteEventsRequest request = Request(id, client);
    while (true) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kCallTimeout));
      v1::WriteEventsResponse response;
      if (Note(id, rpc::FromGrpcStatus(stub.WriteEvents(&context, request, &response)))) break;
      if (stop_.WaitFor(kPause)) return;
    }
  }
}

void EventWriters::RunStream(int client, const std::string& name, Api::Stub& stub) {
  int made = 0;
  while (!stop_.stopped()) {
    grpc::ClientContext context;
    const auto stream = stub.WriteEventsStream(&context);
    while (true) {
      const std::string id = absl::StrCat(name, "-", made);
      v1::WriteEventsStreamResponse response;
      if (!stream->Write(Request(id, client)) || !stream->Read(&response)) break;
      const absl::Status status =
          response.has_error()
              ? absl::Status(static_cast<absl::StatusCode>(response.error().code()),
                             response.error().message())
              : absl::OkStatus();
      if (Note(response.request_id(), status)) ++made;
      if (!stop_.stopped()) continue;
      stream->WritesDone();
      break;
    }
    const absl::Status ended = rpc::FromGrpcStatus(stream->Finish());
    if (!ended.ok()) Note("", ended);
    stop_.WaitFor(kPause);
  }
}

bool EventWriters::Note(const std::string& id, const absl::Status& status) {
  if (absl::IsUnavailable(status) || absl::IsCancelled(status)) {
    ++(absl::IsCancelled(status) ? cancelled_ : unavailable_);
    absl::MutexLock lock(&mutex_);
    if (first_refusal_.empty()) first_refusal_ = status.ToString();
    return false;
  }
  absl::MutexLock lock(&mutex_);
  if (!status.ok()) {
    // One tells enough.
    if (surprises_.empty()) surprises_.push_back(absl::StrCat(id, ": ", status.ToString()));
    return false;
  }
  ids_.insert(id);
  ++acknowledged_;
  return true;
}

std::vector<TopicEvent> ReadEvents(Stack& stack) {
  auto consumer =
      kafka::Consumer::Create({.connection = {.brokers = stack.kafka().bootstrap_servers()}});
  REQUIRE(consumer.ok());
  std::vector<TopicEvent> events;
  int bad = 0;
  const absl::Status status = (*consumer)->ReadToEnd(
      EventWriters::kTopic, CallContext::WithTimeout(absl::Seconds(60)),
      [&](const kafka::ReceivedMessage& message) {
        TopicEvent& event = events.emplace_back();
        const std::string* id = message.FindHeader("ce_id");
        if (id != nullptr) event.id = *id;
        if (id == nullptr || !event.event.ParseFromString(message.value.value_or(""))) ++bad;
      });
  INFO(status.ToString());
  REQUIRE(status.ok());
  CHECK(bad == 0);
  return events;
}

}  // namespace saldo::testing
