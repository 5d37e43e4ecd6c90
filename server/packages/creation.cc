#include "server/packages/creation.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "common/base/status_macros.h"
#include "common/observability/trace.h"
#include "common/postgres/error.h"
#include "server/outbox/transact.h"
#include "server/packages/event.h"

namespace saldo::packages {
namespace {

using outbox::Message;

constexpr absl::Duration kCancelCheck = absl::Milliseconds(20);

// Ids are taken before the insert, so that each answer is known to belong to its request.
constexpr postgres::Statement kInsert{
    "packages.insert",
    "WITH input AS ("
    "  SELECT nextval('packages_id_seq') AS id, p.*"
    "  FROM unnest($1::text[], $2::text[], $3::real[], $4::boolean[])"
    "    WITH ORDINALITY AS p (title, material, maximum_volume, reusable, ordinal)), "
    "made AS ("
    "  INSERT INTO packages (id, title, material, maximum_volume, reusable) OVERRIDING SYSTEM VALUE"
    "  SELECT id, title, material, maximum_volume, reusable FROM input RETURNING id, created) "
    "SELECT made.id, made.created, nextval('package_event_id_seq')"
    " FROM input JOIN made USING (id) ORDER BY input.ordinal"};

}  // namespace

absl::StatusOr<int64_t> Creation::Create(const CallContext& context, const NewPackage& package) {
  const auto mine = std::make_shared<Waiting>();
  mine->package = package;
  mine->deadline = context.deadline();
  mine->traceparent = trace::CurrentTraceparent();
  Group group;
  {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(mine);
    if (!led_) led_ = mine->leads = true;
    SALDO_RETURN_IF_ERROR(WaitForTurn(context, *mine));
    if (mine->done) {
      trace::LinkCurrentSpan(mine->committed_by);
      return mine->id;
    }
    group = TakeGroup();
  }
  std::vector<absl::StatusOr<int64_t>> ids = Commit(group);
  const trace::SpanContext* const span = trace::CurrentSpan();
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < group.size(); ++i) {
    if (span != nullptr && span->sampled) group[i]->committed_by = *span;
    group[i]->id = std::move(ids[i]);
    group[i]->done = true;
  }
  led_ = !queue_.empty();
  if (led_) queue_.front()->leads = true;
  return mine->id;
}

absl::Status Creation::WaitForTurn(const CallContext& context, Waiting& mine) {
  const auto ready = +[](Waiting* w) { return w->done || w->leads; };
  while (!ready(&mine)) {
    mutex_.AwaitWithTimeout(absl::Condition(ready, &mine),
                            std::min(context.remaining(), kCancelCheck));
    if (ready(&mine)) break;
    const absl::Status status = context.Check();
    if (status.ok()) continue;
    // What is not taken yet will not be made; of what is taken, the outcome comes too late.
    if (!mine.taken) std::erase_if(queue_, [&mine](const auto& one) { return one.get() == &mine; });
    return status;
  }
  return absl::OkStatus();
}

Creation::Group Creation::TakeGroup() {
  Group group;
  while (!queue_.empty() && group.size() < kGroupMax) {
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
    group.back()->taken = true;
  }
  return group;
}

std::vector<absl::StatusOr<int64_t>> Creation::Commit(const Group& group) {
  std::vector<absl::StatusOr<int64_t>> ids;
  const absl::Status status = Insert(group, &ids);
  if (status.ok()) return ids;
  ids.assign(group.size(), status);
  // A row that the database refuses must fail alone.
  const bool refused = absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
                       absl::IsAlreadyExists(status);
  if (!refused || group.size() == 1) return ids;
  for (size_t i = 0; i < group.size(); ++i) {
    std::vector<absl::StatusOr<int64_t>> one;
    const absl::Status alone = Insert({group[i]}, &one);
    ids[i] = alone.ok() ? one[0] : absl::StatusOr<int64_t>(alone);
  }
  return ids;
}

absl::Status Creation::Insert(const Group& group, std::vector<absl::StatusOr<int64_t>>* ids) {
  std::vector<std::string_view> titles, materials;
  std::vector<float> volumes;
  absl::InlinedVector<bool, 16> reusables;
  absl::Time deadline = absl::InfinitePast();
  for (const auto& one : group) {
    titles.push_back(one->package.title);
    materials.push_back(one->package.material);
    volumes.push_back(one->package.maximum_volume);
    reusables.push_back(one->package.reusable);
    deadline = std::max(deadline, one->deadline);
  }
  const auto change = [&](postgres::Transaction& tx) -> absl::StatusOr<std::vector<Message>> {
    SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(kInsert, titles, materials, volumes,
                                                             absl::MakeConstSpan(reusables)));
    SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<int64_t, absl::Time, int64_t>()));
    if (rows.size() != static_cast<int>(group.size()))
      return absl::InternalError("not every package was inserted");
    ids->clear();
    std::vector<Message> messages;
    for (const auto& [id, created, event_id] : rows) {
      const Waiting& one = *group[ids->size()];
      const NewPackage& made = one.package;
      SALDO_ASSIGN_OR_RETURN(Message message,
                             EventMessage(topic_,
                                          {.event_id = event_id,
                                           .type = hablof::proto::v1::EventType::Created,
                                           .made = created},
                                          {.id = id,
                                           .title = made.title,
                                           .material = made.material,
                                           .maximum_volume = made.maximum_volume,
                                           .reusable = made.reusable,
                                           .created = created,
                                           .updated = std::nullopt}));
      message.traceparent = one.traceparent;
      messages.push_back(std::move(message));
      ids->emplace_back(id);
    }
    return messages;
  };
  return outbox::Transact(pool_, outbox_, CallContext(deadline), {.name = "packages.create"},
                          change);
}

}  // namespace saldo::packages
