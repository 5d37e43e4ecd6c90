// Writing to the ledger over gRPC, with what it leaves in the database.
#include <catch2/catch.hpp>
#include <string>

#include "common/runtime/thread.h"
#include "google/protobuf/util/message_differencer.h"
#include "saldo/v1/account_event.pb.h"
#include "tests/server/account_requests.h"
#include "tests/server/test_app.h"
#include "tests/support/capture_log.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

using google::protobuf::util::MessageDifferencer;

v1::WriteEventsResponse Written(TestApp& app, const v1::WriteEventsRequest& request) {
  v1::WriteEventsResponse response;
  const absl::Status status = app.Write(request, &response);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return response;
}

absl::Status Refused(TestApp& app, const v1::WriteEventsRequest& request) {
  v1::WriteEventsResponse response;
  const absl::Status status = app.Write(request, &response);
  CHECK_FALSE(status.ok());
  return status;
}

std::string EventsStored(const TestApp& app) {
  return app.database.Query("SELECT count(*) FROM events");
}

}  // namespace

TEST_CASE("events are written, and answered with their places and balances") {
  TestApp app;
  auto request = Request("r-1", {Wallet(17, "10.5"), Commission(17, "0.1234"), Wallet(17, "-4")});
  request.mutable_events(0)->mutable_occurred_at()->set_seconds(1'600'000'000);
  request.mutable_events(0)->mutable_occurred_at()->set_nanos(123'456'789);
  request.mutable_events(1)->set_info(R"({"ride": "почта"})");
  const v1::WriteEventsResponse first = Written(app, request);
  CHECK(first.batch_id() > 0);
  CHECK(first.first_ordinal() == 1);
  REQUIRE(first.events_size() == 3);
  CHECK(first.events(0).balance_after() == "10.50");
  CHECK(first.events(1).balance_after().empty());
  CHECK(first.events(2).balance_after() == "6.50");
  CHECK(first.events(0).subaccount_id() == first.events(2).subaccount_id());
  CHECK(first.events(0).subaccount_id() != first.events(1).subaccount_id());

  const v1::WriteEventsResponse second = Written(app, Request("r-2", {Wallet(17, "1")}));
  CHECK(second.batch_id() > first.batch_id());
  CHECK(second.events(0).balance_after() == "7.50");
  CHECK(second.events(0).subaccount_id() == first.events(0).subaccount_id());

  CHECK(app.database.Query("SELECT ordinal, is_credit, amount, balance_after, info FROM events "
                           "ORDER BY batch_id, ordinal") ==
        "1|t|10.5|10.5|\n2|t|0.1234||{\"ride\": \"почта\"}\n3|f|4|6.5|\n1|t|1|7.5|");
  CHECK(app.database.Query("SELECT extract(epoch FROM min(occurred_at)) FROM events") ==
        "1600000000.123456");
  CHECK(app.database.Query("SELECT count(*) FROM outbox WHERE traceparent ~ "
                           "'^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$'") == "4");
  v1::AccountEvent event;
  REQUIRE(event.ParseFromString(absl::HexStringToBytes(app.database.Query(
      "SELECT encode(payload, 'hex') FROM outbox WHERE topic = 'saldo-client-wallet' "
      "ORDER BY batch_id, ordinal LIMIT 1"))));
  CHECK(event.batch_id() == first.batch_id());
  CHECK(event.request_id() == "r-1");
  CHECK(event.balance_after() == "10.50");
  CHECK(event.occurred_at().nanos() == 123'456'000);
  CHECK(MessageDifferencer::Equals(event.account(), request.events(0).account()));

  CHECK(app.Metric("saldo_ledger_events_total") == "4");
  CHECK(app.Metric("saldo_ledger_batch_requests_count") == "2");
  CHECK(app.Metric("saldo_ledger_batch_events_sum") == "4");
  CHECK(app.Metric("saldo_ledger_commit_seconds_count") == "2");
  CHECK(app.Metric("saldo_ledger_write_wait_seconds_count") == "2");
  CHECK(app.Metric("saldo_ledger_queue_requests") == "0");
  CHECK(app.Metric("saldo_ledger_known_subaccounts") == "2");
}

TEST_CASE("a repeated write gets the first answer; its id is not for other content") {
  TestApp app;
  const auto request = Request("r-1", {Wallet(1, "5"), Commission(1, "2")});
  const v1::WriteEventsResponse first = Written(app, request);
  Written(app, Request("r-2", {Wallet(1, "5")}));
  CHECK(MessageDifferencer::Equals(Written(app, request), first));
  const absl::Status reused = Refused(app, Request("r-1", {Wallet(1, "6"), Commission(1, "2")}));
  CHECK(reused.code() == absl::StatusCode::kAlreadyExists);
  CHECK(InfoOf(reused) == Details{{"reason", "REQUEST_ID_REUSED"}, {"request_id", "r-1"}});
  CHECK(EventsStored(app) == "3");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"REQUEST_ID_REUSED\"}") == "1");
}

TEST_CASE("a dry run tells what would happen, and writes nothing") {
  TestApp app;
  Written(app, Request("start", {Wallet(1, "5")}));
  auto request = Request("r-1", {Wallet(1, "-2"), Wallet(2, "3")});
  request.set_dry_run(true);
  const v1::WriteEventsResponse answer = Written(app, request);
  CHECK(answer.batch_id() == 0);
  REQUIRE(answer.events_size() == 2);
  CHECK(answer.events(0).balance_after() == "3.00");
  CHECK(answer.events(1).balance_after() == "3.00");
  request.mutable_events(0)->set_amount("5.01");
  CHECK(InfoOf(Refused(app, request))["reason"] == "BALANCE_BELOW_MINIMUM");
  CHECK(EventsStored(app) == "1");
  CHECK(app.database.Query("SELECT count(*) FROM accounts") == "1");
  CHECK(app.database.Query("SELECT count(*) FROM write_requests") == "1");
  // Its id is still free.
  request.set_dry_run(false);
  request.mutable_events(0)->set_amount("5");
  CHECK(Written(app, request).events(0).balance_after() == "0.00");
}

TEST_CASE("a limit that would be broken rejects the whole request, and says which") {
  TestApp app;
  Written(app, Request("start", {Wallet(1, "5")}));
  const absl::Status status =
      Refused(app, Request("r-1", {Commission(9, "1"), Wallet(1, "-3"), Wallet(1, "-2.01")}));
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(InfoOf(status) == Details{{"reason", "BALANCE_BELOW_MINIMUM"},
                                  {"account", "client_wallet{client_id=1, currency=RUB}"},
                                  {"balance", "5.00"},
                                  {"limit", "0.00"}});
  CHECK(EventsStored(app) == "1");
  CHECK(app.database.Query("SELECT count(*) FROM accounts") == "1");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"BALANCE_BELOW_MINIMUM\"}") == "1");
  // A rejected id is not remembered.
  CHECK(Written(app, Request("r-1", {Wallet(1, "-5")})).events(0).balance_after() == "0.00");
}

TEST_CASE("a balanced request must be so, in each asset") {
  TestApp app;
  Written(app, Request("start", {Wallet(1, "5"), Wallet(1, "5", "USD")}));
  auto request = Request("r-1", {Wallet(1, "-2"), Wallet(2, "1.5"), Commission(1, "0.5"),
                                 Wallet(1, "-1", "USD"), Wallet(2, "1.01", "USD")});
  request.set_balanced(true);
  const absl::Status status = Refused(app, request);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  const Details info = InfoOf(status);
  CHECK(info.at("reason") == "NOT_BALANCED");
  CHECK(info.at("asset") == "USD");
  CHECK(info.at("debit") == "1");
  CHECK(info.at("credit") == "1.01");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"NOT_BALANCED\"}") == "1");
  request.mutable_events(4)->set_amount("1");
  CHECK(Written(app, request).events_size() == 5);
  CHECK(app.database.Query("SELECT count(*) FROM events WHERE is_balanced") == "5");
}

TEST_CASE("bad writes name their fields and leave nothing") {
  TestApp app;
  auto request = Request("", {Wallet(1, "1.001"), Commission(1, "0"), Wallet(1, "1")});
  request.mutable_events(0)->mutable_account()->mutable_key()->erase("currency");
  request.mutable_events(1)->clear_side();
  (*request.mutable_events(1)->mutable_attributes())["colour"] = "red";
  request.mutable_events(2)->mutable_account()->set_type("purse");
  request.mutable_events(2)->set_info("[]");
  const absl::Status status = Refused(app, request);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  const Details fields = FieldsOf(status);
  for (const char* field :
       {"request_id", "events[0].amount", "events[0].account.key.currency", "events[1].amount",
        "events[1].side", "events[1].attributes", "events[2].account.type", "events[2].info"}) {
    CAPTURE(field, status.ToString());
    CHECK(fields.contains(field));
  }
  CHECK(fields.size() == 8);
  CHECK_THAT(fields.at("events[2].account.type"),
             Catch::Contains("taxi_commission, client_wallet, agency_reward"));
  CHECK(FieldsOf(Refused(app, Request("r", {}))).at("events") == "must be 1 to 10000; there are 0");
  CHECK(EventsStored(app) == "0");
  CHECK(app.database.Query("SELECT count(*) FROM batches") == "0");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"INVALID_ARGUMENT\"}") == "2");
}

TEST_CASE("text that is not UTF-8 is refused with its field, garbage as such") {
  TestApp app;
  const std::string path = "/saldo.v1.AccountService/WriteEvents";
  // The library would warn, but send it.
  auto request = Request("r-1", {Wallet(1, "1")});
  request.mutable_events(0)->set_info("{\"a\": \"\xff\"}");
  (*request.mutable_events(0)->mutable_attributes())["source"] = "\xc3";
  std::string bytes;
  {
    const testing::CaptureLog quiet;
    bytes = request.SerializeAsString();
  }
  std::string response;
  const absl::Status text = rpc::FromGrpcStatus(RawCall(app.channel, path, bytes, &response));
  CHECK(text.code() == absl::StatusCode::kInvalidArgument);
  const Details fields = FieldsOf(text);
  INFO(text.ToString());
  CHECK(fields.size() == 2);
  CHECK(fields.at("events[0].info") == "must be valid UTF-8");
  for (const std::string& garbage : {std::string("garbage"), std::string("\x12\xff\x01")}) {
    const grpc::Status status = RawCall(app.channel, path, garbage, &response);
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(status.error_message() == "the request's bytes are no saldo.v1.WriteEventsRequest");
  }
  CHECK(EventsStored(app) == "0");
  CHECK(Written(app, Request("r-1", {Wallet(1, "1")})).events_size() == 1);
}

TEST_CASE("ten thousand events are one request, more are refused, and so are too many bytes") {
  TestApp app;
  std::vector<v1::NewEvent> events;
  for (int i = 0; i < 10'000; ++i)
    events.push_back(i % 2 == 0 ? Wallet(i % 500, "1") : Commission(i, "0.0001"));
  auto request = Request("huge", events);
  const v1::WriteEventsResponse answer = Written(app, request);
  REQUIRE(answer.events_size() == 10'000);
  CHECK(answer.events(9998).balance_after() == "20.00");
  CHECK(EventsStored(app) == "10000");
  CHECK(app.database.Query("SELECT count(*), max(ordinal) FROM outbox") == "10000|10000");
  CHECK(MessageDifferencer::Equals(Written(app, request), answer));

  request.set_request_id("more");
  *request.add_events() = Wallet(1, "1");
  CHECK(FieldsOf(Refused(app, request)).at("events") == "must be 1 to 10000; there are 10001");
  auto large = Request("large", {});
  for (int i = 0; i < 1200; ++i) {
    *large.add_events() = Wallet(1, "1");
    large.mutable_events(i)->set_info("{\"a\":\"" + std::string(4000, 'x') + "\"}");
  }
  CHECK(Refused(app, large).code() == absl::StatusCode::kResourceExhausted);
  CHECK(EventsStored(app) == "10000");
}

TEST_CASE("a caller that gives up may repeat its request, which is written once") {
  TestApp app;
  Written(app, Request("start", {Wallet(1, "5")}));
  runtime::Thread locker("locker", [&] {
    app.database.Query(
        "BEGIN; SELECT FROM account_balances FOR UPDATE; SELECT pg_sleep(1.5); "
        "COMMIT");
  });
  REQUIRE(testing::Eventually(kPatience, [&] {
    return app.database.Query(
               "SELECT count(*) FROM pg_stat_activity WHERE datname = "
               "current_database() AND wait_event = 'PgSleep'") == "1";
  }));
  // Takes all there is: a second time it could not.
  const auto request = Request("r-1", {Wallet(1, "-5")});
  v1::WriteEventsResponse response;
  CHECK(app.Write(request, &response, absl::Milliseconds(300)).code() ==
        absl::StatusCode::kDeadlineExceeded);
  CHECK(Written(app, request).events(0).balance_after() == "0.00");
  locker.Join();
  CHECK(EventsStored(app) == "2");
}

TEST_CASE("the log keeps to itself who has how much") {
  testing::CaptureLog log;
  {
    TestApp app;
    auto request =
        Request("id-of-request",
                {Event("agency_reward", {{"agency_id", "471100471"}, {"contract", "Secret-1"}}, {},
                       "815000815")});
    request.mutable_events(0)->set_info(R"({"phone": "555-0199"})");
    Written(app, request);
    CHECK_FALSE(Refused(app, Request("id-of-request", {Wallet(471100471, "-1")})).ok());
    CHECK_FALSE(Refused(app, Request("r-2", {Wallet(471100471, "-1")})).ok());
    CHECK_FALSE(Refused(app, Request("r-3", {Wallet(471100471, "one-and-twenty")})).ok());
    app.app.Stop();
  }
  const std::string text = log.Text();
  CHECK_THAT(text, Catch::Contains("saldo-server"));
  for (const char* part : {"471100471", "Secret-1", "815000815", "555-0199", "one-and-twenty"}) {
    CAPTURE(part);
    CHECK(testing::CountOf(text, part) == 0);
  }
}

}  // namespace saldo::server
