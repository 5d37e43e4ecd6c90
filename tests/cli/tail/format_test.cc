#include "cli/tail/format.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/time/time.h"
#include "hablof/proto/v1/package_event.pb.h"
#include "saldo/v1/account_event.pb.h"
#include "saldo/v1/state_event.pb.h"

namespace saldo::cli {
namespace {

hablof::proto::v1::PackageEvent Event() {
  hablof::proto::v1::PackageEvent event;
  event.set_id(12);
  event.set_package_id(3);
  event.set_type(hablof::proto::v1::Updated);
  event.mutable_created()->set_seconds(1);
  return event;
}

TEST_CASE("a package event is shown as JSON with its payload unfolded") {
  hablof::proto::v1::PackageEvent event = Event();
  event.set_payload("{\"ID\":\"3\",\"Title\":\"box\"}");
  CHECK(FormatValue(event.SerializeAsString()) ==
        "{\"id\":\"12\",\"package_id\":\"3\",\"type\":\"Updated\","
        "\"payload\":{\"ID\":\"3\",\"Title\":\"box\"},\"created\":\"1970-01-01T00:00:01Z\"}");
  event.set_payload("not JSON");
  CHECK_THAT(FormatValue(event.SerializeAsString()),
             Catch::Contains("\"payload\":\"bm90IEpTT04=\""));
  CHECK_THAT(FormatValue(Event().SerializeAsString()), Catch::Contains("\"payload\":\"\""));
}

TEST_CASE("other values are text or hex") {
  CHECK(FormatValue("hello") == "hello");
  CHECK(FormatValue("сальдо") == "сальдо");
  CHECK(FormatValue("") == "");
  CHECK(FormatValue(std::string("\x00\x1f", 2)) == "hex:001f");
}

TEST_CASE("a message shows where it is, its key, headers and value") {
  kafka::ReceivedMessage message;
  message.topic = "t";
  message.partition = 2;
  message.offset = 5;
  message.key = "17";
  message.value = "hello";
  message.headers = {{"traceparent", "00-ab"}, {"ce_id", "x"}};
  message.timestamp = absl::FromUnixMillis(1500);
  CHECK(FormatMessage(message) ==
        "t[2]@5  key 17  1970-01-01T00:00:01.500Z\n  traceparent: 00-ab\n  ce_id: x\n  hello\n");
  message.key.reset();
  message.value.reset();
  message.headers.clear();
  CHECK(FormatMessage(message) == "t[2]@5  key none  1970-01-01T00:00:01.500Z\n  (no value)\n");
}

TEST_CASE("an event of an account is decoded when its header says that it is one") {
  v1::AccountEvent event;
  event.set_amount("12.50");
  kafka::ReceivedMessage message;
  message.value = event.SerializeAsString();
  CHECK_THAT(FormatMessage(message), !Catch::Contains("{"));
  message.headers = {{"ce_type", "saldo.v1.AccountEvent"}};
  CHECK_THAT(FormatMessage(message), Catch::Contains("{\"amount\":\"12.50\"}"));
}

TEST_CASE("a change of a state is decoded when its header says that it is one") {
  v1::StateEvent event;
  event.set_type("import_state");
  event.set_deleted(true);
  kafka::ReceivedMessage message;
  message.value = event.SerializeAsString();
  message.headers = {{"ce_type", "saldo.v1.StateEvent"}};
  CHECK_THAT(FormatMessage(message),
             Catch::Contains("{\"type\":\"import_state\",\"deleted\":true}"));
}

}  // namespace
}  // namespace saldo::cli
