// StateService and states in WriteEvents, over gRPC.
#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "saldo/v1/state_service.grpc.pb.h"
#include "tests/server/account_requests.h"
#include "tests/server/shards/sharded_app.h"
#include "tests/server/test_app.h"

namespace saldo::server {
namespace {

template <typename Message>
void Name(int client, Message* message) {
  message->set_type("import_state");
  (*message->mutable_key())["client_id"] = std::to_string(client);
}

struct StateClient {
  explicit StateClient(const std::shared_ptr<grpc::Channel>& channel)
      : stub(v1::StateService::NewStub(channel)) {}

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::StateService::Stub::*method)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                    const Request& request, Response* response) const {
    ClientCall call;
    return rpc::FromGrpcStatus((stub.get()->*method)(&call.context, request, response));
  }
  absl::StatusOr<v1::GetStateResponse> Get(int client) const {
    v1::GetStateRequest request;
    Name(client, &request);
    v1::GetStateResponse response;
    if (absl::Status s = Call(&v1::StateService::Stub::Get, request, &response); !s.ok()) return s;
    return response;
  }
  absl::StatusOr<int64_t> Put(const v1::PutStateRequest& request) const {
    v1::PutStateResponse response;
    if (absl::Status s = Call(&v1::StateService::Stub::Put, request, &response); !s.ok()) return s;
    return response.version();
  }
  absl::StatusOr<int64_t> Put(const std::string& id, int client, const std::string& document,
                              std::optional<int64_t> expected = std::nullopt) const {
    v1::PutStateRequest request;
    request.set_request_id(id);
    Name(client, &request);
    request.set_document(document);
    if (expected.has_value()) request.set_expected_version(*expected);
    return Put(request);
  }
  absl::Status Delete(const v1::DeleteStateRequest& request) const {
    v1::DeleteStateResponse response;
    return Call(&v1::StateService::Stub::Delete, request, &response);
  }
  absl::Status Delete(const std::string& id, int client,
                      std::optional<int64_t> expected = std::nullopt) const {
    v1::DeleteStateRequest request;
    request.set_request_id(id);
    Name(client, &request);
    if (expected.has_value()) request.set_expected_version(*expected);
    return Delete(request);
  }

  std::unique_ptr<v1::StateService::Stub> stub;
};

void AddState(int client, const std::string& document, v1::WriteEventsRequest* request) {
  v1::StatePut* state = request->add_states();
  Name(client, state);
  state->set_document(document);
}

}  // namespace

TEST_CASE("a state is put, got, replaced by its version and removed") {
  TestApp app;
  const StateClient states(app.channel);
  CHECK(states.Get(17).status().message() == "state import_state{client_id=17} not found");
  CHECK(states.Get(17).status().code() == absl::StatusCode::kNotFound);
  const auto first = states.Put("a", 17, R"({"line":  1})", 0);
  REQUIRE(first.ok());
  auto state = states.Get(17);
  REQUIRE(state.ok());
  CHECK(state->document() == R"({"line":  1})");
  CHECK(state->version() == *first);
  CHECK(std::abs(state->updated_at().seconds() - absl::ToUnixSeconds(absl::Now())) < 60);

  const absl::Status conflict = states.Put("b", 17, "2", *first + 1).status();
  CHECK(conflict.code() == absl::StatusCode::kAborted);
  CHECK(InfoOf(conflict) == Details{{"reason", "STATE_VERSION_MISMATCH"},
                                    {"type", "import_state"},
                                    {"key", "client_id=17"},
                                    {"expected", std::to_string(*first + 1)},
                                    {"current", std::to_string(*first)}});
  CHECK(conflict.message() == "import_state{client_id=17} has version " + std::to_string(*first) +
                                  "; the expected version is " + std::to_string(*first + 1));
  // A refused id is not remembered, an accepted one is.
  const auto second = states.Put("b", 17, "2", *first);
  REQUIRE(second.ok());
  CHECK(states.Put("b", 17, "2", *first).value_or(0) == *second);
  CHECK(InfoOf(states.Put("b", 17, "3", *first).status()) ==
        Details{{"reason", "REQUEST_ID_REUSED"}, {"request_id", "b"}});
  // WriteEvents has ids of its own.
  v1::WriteEventsResponse written;
  CHECK(app.Write(Request("b", {Wallet(17, "1")}), &written).ok());

  CHECK(InfoOf(states.Delete("c", 17, *first))["current"] == std::to_string(*second));
  CHECK(states.Delete("d", 17, *second).ok());
  CHECK(states.Delete("d", 17, *second).ok());
  CHECK(states.Delete("e", 17).ok());
  CHECK(InfoOf(states.Delete("f", 17, *second))["current"] == "0");
  CHECK(states.Get(17).status().code() == absl::StatusCode::kNotFound);
  CHECK(app.Metric("saldo_state_changes_total{operation=\"put\"}") == "2");
  CHECK(app.Metric("saldo_state_changes_total{operation=\"delete\"}") == "1");
  CHECK(app.Metric("saldo_state_conflicts_total") == "3");
  CHECK(app.database.Query("SELECT topic, count(*), count(traceparent) FROM outbox "
                           "WHERE topic LIKE '%state' GROUP BY topic") == "saldo-import-state|3|3");
}

TEST_CASE("each field of a request about a state that is at fault is named") {
  TestApp app;
  const StateClient states(app.channel);
  v1::PutStateRequest put;
  put.set_type("nothing");
  put.set_document("{");
  put.set_expected_version(-1);
  const absl::Status status = states.Put(put).status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(FieldsOf(status) ==
        Details{{"request_id", "must be 1 to 64 printable ASCII characters"},
                {"type", "there is no state type 'nothing'; there are import_state"},
                {"document", "must be a JSON value"},
                {"expected_version", "must be at least 0"}});
  Name(1, &put);
  (*put.mutable_key())["city"] = "x";
  CHECK(FieldsOf(states.Put(put).status()).count("key") +
            FieldsOf(states.Put(put).status()).count("key.city") ==
        1);
  v1::DeleteStateRequest remove;
  remove.set_expected_version(0);
  const Details fields = FieldsOf(states.Delete(remove));
  CHECK(fields.size() == 3);
  CHECK(fields.at("expected_version") == "must be at least 1");
  v1::GetStateRequest get;
  v1::GetStateResponse state;
  CHECK(FieldsOf(states.Call(&v1::StateService::Stub::Get, get, &state)).count("type") == 1);
}

TEST_CASE("a document is any JSON value up to the type's limit") {
  TestApp app;
  const StateClient states(app.channel);
  int client = 0;
  const std::string most = "\"" + std::string((64 << 10) - 2, 'x') + "\"";
  for (const std::string& good :
       {std::string("null"), std::string("-1.5e3"), std::string(" [1, {\"a\": \"б\"}] "),
        std::string("\"\\u0000\""), std::string(10'000, '[') + std::string(10'000, ']'), most}) {
    INFO(good.substr(0, 50));
    ++client;
    REQUIRE(states.Put("good" + std::to_string(client), client, good).ok());
    REQUIRE(states.Get(client).ok());
    CHECK(states.Get(client)->document() == good);
  }
  for (const std::string& bad :
       {std::string(), std::string(" "), std::string("{} {}"), std::string("{a: 1}"),
        std::string("'a'"), std::string("NaN"), std::string("{}\0", 3),
        std::string("\xEF\xBB\xBF{}"), std::string("\"\n\""), "[" + most + "]"}) {
    INFO(bad.substr(0, 50));
    CHECK(FieldsOf(states.Put("bad", 1, bad).status()).count("document") == 1);
  }
  CHECK(FieldsOf(states.Put("bad", 1, most + " ").status()).at("document") ==
        "has 65537 bytes; at most 65536 are kept");
}

TEST_CASE("events and states of a request are written both or neither") {
  TestApp app;
  const StateClient states(app.channel);
  auto request = Request("one", {Wallet(1, "5"), Commission(1, "1")});
  AddState(1, "1", &request);
  request.mutable_states(0)->set_expected_version(0);
  AddState(2, "[]", &request);
  v1::WriteEventsResponse first;
  REQUIRE(app.Write(request, &first).ok());
  CHECK(states.Get(1)->version() == first.batch_id());
  CHECK(states.Get(2)->version() == first.batch_id());
  CHECK(states.Get(2)->document() == "[]");
  // A repeat, and the same events with another document.
  v1::WriteEventsResponse repeat;
  REQUIRE(app.Write(request, &repeat).ok());
  CHECK(repeat.batch_id() == first.batch_id());
  auto other = request;
  other.mutable_states(1)->set_document("[1]");
  CHECK(InfoOf(app.Write(other, &repeat))["reason"] == "REQUEST_ID_REUSED");

  // The state refuses: no event. The account refuses: no state.
  auto stale = Request("two", {Wallet(1, "1")});
  AddState(2, "[2]", &stale);
  AddState(1, "2", &stale);
  stale.mutable_states(1)->set_expected_version(first.batch_id() - 1);
  const absl::Status refused = app.Write(stale, &repeat);
  CHECK(refused.code() == absl::StatusCode::kAborted);
  CHECK(InfoOf(refused)["reason"] == "STATE_VERSION_MISMATCH");
  auto poor = Request("three", {Wallet(1, "-5.01")});
  AddState(1, "3", &poor);
  CHECK(InfoOf(app.Write(poor, &repeat))["reason"] == "BALANCE_BELOW_MINIMUM");
  CHECK(app.database.Query("SELECT count(*) FROM events") == "2");
  CHECK(states.Get(1)->document() == "1");
  CHECK(states.Get(2)->document() == "[]");

  // A dry run tells the same, and writes nothing.
  stale.set_dry_run(true);
  CHECK(InfoOf(app.Write(stale, &repeat))["reason"] == "STATE_VERSION_MISMATCH");
  stale.mutable_states(1)->set_expected_version(first.batch_id());
  CHECK(app.Write(stale, &repeat).ok());
  CHECK(states.Get(1)->version() == first.batch_id());
  stale.set_dry_run(false);
  REQUIRE(app.Write(stale, &repeat).ok());
  CHECK(states.Get(1)->document() == "2");
  CHECK(app.database.Query("SELECT string_agg(DISTINCT topic, ' ' ORDER BY topic) FROM outbox "
                           "WHERE batch_id = " +
                           std::to_string(repeat.batch_id())) ==
        "saldo-client-wallet saldo-import-state");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"STATE_VERSION_MISMATCH\"}") == "2");
}

TEST_CASE("states of a stream's requests are written with their events") {
  TestApp app;
  const StateClient states(app.channel);
  ClientCall call;
  const auto stream = app.accounts->WriteEventsStream(&call.context);
  auto good = Request("good", {Wallet(1, "5")});
  AddState(1, "1", &good);
  auto stale = Request("stale", {Wallet(1, "5")});
  AddState(1, "2", &stale);
  stale.mutable_states(0)->set_expected_version(0);
  auto faulty = Request("faulty", {Wallet(1, "5")});
  AddState(1, "no", &faulty);
  v1::WriteEventsStreamResponse answers[3];
  const v1::WriteEventsRequest* requests[] = {&good, &stale, &faulty};
  for (int i = 0; i < 3; ++i) {
    REQUIRE(stream->Write(*requests[i]));
    REQUIRE(stream->Read(&answers[i]));
  }
  stream->WritesDone();
  CHECK(stream->Finish().ok());
  CHECK(answers[0].written().batch_id() == states.Get(1)->version());
  CHECK(answers[1].error().code() == 10);  // ABORTED
  CHECK(answers[2].error().code() == 3);   // INVALID_ARGUMENT
  CHECK(app.database.Query("SELECT count(*) FROM events") == "1");
}

TEST_CASE("what is wrong with states of WriteEvents is named by their place") {
  TestApp app;
  v1::WriteEventsResponse response;
  auto request = Request("r", {Wallet(1, "5")});
  AddState(1, "1", &request);
  AddState(2, "{", &request);
  request.mutable_states(0)->set_expected_version(-1);
  CHECK(FieldsOf(app.Write(request, &response)) ==
        Details{{"states[0].expected_version", "must be at least 0"},
                {"states[1].document", "must be a JSON value"}});
  auto twice = Request("r", {Wallet(1, "5")});
  AddState(1, "1", &twice);
  AddState(1, "2", &twice);
  CHECK(FieldsOf(app.Write(twice, &response)) ==
        Details{{"states[1]", "is the same state as one before it"}});
  auto many = Request("r", {Wallet(1, "5")});
  for (int i = 0; i < 17; ++i) AddState(i, "1", &many);
  CHECK(FieldsOf(app.Write(many, &response)) ==
        Details{{"states", "must be at most 16; there are 17"}});
  many.mutable_states()->RemoveLast();
  CHECK(app.Write(many, &response).ok());
  CHECK(app.database.Query("SELECT count(*) FROM states") == "16");
}

TEST_CASE("a state lives on the shard of its sharding attributes, as its events must") {
  ShardedApp app;
  const StateClient states(app.client->channel);
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  REQUIRE(states.Put("s", south, "\"south\"").ok());
  REQUIRE(states.Put("n", north, "\"north\"").ok());
  CHECK(states.Get(south)->document() == "\"south\"");
  CHECK(states.Get(north)->document() == "\"north\"");
  CHECK(app.south.Query("SELECT key FROM states") == std::to_string(south));
  CHECK(app.north.Query("SELECT key FROM states") == std::to_string(north));
  CHECK(states.Delete("d", north).ok());
  CHECK(app.north.Query("SELECT count(*) FROM states") == "0");

  auto across = Request("across", {Wallet(south, "1")});
  AddState(south, "1", &across);
  AddState(north, "2", &across);
  const absl::Status refused = app.client->Write(across);
  CHECK(refused.code() == absl::StatusCode::kInvalidArgument);
  CHECK(FieldsOf(refused) ==
        Details{{"states[1]", "import_state{client_id=" + std::to_string(north) +
                                  "} is on shard \"north\", but client_wallet{client_id=" +
                                  std::to_string(south) +
                                  ", currency=RUB} of events[0] is on shard \"south\"; all that a "
                                  "request writes must be on one shard"}});
  CHECK(app.south.Query("SELECT count(*) FROM events") == "0");
  across.mutable_states()->RemoveLast();
  CHECK(app.client->Write(across).ok());
  CHECK(states.Get(south)->document() == "1");
}

}  // namespace saldo::server
