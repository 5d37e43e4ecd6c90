#include "server/states/part.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "server/accounts/writing/request.h"
#include "server/keys/keyed_type_store.h"
#include "server/states/event.h"
#include "server/states/store.h"

namespace saldo::states {
namespace {

using accounts::Attachment;
using accounts::Turn;

metrics::Counter& ChangeCounter(metrics::Registry& registry, const std::string& operation) {
  return registry.AddCounter("saldo_state_changes_total", "Changes of states that were committed.",
                             {{"operation", operation}});
}

Name NameOf(const Change& change) { return {change.name.type->name, change.name.key}; }

// 0 stands for a state that is not there.
absl::Status VersionMismatch(const Change& change, int64_t current) {
  const StateName& name = change.name;
  const std::string is = current == 0 ? "is not there" : absl::StrCat("has version ", current);
  return rpc::WithErrorInfo(
      absl::AbortedError(absl::StrCat(name.type->Describe(name.key), " ", is,
                                      "; the expected version is ", *change.expected)),
      "STATE_VERSION_MISMATCH", "saldo",
      {{"type", name.type->name},
       {"key", DescribeKey(name)},
       {"expected", absl::StrCat(*change.expected)},
       {"current", absl::StrCat(current)}});
}

class StatesBatch final : public accounts::PartBatch {
 public:
  StatesBatch(absl::Span<const Attachment* const> attachments, const StatesPart::Metrics& metrics)
      : metrics_(metrics) {
    std::set<Name> names;
    std::set<Name> puts;
    for (const Attachment* attachment : attachments) {
      for (const Change& change : ChangesOf(*attachment).changes) {
        names.insert(NameOf(change));
        if (change.document.has_value()) puts.insert(NameOf(change));
      }
    }
    names_.assign(names.begin(), names.end());
    puts_.assign(puts.begin(), puts.end());
  }

  absl::StatusOr<int> Read(postgres::Transaction& tx) override {
    return LockStates(tx, names_, puts_);
  }
  absl::Status TakeResults(absl::Span<postgres::Result> results) override {
    SALDO_ASSIGN_OR_RETURN(before_, TakeLocked(results, names_, puts_));
    return absl::OkStatus();
  }

  absl::StatusOr<Turn> Check(const Attachment& attachment) const override {
    Turn turn = Turn::kNow;
    for (const Change& change : ChangesOf(attachment).changes) {
      SALDO_RETURN_IF_ERROR(CheckType(*change.name.type));
      const auto made = accepted_.find(NameOf(change));
      const int64_t current =
          made != accepted_.end() ? made->second.version : StoredVersion(change);
      if (change.expected.has_value() && *change.expected != current) {
        metrics_.conflicts.Increment();
        return VersionMismatch(change, current);
      }
      if (made != accepted_.end()) turn = Turn::kNextBatch;
    }
    return turn;
  }

  void Accept(const Attachment& attachment, const accounts::Written& written,
              std::string_view traceparent) override {
    const StateChanges& changes = ChangesOf(attachment);
    for (const Change& change : changes.changes) {
      const bool removes = !change.document.has_value();
      if (removes && StoredVersion(change) == 0) continue;  // nothing changes
      accepted_[NameOf(change)] = {.change = &change,
                                   .version = removes ? 0 : written.batch_id,
                                   .request_id = changes.request_id,
                                   .traceparent = std::string(traceparent)};
    }
  }

  absl::Status Write(postgres::Transaction& tx, int64_t batch_id,
                     std::vector<outbox::Message>* messages) override {
    Rows rows;
    for (const auto& [name, accepted] : accepted_) {
      const Change& change = *accepted.change;
      if (!change.document.has_value()) {
        rows.removed.types.push_back(name.first);
        rows.removed.keys.push_back(name.second);
      } else {
        Rows::Documents& documents = StoredVersion(change) == 0 ? rows.made : rows.replaced;
        documents.types.push_back(name.first);
        documents.keys.push_back(name.second);
        documents.documents.push_back(*change.document);
      }
      if (change.name.type->topic.empty()) continue;
      messages->push_back(
          EventMessage(change, batch_id, accepted.request_id, accepted.traceparent));
    }
    return states::Write(tx, batch_id, rows);
  }

  void Committed() override {
    for (const auto& [name, accepted] : accepted_)
      (accepted.change->document.has_value() ? metrics_.puts : metrics_.deletes).Increment();
  }

 private:
  struct Accepted {
    const Change* change;
    int64_t version;  // 0 for a removal
    std::string_view request_id;
    std::string traceparent;
  };

  static const StateChanges& ChangesOf(const Attachment& attachment) {
    return static_cast<const StateChanges&>(attachment);
  }
  int64_t StoredVersion(const Change& change) const {
    const auto stored = before_.versions.find(NameOf(change));
    return stored == before_.versions.end() ? 0 : stored->second;
  }
  absl::Status CheckType(const keys::KeyedType& type) const {
    const auto stored = before_.redefinitions.find(type.name);
    return keys::CheckCurrent(type, stored == before_.redefinitions.end()
                                        ? std::nullopt
                                        : std::optional<int32_t>(stored->second));
  }

  const StatesPart::Metrics& metrics_;
  std::vector<Name> names_;
  std::vector<Name> puts_;
  Before before_;
  std::map<Name, Accepted> accepted_;
};

// With its length, so that no two lists of texts give the same bytes.
void AppendText(std::string* out, std::string_view text) {
  absl::StrAppend(out, text.size(), ":");
  out->append(text);
}

}  // namespace

StateChanges::StateChanges(const accounts::WritePart& its_part,
                           std::shared_ptr<const keys::KeyedTypes> its_types,
                           std::string its_request_id, std::vector<Change> its_changes)
    : Attachment(its_part),
      types(std::move(its_types)),
      request_id(std::move(its_request_id)),
      changes(std::move(its_changes)) {}

std::string StateChanges::Content() const {
  std::string content;
  for (const Change& change : changes) {
    AppendText(&content, change.name.type->name);
    AppendText(&content, change.name.key);
    absl::StrAppend(&content, change.expected.value_or(-1),
                    change.document.has_value() ? "=" : "-");
    if (change.document.has_value()) AppendText(&content, *change.document);
  }
  return content;
}

size_t StateChanges::Bytes() const {
  size_t bytes = sizeof *this;
  for (const Change& change : changes) {
    bytes += sizeof change + change.name.key.size();
    if (change.document.has_value()) bytes += change.document->size();
  }
  return bytes;
}

StatesPart::StatesPart(metrics::Registry& registry)
    : metrics_{.puts = ChangeCounter(registry, "put"),
               .deletes = ChangeCounter(registry, "delete"),
               .conflicts = registry.AddCounter(
                   "saldo_state_conflicts_total",
                   "Changes of states that were refused, for the state had another version.")} {}

std::unique_ptr<accounts::PartBatch> StatesPart::Begin(
    absl::Span<const Attachment* const> attachments) const {
  return std::make_unique<StatesBatch>(attachments, metrics_);
}

}  // namespace saldo::states
