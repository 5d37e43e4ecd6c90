// A ledger with types of states, and servers that change them through their writers.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "common/rpc/errors.h"
#include "saldo/v1/state_event.pb.h"
#include "server/accounts/writing/fingerprint.h"
#include "server/states/extension.h"
#include "server/states/part.h"
#include "server/states/store.h"
#include "tests/server/accounts/writing/ledger_fixture.h"

namespace saldo::states {

// progress{client_id}, told on a topic; note{name}, told to nobody.
inline std::shared_ptr<const keys::KeyedTypes> TestStateTypes() {
  keys::KeyedType progress;
  progress.kind = keys::KeyedKind::kState;
  progress.name = "progress";
  progress.key = {{"client_id", keys::AttributeKind::kInteger, 64}};
  progress.sharding = {0};
  progress.topic = "progress-states";
  keys::KeyedType note;
  note.kind = keys::KeyedKind::kState;
  note.name = "note";
  note.key = {{"name", keys::AttributeKind::kString, 16}};
  note.sharding = {0};
  note.max_bytes = 100;
  return std::make_shared<const keys::KeyedTypes>(std::vector<keys::KeyedType>{progress, note});
}

struct StateLedger : accounts::LedgerDatabase {
  StateLedger() {
    database.Query(
        "INSERT INTO keyed_types (kind, name, key_attributes, sharding_attributes) VALUES "
        "('state', 'progress', '{client_id integer}', '{client_id}'), "
        "('state', 'note', '{name string}', '{name}')");
  }
  // What subscribers of progress hear, in order.
  std::vector<v1::StateEvent> Events() const {
    std::vector<v1::StateEvent> events;
    const std::string rows = database.Query(
        "SELECT encode(payload, 'hex') FROM outbox WHERE topic = 'progress-states' "
        "ORDER BY batch_id, ordinal");
    for (const absl::string_view row : absl::StrSplit(rows, '\n', absl::SkipEmpty())) {
      v1::StateEvent event;
      if (event.ParseFromString(absl::HexStringToBytes(row))) events.push_back(std::move(event));
    }
    return events;
  }
};

inline Change Put(const keys::KeyedType* type, const std::string& key, const std::string& document,
                  std::optional<int64_t> expected = std::nullopt) {
  return {.name = {.type = type, .key = key}, .document = document, .expected = expected};
}
inline Change Delete(const keys::KeyedType* type, const std::string& key,
                     std::optional<int64_t> expected = std::nullopt) {
  return {.name = {.type = type, .key = key}, .document = std::nullopt, .expected = expected};
}

struct TestServer : accounts::TestWriter {
  explicit TestServer(const StateLedger& ledger) : TestWriter(ledger) {}

  // Of a request of StateService.
  void SubmitChange(const std::string& id, Change change, accounts::Writer::Done done) {
    accounts::WriteRequest request;
    request.id = "\x1fstate\x1f" + id;
    request.fingerprint = accounts::FingerprintOf(std::string_view("state"));
    std::vector<Change> changes;
    changes.push_back(std::move(change));
    accounts::Attach(std::make_shared<StateChanges>(part, state_types, id, std::move(changes)),
                     &request);
    writer.Submit(std::move(request), CallContext::WithTimeout(absl::Seconds(60)), {},
                  std::move(done));
  }
  absl::StatusOr<int64_t> Make(const std::string& id, Change change) {
    absl::Notification answered;
    absl::StatusOr<int64_t> version = absl::UnknownError("not answered");
    SubmitChange(id, std::move(change), [&](absl::StatusOr<accounts::Written> written) {
      if (written.ok()) {
        version = written->batch_id;
      } else {
        version = written.status();
      }
      answered.Notify();
    });
    answered.WaitForNotification();
    return version;
  }
  // WriteEvents with states.
  absl::StatusOr<accounts::Written> WriteWithStates(const v1::WriteEventsRequest& request) {
    auto checked = accounts::Check(request, types, absl::Now());
    if (!checked.ok()) return checked.status();
    const shards::ShardMap map;
    const StateExtension extension(
        map, [this](size_t) { return state_types; }, part);
    if (absl::Status status = extension.Extend(request, 0, &*checked); !status.ok()) return status;
    absl::Notification answered;
    absl::StatusOr<accounts::Written> answer = absl::UnknownError("not answered");
    writer.Submit(*std::move(checked), CallContext::WithTimeout(absl::Seconds(60)), {},
                  [&](absl::StatusOr<accounts::Written> result) {
                    answer = std::move(result);
                    answered.Notify();
                  });
    answered.WaitForNotification();
    return answer;
  }
  std::optional<State> Read(const keys::KeyedType* type, const std::string& key) {
    auto state = ReadState(pool, CallContext::WithTimeout(absl::Seconds(60)), type->name, key);
    return state.ok() ? *std::move(state) : std::nullopt;
  }

  std::shared_ptr<const keys::KeyedTypes> state_types = TestStateTypes();
  const keys::KeyedType* progress = state_types->Find(keys::KeyedKind::kState, "progress");
  const keys::KeyedType* note = state_types->Find(keys::KeyedKind::kState, "note");
  StatesPart part{registry};
  // The writer works with the part until it stops.
  struct StopFirst {
    accounts::Writer& writer;
    ~StopFirst() { writer.Stop(); }
  } stop_first{writer};
};

// The ErrorInfo's metadata, with the reason under "reason".
inline std::map<std::string, std::string> InfoOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (!rpc::GetDetail(status, &info)) return {{"reason", std::string(status.message())}};
  std::map<std::string, std::string> details(info.metadata().begin(), info.metadata().end());
  details["reason"] = info.reason();
  return details;
}

}  // namespace saldo::states
