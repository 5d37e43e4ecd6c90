// Two shards, and the database of one of them stopped and started under load.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/kafka/consumer.h"
#include "common/rpc/errors.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "common/shards/shard_map.h"
#include "grpcpp/grpcpp.h"
#include "saldo/v1/account_event.pb.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "tests/system/ledger_requests.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

constexpr int kCallers = 8;
constexpr int kClientsOfCaller = 10;
constexpr absl::Duration kCallTimeout = absl::Seconds(5);
// For one request, however often it is repeated: longer than any outage of this test.
constexpr absl::Duration kGiveUp = absl::Minutes(2);

size_t ShardOf(int client) {
  static const auto* const map =
      new shards::ShardMap(*shards::ShardMap::Make({{"a", "0", "7"}, {"b", "8", "f"}}));
  return map->Of(std::to_string(client));
}

v1::WriteEventsRequest Request(const std::string& id, int client) {
  v1::WriteEventsRequest request;
  request.set_request_id(id);
  request.set_balanced(true);
  for (const char* type : {"fee", "wallet"}) {
    v1::NewEvent& event = *request.add_events();
    event.mutable_account()->set_type(type);
    (*event.mutable_account()->mutable_key())["client_id"] = std::to_string(client);
    (*event.mutable_account()->mutable_key())["currency"] = "RUB";
    event.set_side(request.events_size() == 1 ? v1::SIDE_DEBIT : v1::SIDE_CREDIT);
    event.set_amount("0.01");
    if (request.events_size() > 1) continue;
    (*event.mutable_attributes())["product"] = "taxi";
    (*event.mutable_attributes())["region"] = "msk";
  }
  return request;
}

// Callers that each write for clients of their own, one call at a time, and repeat what has no
// answer until it has one, or for two minutes.
class Load {
 public:
  explicit Load(const std::string& address)
      : stub_(v1::AccountService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    for (int i = 0; i < kCallers; ++i)
      threads_.emplace_back(absl::StrCat("caller-", i), [this, i] { Run(i); });
  }
  void Stop() {
    stop_.Stop();
    threads_.clear();
  }

  // While it is set, calls may find no server.
  void SetServerAway(bool away) { server_away_ = away; }

  int64_t acknowledged(size_t shard) const { return acknowledged_[shard]; }
  int64_t refused(size_t shard) const { return refused_[shard]; }
  std::set<std::string> surprises() {
    absl::MutexLock lock(&mutex_);
    return surprises_;
  }
  std::set<std::string> ids() {
    absl::MutexLock lock(&mutex_);
    return ids_;
  }

 private:
  // Half of the callers of each shard, so that none of one waits for the other.
  void Run(int caller) {
    const size_t shard = static_cast<size_t>(caller % 2);
    for (int n = 0; !stop_.stopped(); ++n) {
      // The same few again and again, and a new one now and then.
      int client = caller * 100'000 + (n % 100 == 99 ? n : n % kClientsOfCaller) * 50;
      while (ShardOf(client) != shard) ++client;
      const std::string id = absl::StrCat("c", caller, "-", n);
      WriteUntilAnswered(shard, Request(id, client));
    }
  }

  void WriteUntilAnswered(size_t shard, const v1::WriteEventsRequest& request) {
    const absl::Time give_up = absl::Now() + kGiveUp;
    while (absl::Now() < give_up) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kCallTimeout));
      v1::WriteEventsResponse answer;
      const absl::Status status =
          rpc::FromGrpcStatus(stub_->WriteEvents(&context, request, &answer));
      if (status.ok()) {
        ++acknowledged_[shard];
        absl::MutexLock lock(&mutex_);
        ids_.insert(request.request_id());
        return;
      }
      Note(shard, status);
      // The end of the load waits for the answer to what is open.
      pause_.WaitFor(absl::Milliseconds(20));
    }
    absl::MutexLock lock(&mutex_);
    surprises_.insert(absl::StrCat("shard ", shard, ": no answer for ", request.request_id()));
  }

  // Which is right only for the shard whose database is stopped, and says so.
  void Note(size_t shard, const absl::Status& status) {
    ++refused_[shard];
    if (server_away_ && absl::IsUnavailable(status)) return;
    google::rpc::ErrorInfo info;
    const bool named = rpc::GetDetail(status, &info) && info.reason() == "SHARD_UNAVAILABLE" &&
                       info.metadata().at("shard") == "b";
    if (shard == 1 && absl::IsUnavailable(status) && named) return;
    // The server asks what became of a COMMIT whose answer was lost, for longer than a call waits.
    if (shard == 1 && absl::IsDeadlineExceeded(status)) return;
    absl::MutexLock lock(&mutex_);
    surprises_.insert(absl::StrCat("shard ", shard, ": ", status.ToString()));
  }

  const std::unique_ptr<v1::AccountService::Stub> stub_;
  runtime::StopSignal stop_;
  runtime::StopSignal pause_;  // never stopped
  std::atomic<bool> server_away_{false};
  std::array<std::atomic<int64_t>, 2> acknowledged_{}, refused_{};
  absl::Mutex mutex_;
  std::set<std::string> surprises_ ABSL_GUARDED_BY(mutex_), ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<runtime::Thread> threads_;
};

// The ids of requests, with how many events of each were published, by distinct message ids.
std::map<std::string, int> Published(Stack& stack) {
  std::map<std::string, int> events;
  std::set<std::string> messages;
  for (const char* topic : {"saldo-fee", "saldo-wallet"}) {
    auto consumer =
        kafka::Consumer::Create({.connection = {.brokers = stack.kafka().bootstrap_servers()}});
    REQUIRE(consumer.ok());
    const absl::Status status = (*consumer)->ReadToEnd(
        topic, CallContext::WithTimeout(absl::Seconds(60)),
        [&](const kafka::ReceivedMessage& message) {
          const std::string* id = message.FindHeader("ce_id");
          v1::AccountEvent event;
          if (id == nullptr || !event.ParseFromString(message.value.value_or("")) ||
              !messages.insert(*id).second)
            return;
          ++events[event.request_id()];
        });
    INFO(topic << ": " << status.ToString());
    REQUIRE(status.ok());
  }
  return events;
}

std::string Ready(const Stack& stack) {
  const auto answer = stack.ServerReadiness();
  return absl::StrCat(answer.code, " ", answer.body);
}

}  // namespace

TEST_CASE("a shard that is stopped and started leaves the other one working") {
  Stack stack({.shards = 2, .servers = 1, .relays = 1, .account_types = kLedgerTypes});
  Load load(stack.server_address());
  const auto grows = [&](size_t shard, int64_t by) {
    const int64_t before = load.acknowledged(shard);
    return Eventually(absl::Seconds(30), [&] { return load.acknowledged(shard) > before + by; });
  };
  REQUIRE(grows(0, 100));
  REQUIRE(grows(1, 100));
  for (const bool killed : {true, false}) {
    INFO("killed " << killed);
    if (killed) {
      stack.postgres(1).Kill();
    } else {
      stack.postgres(1).Stop();
    }
    const int64_t refused = load.refused(1);
    REQUIRE(Eventually(absl::Seconds(30), [&] { return load.refused(1) > refused + 5; }));
    const int64_t stuck = load.acknowledged(1);
    REQUIRE(grows(0, 300));
    CHECK(load.acknowledged(1) == stuck);
    REQUIRE(Eventually(absl::Seconds(10), [&] {
      const std::string ready = Ready(stack);
      return absl::StartsWith(ready, "200") && absl::StrContains(ready, "shard b");
    }));
    CHECK(absl::StrContains(stack.ServerMetrics(), "saldo_shard_up{shard=\"a\"} 1"));
    CHECK(absl::StrContains(stack.ServerMetrics(), "saldo_shard_up{shard=\"b\"} 0"));
    // A server that comes meanwhile serves the other shard.
    load.SetServerAway(!killed);
    if (!killed) stack.KillServer();
    REQUIRE(grows(0, 100));
    load.SetServerAway(false);
    REQUIRE(stack.postgres(1).Restart().ok());
    REQUIRE(grows(1, 100));
    REQUIRE(Eventually(absl::Seconds(10), [&] {
      return absl::StrContains(stack.ServerMetrics(), "saldo_shard_up{shard=\"b\"} 1");
    }));
  }
  load.Stop();
  REQUIRE(Eventually(absl::Seconds(60), [&] { return stack.Drained(); }));
  const auto verified = stack.Saldo({"verify"});
  INFO((verified.ok() ? *verified : verified.status().ToString()));
  CHECK(verified.ok());
  for (const std::string& surprise : load.surprises()) UNSCOPED_INFO(surprise);
  CHECK(load.surprises().empty());
  // Each request once, in the topics and in one of the shards.
  const std::map<std::string, int> published = Published(stack);
  const std::set<std::string> ids = load.ids();
  CHECK(published.size() == ids.size());
  size_t whole = 0;
  for (const std::string& id : ids) whole += published.contains(id) && published.at(id) == 2;
  CHECK(whole == ids.size());
  size_t kept = 0;
  for (const int shard : {0, 1}) {
    const auto requests = stack.postgres(shard).Query(
        Stack::kDatabase, "SELECT count(*) FROM write_requests WHERE request_id LIKE 'c%'");
    REQUIRE(requests.ok());
    kept += std::stoul(*requests);
  }
  CHECK(kept == ids.size());
}

}  // namespace saldo::testing
