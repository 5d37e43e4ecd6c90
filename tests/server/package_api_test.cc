// The package API over gRPC, with what it leaves in the database.
#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <string>

#include "common/runtime/thread.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

using google::protobuf::util::MessageDifferencer;
using hablof::proto::v1::EventType;
using Faults = std::map<std::string, std::string>;

Faults FaultsOf(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  google::rpc::BadRequest detail;
  CHECK(rpc::GetDetail(status, &detail));
  Faults faults;
  for (const auto& violation : detail.field_violations()) {
    faults[violation.field()] = violation.description();
  }
  return faults;
}

api::Package Described(TestApp& app, uint64_t id) {
  api::DescribePackageV1Request request;
  request.set_package_id(id);
  api::DescribePackageV1Response response;
  const absl::Status status = app.Call(&Api::Stub::DescribePackageV1, request, &response);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return response.value();
}

absl::Status Update(TestApp& app, const api::UpdatePackageV1Request& request) {
  api::UpdatePackageV1Response response;
  const absl::Status status = app.Call(&Api::Stub::UpdatePackageV1, request, &response);
  CHECK(response.suc() == status.ok());
  return status;
}

absl::Status Remove(TestApp& app, uint64_t id) {
  api::RemovePackageV1Request request;
  request.set_package_id(id);
  api::RemovePackageV1Response response;
  const absl::Status status = app.Call(&Api::Stub::RemovePackageV1, request, &response);
  CHECK(response.suc() == status.ok());
  return status;
}

api::Package FromJson(const std::string& json) {
  api::Package package;
  CHECK(google::protobuf::util::JsonStringToMessage(json, &package).ok());
  return package;
}

}  // namespace

TEST_CASE("a package's life, and its events") {
  TestApp app;
  api::CreatePackageV1Request create;
  create.set_title("коробка");
  create.set_material("wood");
  create.set_maximum_volume(0.1F);
  create.set_reusable(true);
  api::CreatePackageV1Response created;
  REQUIRE(app.Call(&Api::Stub::CreatePackageV1, create, &created).ok());
  const api::Package first = Described(app, created.id());
  CHECK(first.id() == created.id());
  CHECK(first.title() == "коробка");
  CHECK(first.material() == "wood");
  CHECK(first.maximum_volume() == 0.1F);
  CHECK(first.reusable());
  CHECK(first.created().seconds() > absl::ToUnixSeconds(absl::Now() - absl::Minutes(5)));
  CHECK_FALSE(first.has_updated());

  api::UpdatePackageV1Request update;
  update.set_package_id(created.id());
  update.set_title("bag");
  update.mutable_reusable()->set_reusable(false);
  REQUIRE(Update(app, update).ok());
  const api::Package second = Described(app, created.id());
  CHECK(second.title() == "bag");
  CHECK(second.material() == "wood");
  CHECK(second.maximum_volume() == 0.1F);
  CHECK_FALSE(second.reusable());
  CHECK(second.has_updated());
  CHECK(MessageDifferencer::Equals(second.created(), first.created()));

  REQUIRE(Remove(app, created.id()).ok());

  const auto events = app.Events();
  REQUIRE(events.size() == 3);
  CHECK(events[0].type() == EventType::Created);
  CHECK(events[1].type() == EventType::Updated);
  CHECK(events[2].type() == EventType::Removed);
  CHECK(events[0].id() < events[1].id());
  CHECK(events[1].id() < events[2].id());
  CHECK(MessageDifferencer::Equals(FromJson(events[0].payload()), first));
  CHECK(MessageDifferencer::Equals(FromJson(events[1].payload()), second));
  CHECK(MessageDifferencer::Equals(FromJson(events[2].payload()), second));
  CHECK(MessageDifferencer::Equals(events[0].created(), first.created()));
  CHECK(MessageDifferencer::Equals(events[1].created(), second.updated().time()));
  for (const auto& event : events) CHECK(event.package_id() == created.id());
  CHECK(events[1].payload().find("\"Reusable\":false") != std::string::npos);
  const std::string id = std::to_string(created.id());
  CHECK(app.database.Query("SELECT DISTINCT topic, convert_from(key, 'UTF8'), type FROM outbox") ==
        "omp-package-events|" + id + "|hablof.proto.v1.PackageEvent");
  CHECK(app.database.Query("SELECT count(*) FROM outbox WHERE traceparent ~ "
                           "'^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$'") == "3");
  for (const char* operation : {"create", "update", "delete"}) {
    CAPTURE(operation);
    CHECK(app.Metric("logistic_package_api_cud_event_total{operation=\"" + std::string(operation) +
                     "\"}") == "1");
  }
}

TEST_CASE("a missing package is not found, and counted") {
  TestApp app;
  CHECK(app.Metric("logistic_package_api_not_found_total") == "0");
  api::DescribePackageV1Request request;
  request.set_package_id(77);
  api::DescribePackageV1Response response;
  const absl::Status status = app.Call(&Api::Stub::DescribePackageV1, request, &response);
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(std::string(status.message()) == "package 77 not found");
  CHECK(app.Metric("logistic_package_api_not_found_total") == "1");
  api::UpdatePackageV1Request update;
  update.set_package_id(77);
  CHECK(Update(app, update).code() == absl::StatusCode::kNotFound);
  CHECK(Remove(app, 77).code() == absl::StatusCode::kNotFound);
  CHECK(app.Metric("logistic_package_api_not_found_total") == "3");
  const uint64_t id = app.Create();
  REQUIRE(Remove(app, id).ok());
  CHECK(Remove(app, id).code() == absl::StatusCode::kNotFound);
  CHECK(app.Events().size() == 2);
  CHECK(app.Metric("logistic_package_api_cud_event_total{operation=\"update\"}") == "0");
}

TEST_CASE("an update that changes nothing succeeds and leaves no trace") {
  TestApp app;
  const uint64_t id = app.Create("box");
  api::UpdatePackageV1Request update;
  update.set_package_id(id);
  REQUIRE(Update(app, update).ok());
  update.set_title("box");
  update.set_material("wood");
  update.set_maximum_volume(1);
  update.mutable_reusable()->set_reusable(false);
  REQUIRE(Update(app, update).ok());
  CHECK_FALSE(Described(app, id).has_updated());
  CHECK(app.Events().size() == 1);
  CHECK(app.database.Query("SELECT count(*) FROM batches") == "1");
  CHECK(app.Metric("logistic_package_api_cud_event_total{operation=\"update\"}") == "0");
}

TEST_CASE("bad requests name their fields and leave nothing") {
  TestApp app;
  const std::string text_rule = " characters, has 33";
  api::CreatePackageV1Request create;
  api::CreatePackageV1Response created;
  CHECK(FaultsOf(app.Call(&Api::Stub::CreatePackageV1, create, &created)) ==
        Faults{{"title", "must have 1 to 32 characters, has 0"},
               {"material", "must have 1 to 32 characters, has 0"},
               {"maximum_volume", "must be more than 0 and finite, is 0"}});
  create.set_title(std::string(33, 'x'));
  create.set_material(std::string("a\0", 2));
  create.set_maximum_volume(std::numeric_limits<float>::infinity());
  CHECK(FaultsOf(app.Call(&Api::Stub::CreatePackageV1, create, &created)) ==
        Faults{{"title", "must have 1 to 32" + text_rule},
               {"material", "must not contain the character U+0000"},
               {"maximum_volume", "must be more than 0 and finite, is inf"}});

  const std::string id_rule = "must be from 1 to 9223372036854775807, is ";
  api::UpdatePackageV1Request update;
  update.set_title(std::string(33, 'x'));
  update.set_material(std::string(33, 'x'));
  update.set_maximum_volume(-1);
  CHECK(FaultsOf(Update(app, update)) ==
        Faults{{"package_id", id_rule + "0"},
               {"title", "must have 0 to 32" + text_rule},
               {"material", "must have 0 to 32" + text_rule},
               {"maximum_volume", "must be at least 0 and finite, is -1"}});

  const uint64_t too_large = uint64_t{1} << 63;
  CHECK(FaultsOf(Remove(app, 0)) == Faults{{"package_id", id_rule + "0"}});
  CHECK(FaultsOf(Remove(app, too_large)) ==
        Faults{{"package_id", id_rule + "9223372036854775808"}});
  api::DescribePackageV1Request describe;
  api::DescribePackageV1Response described;
  CHECK(FaultsOf(app.Call(&Api::Stub::DescribePackageV1, describe, &described)) ==
        Faults{{"package_id", id_rule + "0"}});
  api::ListPackagesV1Request list;
  list.set_offset(too_large);
  api::ListPackagesV1Response listed;
  CHECK(FaultsOf(app.Call(&Api::Stub::ListPackagesV1, list, &listed)) ==
        Faults{{"offset", "must be at most 9223372036854775807, is 9223372036854775808"}});
  CHECK(app.database.Query("SELECT count(*) FROM packages") == "0");
  CHECK(app.Events().empty());
}

TEST_CASE("what is just allowed is stored as it is") {
  TestApp app;
  std::string longest;
  for (int i = 0; i < 32; ++i) longest += "\xF0\x9F\x93\xA6";
  api::CreatePackageV1Request create;
  create.set_title(longest);
  create.set_material("'; DROP TABLE packages; --");
  create.set_maximum_volume(
      GENERATE(std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()));
  api::CreatePackageV1Response created;
  REQUIRE(app.Call(&Api::Stub::CreatePackageV1, create, &created).ok());
  const api::Package package = Described(app, created.id());
  CHECK(package.title() == longest);
  CHECK(package.material() == create.material());
  CHECK(package.maximum_volume() == create.maximum_volume());
  api::DescribePackageV1Request last;
  last.set_package_id(std::numeric_limits<int64_t>::max());
  api::DescribePackageV1Response none;
  CHECK(app.Call(&Api::Stub::DescribePackageV1, last, &none).code() == absl::StatusCode::kNotFound);
}

TEST_CASE("lists come in the order of ids, by pages with a default and a cap") {
  TestApp app(
      [](ServerConfig& config) { config.packages.page = {.default_limit = 3, .max_limit = 5}; });
  std::vector<uint64_t> ids;
  for (int i = 0; i < 7; ++i) ids.push_back(app.Create());
  struct Case {
    uint64_t offset, limit;
    size_t first, count;
  };
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  for (const Case& c : std::vector<Case>{{0, 0, 0, 3},
                                         {0, 2, 0, 2},
                                         {2, 2, 2, 2},
                                         {0, 6, 0, 5},
                                         {0, kMax, 0, 5},
                                         {5, 5, 5, 2},
                                         {7, 5, 7, 0},
                                         {kMax >> 1, 1, 7, 0}}) {
    CAPTURE(c.offset, c.limit);
    api::ListPackagesV1Request request;
    request.set_offset(c.offset);
    request.set_limit(c.limit);
    api::ListPackagesV1Response response;
    REQUIRE(app.Call(&Api::Stub::ListPackagesV1, request, &response).ok());
    CHECK(response.package_title_size() == 0);
    REQUIRE(static_cast<size_t>(response.packages_size()) == c.count);
    for (size_t i = 0; i < c.count; ++i) {
      CHECK(response.packages(static_cast<int>(i)).id() == ids[c.first + i]);
    }
  }
}

TEST_CASE("a call whose deadline passes leaves nothing") {
  TestApp app;
  app.Create("first");  // connects and prepares
  // Holds up the statement until long after the deadline.
  runtime::Thread locker("locker", [&] {
    app.database.Query(
        "BEGIN; LOCK TABLE packages IN EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT");
  });
  REQUIRE(testing::Eventually(kPatience, [&] {
    return app.database.Query(
               "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted AND "
               "relation = 'packages'::regclass") == "1";
  }));
  api::CreatePackageV1Request create;
  create.set_title("late");
  create.set_material("wood");
  create.set_maximum_volume(1);
  api::CreatePackageV1Response created;
  CHECK(app.Call(&Api::Stub::CreatePackageV1, create, &created, absl::Milliseconds(300)).code() ==
        absl::StatusCode::kDeadlineExceeded);
  locker.Join();
  // A later creation waits behind whatever the late one might still do.
  app.Create("last");
  CHECK(app.database.Query("SELECT string_agg(title, ',' ORDER BY id) FROM packages") ==
        "first,last");
  CHECK(app.Events().size() == 2);
}

}  // namespace saldo::server
