// One trace follows a change from the client's call to the message in Kafka: as OTLP, and as a real
// Jaeger shows it.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/devstack/jaeger.h"
#include "common/kafka/consumer.h"
#include "common/observability/trace.h"
#include "common/runtime/thread.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "saldo/v1/lock_service.grpc.pb.h"
#include "saldo/v1/wallet_service.grpc.pb.h"
#include "tests/system/stack.h"
#include "tests/system/trace_collector.h"

namespace saldo::testing {
namespace {

namespace api = hablof::logistic_package_api::v1;
using otlp_span = opentelemetry::proto::trace::v1::Span;
using PackageApi = api::LogisticPackageApiService;
using Attributes = std::map<std::string, std::string>;

constexpr char kClientSpan[] = "00f067aa0ba902b7";
constexpr char kCreateRpc[] =
    "hablof.logistic_package_api.v1.LogisticPackageApiService/CreatePackageV1";
constexpr char kWriteRpc[] = "saldo.v1.AccountService/WriteEvents";
constexpr absl::Duration kPatience = absl::Seconds(60);

// In what callers send and no span may show.
constexpr char kSecret[] = "Zq7";
constexpr char kSecretNumber[] = "9137264508";

// Those of a call: its trace has this number.
std::string TraceId(int number) { return absl::StrFormat("4bf92f3577b34da6%016x", number); }

std::unique_ptr<grpc::ClientContext> CallOf(int trace, bool sampled = true) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->AddMetadata("traceparent", absl::StrCat("00-", TraceId(trace), "-", kClientSpan,
                                                   sampled ? "-01" : "-00"));
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  return context;
}

v1::WriteEventsRequest Event(const std::string& request_id, const std::string& client,
                             v1::Side side = v1::SIDE_CREDIT) {
  v1::WriteEventsRequest request;
  request.set_request_id(request_id);
  v1::NewEvent& event = *request.add_events();
  event.mutable_account()->set_type("client_wallet");
  (*event.mutable_account()->mutable_key())["client_id"] = client;
  (*event.mutable_account()->mutable_key())["currency"] = "Zq7";
  (*event.mutable_attributes())["source"] = "Zq7Card";
  event.set_side(side);
  event.set_amount(kSecretNumber);
  return request;
}

std::unique_ptr<devstack::JaegerServer> StartJaeger(const std::string& dir) {
  auto started = devstack::JaegerServer::Start({.dir = dir});
  INFO(started.status());
  REQUIRE(started.ok());
  return *std::move(started);
}

// Saldo's real programs, which send their traces through a collector to a Jaeger.
class TracedStack {
 public:
  TracedStack()
      : channel_(grpc::CreateChannel(stack.server_address(), grpc::InsecureChannelCredentials())),
        packages_(PackageApi::NewStub(channel_)),
        accounts_(v1::AccountService::NewStub(channel_)),
        wallets_(v1::WalletService::NewStub(channel_)),
        locks_(v1::LockService::NewStub(channel_)) {}

  grpc::Status Create(int trace, const std::string& title, bool sampled = true) {
    api::CreatePackageV1Request request;
    request.set_title(title);
    request.set_material("Zq7Paper");
    request.set_maximum_volume(1);
    api::CreatePackageV1Response response;
    return packages_->CreatePackageV1(CallOf(trace, sampled).get(), request, &response);
  }
  grpc::Status Update(int trace, uint64_t id) {
    api::UpdatePackageV1Request request;
    request.set_package_id(id);
    request.set_title("Zq7Other");
    api::UpdatePackageV1Response response;
    return packages_->UpdatePackageV1(CallOf(trace).get(), request, &response);
  }
  grpc::Status Write(int trace, const v1::WriteEventsRequest& request) {
    v1::WriteEventsResponse response;
    return accounts_->WriteEvents(CallOf(trace).get(), request, &response);
  }
  grpc::Status Balance(int trace, const v1::AccountKey& account) {
    v1::GetBalanceRequest request;
    *request.mutable_account() = account;
    v1::GetBalanceResponse response;
    return accounts_->GetBalance(CallOf(trace).get(), request, &response);
  }
  grpc::Status Open(int trace) {
    v1::CreateWalletRequest request;
    request.set_request_id("Zq7Open");
    request.set_external_id("Zq7External");
    request.set_currency("RUB");
    v1::CreateWalletResponse response;
    return wallets_->CreateWallet(CallOf(trace).get(), request, &response);
  }

  grpc::Status Lock(int trace, const std::string& owner) {
    v1::AcquireLockRequest request;
    request.set_type("client_lock");
    (*request.mutable_key())["client_id"] = kSecretNumber;
    request.set_owner(owner);
    request.set_mode(v1::LOCK_MODE_EXCLUSIVE);
    request.mutable_ttl()->set_seconds(60);
    v1::AcquireLockResponse response;
    return locks_->Acquire(CallOf(trace).get(), request, &response);
  }

  // The trace, once it has all these spans.
  std::vector<ReceivedSpan> Await(int trace, const std::vector<std::string>& names) {
    std::vector<ReceivedSpan> spans;
    const bool complete = Eventually(kPatience, [&] {
      spans = collector.Trace(TraceId(trace));
      return std::all_of(names.begin(), names.end(),
                         [&](const auto& name) { return FindSpan(spans, name) != nullptr; });
    });
    for (const ReceivedSpan& span : spans) {
      UNSCOPED_INFO(span.service << " " << span.name << " " << span.span_id << " under "
                                 << span.parent_id);
    }
    REQUIRE(complete);
    return spans;
  }

  const TempDir dir;
  const std::unique_ptr<devstack::JaegerServer> jaeger = StartJaeger(dir.File("jaeger"));
  TraceCollector collector{jaeger->otlp_endpoint().substr(sizeof("http://") - 1)};
  // Of those that begin here none is kept; a caller's decision is followed.
  Stack stack{{.relays = 1,
               .env = {{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()},
                       {"OTEL_BSP_SCHEDULE_DELAY", "100"},
                       {"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"},
                       {"OTEL_TRACES_SAMPLER_ARG", "0"},
                       {"OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%20test"}}}};

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<PackageApi::Stub> packages_;
  const std::unique_ptr<v1::AccountService::Stub> accounts_;
  const std::unique_ptr<v1::WalletService::Stub> wallets_;
  const std::unique_ptr<v1::LockService::Stub> locks_;
};

std::string Port(const std::string& address) { return address.substr(address.rfind(':') + 1); }

void CheckStatements(const std::vector<ReceivedSpan>& spans, const ReceivedSpan& method) {
  for (const std::string name : {"packages.insert", "outbox.append", "postgres.commit"}) {
    INFO(name);
    const ReceivedSpan* sql = FindSpan(spans, name);
    REQUIRE(sql != nullptr);
    CHECK(sql->parent_id == method.span_id);
    CHECK(sql->kind == otlp_span::SPAN_KIND_CLIENT);
    CHECK(sql->attributes.at("db.system.name") == "postgresql");
    CHECK(sql->attributes.at("db.namespace") == Stack::kDatabase);
    CHECK(sql->attributes.at("db.query.summary") == name);
    CHECK_THAT(sql->attributes.at("server.address"), Catch::StartsWith("/"));
    CHECK(std::stoi(sql->attributes.at("server.port")) > 0);
    const bool parameters = name != "postgres.commit";
    CHECK(absl::StrContains(sql->attributes.at("db.query.text"), "$1") == parameters);
  }
}

// From the client's span to Kafka. Gives the span of the send.
ReceivedSpan CheckTree(const std::vector<ReceivedSpan>& spans, const std::string& address) {
  const ReceivedSpan* rpc = FindSpan(spans, kCreateRpc);
  CHECK(rpc->service == "saldo-server");
  CHECK(rpc->parent_id == kClientSpan);
  CHECK(rpc->kind == otlp_span::SPAN_KIND_SERVER);
  CHECK(rpc->attributes == Attributes{{"rpc.system", "grpc"},
                                      {"rpc.service", PackageApi::service_full_name()},
                                      {"rpc.method", "CreatePackageV1"},
                                      {"rpc.grpc.status_code", "0"},
                                      {"server.address", "127.0.0.1"},
                                      {"server.port", Port(address)}});
  const ReceivedSpan* method = FindSpan(spans, "PackageStore.Create");
  REQUIRE(method != nullptr);
  CHECK(method->parent_id == rpc->span_id);
  CHECK(method->kind == otlp_span::SPAN_KIND_INTERNAL);
  CheckStatements(spans, *method);

  const ReceivedSpan* send = FindSpan(spans, absl::StrCat("send ", Stack::kTopic));
  CHECK(send->service == "saldo-retranslator");
  CHECK(send->parent_id == method->span_id);
  CHECK(send->kind == otlp_span::SPAN_KIND_PRODUCER);
  CHECK(send->attributes.at("messaging.system") == "kafka");
  CHECK(send->attributes.at("messaging.operation.name") == "send");
  CHECK(send->attributes.at("messaging.operation.type") == "send");
  CHECK(send->attributes.at("messaging.destination.name") == Stack::kTopic);
  CHECK(send->attributes.count("messaging.message.id") == 1);
  CHECK(send->attributes.count("messaging.destination.partition.id") == 1);
  CHECK(send->attributes.at("messaging.kafka.offset") == "0");
  for (const ReceivedSpan& span : spans) CHECK_FALSE(span.error);
  return *send;
}

// Name, service, id and parent's id of each span.
using Shape = std::set<std::vector<std::string>>;

Shape ShapeInJaeger(const devstack::JaegerServer& jaeger, int trace) {
  Shape shape;
  const auto body = jaeger.Get("/api/traces/" + TraceId(trace));
  if (!body.ok()) return shape;
  const auto answer = nlohmann::json::parse(*body);
  const auto& shown = answer["data"][0];
  for (const auto& span : shown["spans"]) {
    std::string parent;
    for (const auto& reference : span["references"]) {
      if (reference["refType"] == "CHILD_OF") parent = reference["spanID"];
    }
    const std::string process = span["processID"];
    shape.insert({span["operationName"], shown["processes"][process]["serviceName"], span["spanID"],
                  parent});
  }
  return shape;
}

void CheckJaeger(const TracedStack& traced, int trace, const std::vector<ReceivedSpan>& spans) {
  Shape sent;
  for (const ReceivedSpan& span : spans)
    sent.insert({span.name, span.service, span.span_id, span.parent_id});
  Shape shown;
  CHECK(Eventually(kPatience, [&] {
    shown = ShapeInJaeger(*traced.jaeger, trace);
    return shown == sent;
  }));
  CHECK(shown == sent);
}

// The traceparent of each message, by its trace.
std::map<std::string, std::string> Traceparents(TracedStack& traced) {
  auto consumer = kafka::Consumer::Create(
      {.connection = {.brokers = traced.stack.kafka().bootstrap_servers()}});
  REQUIRE(consumer.ok());
  std::map<std::string, std::string> found;
  const absl::Status read =
      (*consumer)->ReadToEnd(Stack::kTopic, CallContext::WithTimeout(kPatience),
                             [&](const kafka::ReceivedMessage& message) {
                               const std::string* header = message.FindHeader("traceparent");
                               if (header != nullptr) found[header->substr(3, 32)] = *header;
                             });
  REQUIRE(read.ok());
  return found;
}

// Whether the work of a trace has statements of its own.
bool HasCommit(const std::vector<ReceivedSpan>& spans, const ReceivedSpan& work) {
  return std::any_of(spans.begin(), spans.end(), [&](const ReceivedSpan& span) {
    return span.name == "postgres.commit" && span.parent_id == work.span_id;
  });
}

// Calls that were made at the same time, whose work some of them did for others.
struct Round {
  std::vector<int> traces;
  std::string rpc, work, send;
  bool send_below_work = false;
};

// Each has its work below its call, and the statements below the work, or a link to the work that
// has them. The number of the latter.
size_t CheckShares(TracedStack& traced, const Round& round) {
  std::set<std::string> workers;
  std::vector<std::vector<std::string>> linked;
  for (const int trace : round.traces) {
    const auto spans = traced.Await(trace, {round.rpc, round.work, round.send});
    const ReceivedSpan& rpc = *FindSpan(spans, round.rpc);
    const ReceivedSpan& work = *FindSpan(spans, round.work);
    CHECK(rpc.parent_id == kClientSpan);
    CHECK(work.parent_id == rpc.span_id);
    CHECK(FindSpan(spans, round.send)->parent_id ==
          (round.send_below_work ? work.span_id : rpc.span_id));
    if (HasCommit(spans, work)) {
      workers.insert(work.span_id);
    } else {
      linked.push_back(work.links);
    }
  }
  for (const auto& links : linked) {
    CHECK(std::any_of(links.begin(), links.end(),
                      [&](const std::string& id) { return workers.count(id) > 0; }));
  }
  return linked.size();
}

// Creates and writes of many callers at once, until some of each share a transaction.
void CheckGroups(TracedStack& traced, int first_trace) {
  constexpr int kCallers = 16;
  size_t shared_creates = 0, shared_writes = 0;
  CHECK(Eventually(kPatience, [&] {
    Round creates{
        {}, kCreateRpc, "PackageStore.Create", absl::StrCat("send ", Stack::kTopic), true};
    Round writes{{}, kWriteRpc, "AccountWriter.Commit", "send saldo-client-wallet", false};
    std::atomic<int> failed = 0;
    {
      std::vector<runtime::Thread> callers;
      for (int i = 0; i < kCallers; ++i) {
        const int create = first_trace++, write = first_trace++;
        creates.traces.push_back(create);
        writes.traces.push_back(write);
        callers.emplace_back("caller", [&traced, &failed, create, write] {
          const auto event = Event(absl::StrCat("Zq7-", write), absl::StrCat(write));
          if (!traced.Create(create, "Zq7Box").ok() || !traced.Write(write, event).ok()) ++failed;
        });
      }
    }
    REQUIRE(failed == 0);
    shared_creates += CheckShares(traced, creates);
    shared_writes += CheckShares(traced, writes);
    return shared_creates > 0 && shared_writes > 0;
  }));
}

// Of calls that quote what their caller sent, and of those that fail.
void CheckNothingIsTold(TracedStack& traced, int first_trace) {
  v1::WriteEventsRequest write = Event("Zq7Request", kSecretNumber);
  v1::WriteEventsRequest debit = Event("Zq7Debit", kSecretNumber, v1::SIDE_DEBIT);
  debit.mutable_events(0)->set_amount("99137264508");
  v1::AccountKey unknown = write.events(0).account();
  unknown.set_type("Zq7Type");
  const std::vector<std::pair<grpc::StatusCode, grpc::Status>> calls = {
      {grpc::StatusCode::OK, traced.Write(first_trace, write)},
      {grpc::StatusCode::FAILED_PRECONDITION, traced.Write(first_trace + 1, debit)},
      {grpc::StatusCode::OK, traced.Balance(first_trace + 2, write.events(0).account())},
      {grpc::StatusCode::INVALID_ARGUMENT, traced.Balance(first_trace + 3, unknown)},
      {grpc::StatusCode::INVALID_ARGUMENT,
       traced.Create(first_trace + 4, std::string(20, 'x') + "Zq7TitleThatIsTooLong")},
      {grpc::StatusCode::NOT_FOUND, traced.Update(first_trace + 5, 9137264508)},
      {grpc::StatusCode::OK, traced.Open(first_trace + 6)},
      {grpc::StatusCode::OK, traced.Lock(first_trace + 7, "Zq7One")},
      {grpc::StatusCode::FAILED_PRECONDITION, traced.Lock(first_trace + 8, "Zq7Two")}};
  for (size_t i = 0; i < calls.size(); ++i) {
    INFO(i << " " << calls[i].second.error_message());
    CHECK(calls[i].second.error_code() == calls[i].first);
    const std::string id = TraceId(first_trace + static_cast<int>(i));
    // The span of the call comes last.
    std::vector<ReceivedSpan> spans;
    CHECK(Eventually(kPatience, [&] {
      spans = traced.collector.Trace(id);
      return std::any_of(spans.begin(), spans.end(), [](const ReceivedSpan& span) {
        return span.kind == otlp_span::SPAN_KIND_SERVER;
      });
    }));
    // Who breaks a rule is no failure of the server's.
    for (const ReceivedSpan& span : spans) {
      INFO(span.name);
      CHECK_FALSE(span.error);
    }
  }
}

// A statement that the database refuses fails the whole way up, by name.
void CheckFailure(TracedStack& traced, int trace) {
  const auto psql = [&](const std::string& sql) {
    REQUIRE(traced.stack.postgres().Query(Stack::kDatabase, sql).ok());
  };
  psql("ALTER TABLE packages RENAME TO elsewhere");
  const grpc::Status status = traced.Create(trace, "Zq7Failed");
  psql("ALTER TABLE elsewhere RENAME TO packages");
  CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
  const auto spans = traced.Await(trace, {kCreateRpc, "PackageStore.Create", "packages.insert"});
  const ReceivedSpan* sql = FindSpan(spans, "packages.insert");
  CHECK(sql->error);
  CHECK(sql->error_message == "42P01");
  CHECK(sql->attributes.at("db.response.status_code") == "42P01");
  CHECK(sql->attributes.at("error.type") == "42P01");
  for (const std::string name : {"PackageStore.Create", kCreateRpc}) {
    INFO(name);
    CHECK(FindSpan(spans, name)->error);
    CHECK(FindSpan(spans, name)->error_message == "INTERNAL");
    CHECK(FindSpan(spans, name)->attributes.at("error.type") == "INTERNAL");
  }
  CHECK(FindSpan(spans, kCreateRpc)->attributes.at("rpc.grpc.status_code") == "13");
}

}  // namespace

TEST_CASE("one trace follows a change from the client's call to the message in Kafka") {
  constexpr int kFirst = 1, kUnsampled = 2, kFailed = 3, kTold = 100, kGroups = 1000;
  TracedStack traced;
  REQUIRE(traced.Create(kFirst, "Zq7Title").ok());
  const auto spans =
      traced.Await(kFirst, {kCreateRpc, "postgres.commit", absl::StrCat("send ", Stack::kTopic)});
  const ReceivedSpan send = CheckTree(spans, traced.stack.server_address());
  CheckJaeger(traced, kFirst, spans);

  REQUIRE(traced.Create(kUnsampled, "Zq7Unseen", /*sampled=*/false).ok());
  CheckFailure(traced, kFailed);
  CheckNothingIsTold(traced, kTold);
  CheckGroups(traced, kGroups);

  // What was not sampled is not traced, and its message still carries the trace.
  const auto traceparents = Traceparents(traced);
  CHECK(traceparents.at(TraceId(kFirst)) ==
        absl::StrCat("00-", TraceId(kFirst), "-", send.span_id, "-01"));
  CHECK(traceparents.at(TraceId(kUnsampled)) ==
        absl::StrCat("00-", TraceId(kUnsampled), "-", kClientSpan, "-00"));
  CHECK(traced.collector.Trace(TraceId(kUnsampled)).empty());
  for (const std::string& id : traced.collector.TraceIds())
    CHECK_THAT(id, Catch::StartsWith(TraceId(0).substr(0, 16)));

  const std::string everything = traced.collector.Everything();
  CHECK(absl::StrContains(everything, "deployment.environment.name"));
  CHECK(absl::StrContains(everything, "\"a test\""));
  CHECK_FALSE(absl::StrContains(everything, kSecret));
  CHECK_FALSE(absl::StrContains(everything, kSecretNumber));
  const auto schemas = traced.collector.Schemas();
  REQUIRE(schemas.size() == 1);
  CHECK(schemas.begin()->first == trace::kSchemaUrl);
}

}  // namespace saldo::testing
