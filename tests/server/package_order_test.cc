// The order of one package's events is that of its states, whoever changes it.
#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <string>

#include "common/runtime/thread.h"
#include "google/protobuf/util/json_util.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

using hablof::proto::v1::EventType;

constexpr int kCallers = 8;
constexpr int kUpdatesPerCaller = 25;

// Each caller gives the package titles or materials that no one else gives.
void UpdateOften(TestApp& app, uint64_t id, int caller) {
  const std::unique_ptr<Api::Stub> stub = Api::NewStub(app.channel);
  for (int i = 0; i < kUpdatesPerCaller; ++i) {
    api::UpdatePackageV1Request request;
    request.set_package_id(id);
    const std::string text = std::to_string(caller) + "-" + std::to_string(i);
    caller % 2 == 0 ? request.set_title(text) : request.set_material(text);
    api::UpdatePackageV1Response response;
    ClientCall call;
    const grpc::Status status = stub->UpdatePackageV1(&call.context, request, &response);
    if (!status.ok()) throw std::runtime_error(status.error_message());
  }
}

api::Package PackageOf(const hablof::proto::v1::PackageEvent& event) {
  api::Package package;
  CHECK(google::protobuf::util::JsonStringToMessage(event.payload(), &package).ok());
  return package;
}

TEST_CASE("concurrent updates of one package make events in the order of its states") {
  TestApp app;
  const uint64_t id = app.Create();
  // What the row really went through.
  app.database.Query(
      "CREATE TABLE history (n bigserial, state text); "
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "INSERT INTO history (state) VALUES (NEW.title || '/' || NEW.material); RETURN NULL; END $$; "
      "CREATE TRIGGER note AFTER UPDATE ON packages FOR EACH ROW EXECUTE FUNCTION note()");
  {
    std::vector<runtime::Thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back("caller", [&app, id, i] { UpdateOften(app, id, i); });
    }
  }
  const auto events = app.Events();  // by batch, which is the order on the topic
  REQUIRE(events.size() == 1 + kCallers * kUpdatesPerCaller);
  const auto nanos = [](const google::protobuf::Timestamp& time) {
    return time.seconds() * 1'000'000'000 + time.nanos();
  };
  std::string states;
  api::Package before = PackageOf(events[0]);
  for (size_t i = 1; i < events.size(); ++i) {
    const api::Package after = PackageOf(events[i]);
    CHECK(events[i].id() > events[i - 1].id());
    CHECK(nanos(events[i].created()) >= nanos(events[i - 1].created()));
    // One update changes one field: it brings no old value of the other back.
    CHECK((after.title() == before.title()) != (after.material() == before.material()));
    states += after.title() + "/" + after.material() + "\n";
    before = after;
  }
  CHECK(states == app.database.Query("SELECT state FROM history ORDER BY n") + "\n");
}

TEST_CASE("updates and a removal at once end with the removal") {
  TestApp app;
  for (int round = 0; round < 20; ++round) {
    const uint64_t id = app.Create();
    const std::string key = std::to_string(id);
    bool removed = false;
    {
      const runtime::Thread updater("updater", [&] {
        for (int i = 0;; ++i) {
          api::UpdatePackageV1Request request;
          request.set_package_id(id);
          request.set_title(std::to_string(i));
          api::UpdatePackageV1Response response;
          if (!app.Call(&Api::Stub::UpdatePackageV1, request, &response).ok()) return;
        }
      });
      api::RemovePackageV1Request request;
      request.set_package_id(id);
      api::RemovePackageV1Response response;
      removed = app.Call(&Api::Stub::RemovePackageV1, request, &response).ok();
    }
    REQUIRE(removed);
  }
  std::set<uint64_t> gone;
  uint64_t last = 0;
  std::string last_title;
  for (const auto& event : app.Events()) {
    CHECK(gone.count(event.package_id()) == 0);
    if (event.package_id() == last && event.type() == EventType::Removed) {
      CHECK(PackageOf(event).title() == last_title);  // the state before the removal
    }
    if (event.type() == EventType::Removed) gone.insert(event.package_id());
    last = event.package_id();
    last_title = PackageOf(event).title();
  }
  CHECK(gone.size() == 20);
}

}  // namespace
}  // namespace saldo::server
