#include "server/packages/store.h"

#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/observability/trace.h"
#include "common/postgres/statement.h"
#include "common/postgres/transaction.h"
#include "common/rpc/errors.h"
#include "server/outbox/transact.h"
#include "server/packages/event.h"

namespace saldo::packages {
namespace {

using hablof::proto::v1::EventType;
using outbox::Message;
using postgres::Result;
using postgres::Statement;
using postgres::Transaction;
using Messages = absl::StatusOr<std::vector<Message>>;

#define SALDO_PACKAGE_COLUMNS "id, title, material, maximum_volume, reusable, created, updated"

constexpr Statement kDescribe{"packages.describe",
                              "SELECT " SALDO_PACKAGE_COLUMNS " FROM packages WHERE id = $1"};
constexpr Statement kList{"packages.list", "SELECT " SALDO_PACKAGE_COLUMNS
                                           " FROM packages ORDER BY id LIMIT $1 OFFSET $2"};
constexpr Statement kLock{
    "packages.lock", "SELECT " SALDO_PACKAGE_COLUMNS " FROM packages WHERE id = $1 FOR UPDATE"};
// Each change takes its event's id while it holds the row's lock, so that the ids of one package's
// events grow with its history.
constexpr Statement kUpdate{
    "packages.update",
    "UPDATE packages SET title = $2, material = $3, maximum_volume = $4, reusable = $5, "
    "updated = clock_timestamp() WHERE id = $1 "
    "RETURNING updated, nextval('package_event_id_seq')"};
constexpr Statement kDelete{"packages.delete",
                            "DELETE FROM packages WHERE id = $1 "
                            "RETURNING " SALDO_PACKAGE_COLUMNS
                            ", clock_timestamp(), "
                            "nextval('package_event_id_seq')"};

#undef SALDO_PACKAGE_COLUMNS

using Row = std::tuple<int64_t, std::string, std::string, float, bool, absl::Time,
                       std::optional<absl::Time>>;

Package FromRow(Row row) {
  auto& [id, title, material, volume, reusable, created, updated] = row;
  return {id, std::move(title), std::move(material), volume, reusable, created, updated};
}

// The rows of kDescribe, kList and kLock.
absl::StatusOr<std::vector<Package>> Packages(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result)
                                               .As<int64_t, std::string, std::string, float, bool,
                                                   absl::Time, std::optional<absl::Time>>()));
  std::vector<Package> packages;
  packages.reserve(static_cast<size_t>(rows.size()));
  for (auto row : rows) packages.push_back(FromRow(std::move(row)));
  return packages;
}

absl::Status NotFound(int64_t id) { return rpc::NotFound("package", std::to_string(id)); }

absl::StatusOr<Package> OnePackage(Result result, int64_t id) {
  SALDO_ASSIGN_OR_RETURN(std::vector<Package> packages, Packages(std::move(result)));
  if (packages.empty()) return NotFound(id);
  return std::move(packages[0]);
}

Messages OneEvent(std::string_view topic, const Change& change, const Package& package) {
  SALDO_ASSIGN_OR_RETURN(Message message, EventMessage(topic, change, package));
  std::vector<Message> messages;
  messages.push_back(std::move(message));
  return messages;
}

}  // namespace

absl::StatusOr<int64_t> PackageStore::Create(const CallContext& context,
                                             const NewPackage& package) {
  trace::Span span("PackageStore.Create");
  absl::StatusOr<int64_t> id = creation_.Create(context, package);
  span.SetStatus(id.status());
  return id;
}

absl::StatusOr<Package> PackageStore::Describe(const CallContext& context, int64_t id) {
  trace::Span span("PackageStore.Describe");
  absl::StatusOr<Result> result = pool_.Read(context, kDescribe, id);
  span.SetStatus(result.status());
  SALDO_RETURN_IF_ERROR(result.status());
  return OnePackage(*std::move(result), id);
}

absl::StatusOr<std::vector<Package>> PackageStore::List(const CallContext& context,
                                                        const rpc::Page& page) {
  trace::Span span("PackageStore.List");
  absl::StatusOr<Result> result = pool_.Read(context, kList, page.limit, page.offset);
  span.SetStatus(result.status());
  SALDO_RETURN_IF_ERROR(result.status());
  return Packages(*std::move(result));
}

absl::Status PackageStore::Remove(const CallContext& context, int64_t id) {
  trace::Span span("PackageStore.Remove");
  const auto change = [&](Transaction& tx) -> Messages {
    SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kDelete, id));
    SALDO_ASSIGN_OR_RETURN(const auto rows,
                           (std::move(result)
                                .As<int64_t, std::string, std::string, float, bool, absl::Time,
                                    std::optional<absl::Time>, absl::Time, int64_t>()));
    if (rows.empty()) return NotFound(id);
    auto [row_id, title, material, volume, reusable, created, updated, removed, event_id] = rows[0];
    return OneEvent(topic_, {.event_id = event_id, .type = EventType::Removed, .made = removed},
                    {row_id, title, material, volume, reusable, created, updated});
  };
  absl::Status status =
      outbox::Transact(pool_, outbox_, context, {.name = "packages.remove"}, change);
  if (!absl::IsNotFound(status)) span.SetStatus(status);
  return status;
}

absl::StatusOr<bool> PackageStore::Update(const CallContext& context, const PackageUpdate& update) {
  trace::Span span("PackageStore.Update");
  bool changed = false;
  const auto change = [&](Transaction& tx) -> Messages {
    SALDO_ASSIGN_OR_RETURN(Result found, tx.Query(kLock, update.package_id));
    SALDO_ASSIGN_OR_RETURN(Package package, OnePackage(std::move(found), update.package_id));
    changed = Apply(update, package);
    if (!changed) return std::vector<Message>();
    SALDO_ASSIGN_OR_RETURN(Result result,
                           tx.Query(kUpdate, package.id, package.title, package.material,
                                    package.maximum_volume, package.reusable));
    SALDO_ASSIGN_OR_RETURN(const auto row, (std::move(result).One<absl::Time, int64_t>()));
    const auto& [updated, event_id] = row;
    package.updated = updated;
    return OneEvent(topic_, {.event_id = event_id, .type = EventType::Updated, .made = updated},
                    package);
  };
  const absl::Status status =
      outbox::Transact(pool_, outbox_, context, {.name = "packages.update"}, change);
  if (!absl::IsNotFound(status)) span.SetStatus(status);
  SALDO_RETURN_IF_ERROR(status);
  return changed;
}

}  // namespace saldo::packages
