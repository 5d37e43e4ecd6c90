// Writing to the ledger by streams of requests.
#include <catch2/catch.hpp>
#include <string>

#include "common/runtime/thread.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/server/account_requests.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

struct Stream {
  explicit Stream(TestApp& app) : stream(app.accounts->WriteEventsStream(&call.context)) {}

  v1::WriteEventsStreamResponse Read() {
    v1::WriteEventsStreamResponse response;
    REQUIRE(stream->Read(&response));
    return response;
  }

  ClientCall call;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WriteEventsRequest, v1::WriteEventsStreamResponse>>
      stream;
};

std::string EventsStored(const TestApp& app) {
  return app.database.Query("SELECT count(*) FROM events");
}

}  // namespace

TEST_CASE("a stream answers each request in its turn, and goes on after one that fails") {
  TestApp app;
  Stream stream(app);
  REQUIRE(stream.stream->Write(Request("fill", {Wallet(1, "100")})));
  // Written at once, while the answers come: more than the server's window.
  constexpr int kRequests = 500;
  runtime::Thread writer("writer", [&] {
    for (int i = 1; i <= kRequests; ++i) {
      const std::string id = "r-" + std::to_string(i);
      if (i % 10 == 0) {
        stream.stream->Write(Request(id, {Wallet(1, "-1000")}));
      } else if (i % 10 == 1) {
        stream.stream->Write(Request(id, {Wallet(1, "-1"), Wallet(1, "0")}));
      } else {
        stream.stream->Write(Request(id, {Wallet(1, i % 2 == 0 ? "1" : "-1"), Commission(i, "1")}));
      }
    }
    stream.stream->WritesDone();
  });
  CHECK(stream.Read().written().events(0).balance_after() == "100.00");
  int64_t last_batch = 0;
  int faults = 0;
  for (int i = 1; i <= kRequests; ++i) {
    const v1::WriteEventsStreamResponse response = stream.Read();
    const int code = i % 10 == 0   ? grpc::StatusCode::FAILED_PRECONDITION
                     : i % 10 == 1 ? grpc::StatusCode::INVALID_ARGUMENT
                                   : grpc::StatusCode::OK;
    const bool right = response.request_id() == "r-" + std::to_string(i) &&
                       response.error().code() == code &&
                       response.has_written() == (code == grpc::StatusCode::OK) &&
                       (!response.has_written() || response.written().batch_id() >= last_batch);
    faults += right ? 0 : 1;
    if (response.has_written()) last_batch = response.written().batch_id();
  }
  CHECK(faults == 0);
  v1::WriteEventsStreamResponse none;
  CHECK_FALSE(stream.stream->Read(&none));
  writer.Join();
  CHECK(stream.stream->Finish().ok());
  CHECK(EventsStored(app) == "801");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"BALANCE_BELOW_MINIMUM\"}") == "50");
  CHECK(app.Metric("saldo_ledger_rejections_total{reason=\"INVALID_ARGUMENT\"}") == "50");
}

TEST_CASE("an error on a stream has the details that it has as an answer of its own") {
  TestApp app;
  Stream stream(app);
  const auto request = Request("r-1", {Wallet(1, "-1")});
  REQUIRE(stream.stream->Write(request));
  const google::rpc::Status error = stream.Read().error();
  v1::WriteEventsResponse response;
  const absl::Status status = app.Write(request, &response);
  CHECK(error.code() == static_cast<int>(status.code()));
  CHECK(error.message() == std::string(status.message()));
  REQUIRE(error.details_size() == 1);
  google::rpc::ErrorInfo info;
  REQUIRE(error.details(0).UnpackTo(&info));
  CHECK(info.reason() == InfoOf(status).at("reason"));
  CHECK(info.metadata().at("limit") == "0.00");
  stream.stream->WritesDone();
  CHECK(stream.stream->Finish().ok());
}

TEST_CASE("repeats within a stream, and of a stream that was cut off, are written once") {
  TestApp app;
  v1::WriteEventsResponse first;
  {
    Stream stream(app);
    REQUIRE(stream.stream->Write(Request("r-1", {Wallet(1, "5")})));
    REQUIRE(stream.stream->Write(Request("r-1", {Wallet(1, "5")})));
    first = stream.Read().written();
    CHECK(google::protobuf::util::MessageDifferencer::Equals(stream.Read().written(), first));
    REQUIRE(stream.stream->Write(Request("r-2", {Wallet(1, "-5")})));
    stream.call.context.TryCancel();
    CHECK(stream.stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }
  Stream stream(app);
  REQUIRE(stream.stream->Write(Request("r-2", {Wallet(1, "-5")})));
  CHECK(stream.Read().written().events(0).balance_after() == "0.00");
  stream.stream->WritesDone();
  CHECK(stream.stream->Finish().ok());
  CHECK(EventsStored(app) == "2");
}

TEST_CASE("a stream has no more under way than its window") {
  TestApp app([](ServerConfig& config) { config.grpc.calls.stream_window = 4; });
  v1::WriteEventsResponse filled;
  REQUIRE(app.Write(Request("fill", {Wallet(1, "1")}), &filled).ok());
  Stream stream(app);
  runtime::Thread locker("locker", [&] {
    app.database.Query(
        "BEGIN; SELECT FROM account_balances FOR UPDATE; SELECT pg_sleep(1); "
        "COMMIT");
  });
  REQUIRE(testing::Eventually(kPatience, [&] {
    return app.database.Query(
               "SELECT count(*) FROM pg_stat_activity WHERE datname = "
               "current_database() AND wait_event = 'PgSleep'") == "1";
  }));
  // Nothing is answered while the balance is held, so all that the server takes in waits.
  constexpr int kRequests = 100;
  runtime::Thread writer("writer", [&] {
    for (int i = 0; i < kRequests; ++i)
      stream.stream->Write(Request("r-" + std::to_string(i), {Wallet(1, "1")}));
    stream.stream->WritesDone();
  });
  for (int i = 0; i < kRequests; ++i) CHECK(stream.Read().request_id() == "r-" + std::to_string(i));
  writer.Join();
  locker.Join();
  CHECK(stream.stream->Finish().ok());
  CHECK(app.Metric("saldo_ledger_batch_requests_bucket{le=\"4\"}") ==
        app.Metric("saldo_ledger_batch_requests_count"));
  CHECK(app.Metric("saldo_ledger_batch_requests_bucket{le=\"1\"}") !=
        app.Metric("saldo_ledger_batch_requests_count"));
}

TEST_CASE("a message that is none ends its stream, after the answers to those before") {
  TestApp app;
  Stream stream(app);
  // Made by the library from a text that is not UTF-8, with a warning.
  auto bad = Request("r-2", {Wallet(1, "1")});
  bad.mutable_events(0)->mutable_account()->set_type("\xff");
  REQUIRE(stream.stream->Write(Request("r-1", {Wallet(1, "1")})));
  REQUIRE(stream.stream->Write(bad));
  CHECK(stream.Read().has_written());
  v1::WriteEventsStreamResponse none;
  CHECK_FALSE(stream.stream->Read(&none));
  const absl::Status status = rpc::FromGrpcStatus(stream.stream->Finish());
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(FieldsOf(status).contains("events[0].account.type"));
  CHECK(EventsStored(app) == "1");
}

}  // namespace saldo::server
