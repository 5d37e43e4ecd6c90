#include "server/accounts/writing/group.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "server/accounts/types/attributes.h"
#include "server/accounts/writing/event_message.h"

namespace saldo::accounts {
namespace {

constexpr absl::Duration kRedefinedRetry = absl::Seconds(1);

absl::Status RequestIdReused(const std::string& full_id) {
  // As the caller gave it: before it is what keeps the ids of other services apart.
  const std::string id = full_id.substr(full_id.rfind('\x1f') + 1);
  return rpc::WithErrorInfo(absl::AlreadyExistsError(absl::StrCat(
                                "request_id '", id, "' was used for a request with other content")),
                            "REQUEST_ID_REUSED", "saldo", {{"request_id", id}});
}

constexpr absl::string_view kNextBatch = "saldo/next-batch";

absl::Status ForNextBatch() {
  absl::Status status = absl::AbortedError("another request of the batch changes the same");
  status.SetPayload(kNextBatch, absl::Cord());
  return status;
}

absl::Status NoAccount(const AccountType& type, std::string_view key) {
  const std::string account = DescribeAccount(type, key);
  return rpc::WithErrorInfo(absl::NotFoundError(absl::StrCat("there is no ", account)),
                            "ACCOUNT_NOT_FOUND", "saldo", {{"account", account}});
}

std::vector<const WriteRequest*> RequestsOf(absl::Span<const GroupItem> items) {
  std::vector<const WriteRequest*> requests;
  requests.reserve(items.size());
  for (const GroupItem& item : items) requests.push_back(item.request);
  return requests;
}

// A request that was checked by another definition than holds now must not be written by it.
absl::Status CheckDefinitions(const WriteRequest& request, const Before& before) {
  for (const Posting& posting : request.postings) {
    const auto stored = before.redefinitions.find(posting.type->id);
    if (stored != before.redefinitions.end() && stored->second == posting.type->redefinition)
      continue;
    return rpc::WithRetryInfo(
        absl::UnavailableError(absl::StrCat("the account type ", posting.type->name,
                                            " was redefined, which this server does not know yet")),
        kRedefinedRetry);
  }
  return absl::OkStatus();
}

}  // namespace

int64_t NewIds::Stock::Take() {
  --left;
  const int64_t id = blocks.back() + used;
  if (++used == kIdBlock) {
    blocks.pop_back();
    used = 0;
  }
  return id;
}

absl::Status NewIds::Reserve(postgres::Pool& pool, const CallContext& context, int64_t count) {
  const auto blocks = [count](const Stock& stock) {
    return static_cast<int>(std::max<int64_t>(0, count - stock.left + kIdBlock - 1) / kIdBlock);
  };
  SALDO_ASSIGN_OR_RETURN(const IdBlocks more,
                         TakeIdBlocks(pool, context, blocks(accounts_), blocks(subaccounts_)));
  const auto add = [](Stock& stock, const std::vector<int64_t>& new_blocks) {
    stock.blocks.insert(stock.blocks.begin(), new_blocks.begin(), new_blocks.end());
    stock.left += static_cast<int64_t>(new_blocks.size()) * kIdBlock;
  };
  add(accounts_, more.accounts);
  add(subaccounts_, more.subaccounts);
  return absl::OkStatus();
}

bool IsForNextBatch(const absl::Status& status) {
  return status.GetPayload(kNextBatch).has_value();
}

Group::Group(absl::Span<const GroupItem> items, AccountIds& ids, NewIds& new_ids)
    : items_(items), ids_(ids), new_ids_(new_ids), parts_(RequestsOf(items)) {}

absl::Status Group::Resolve(postgres::Pool& pool, const CallContext& context) {
  SALDO_RETURN_IF_ERROR(LookUp(pool, context));
  SALDO_RETURN_IF_ERROR(new_ids_.Reserve(pool, context, unknown_));
  PickNewIds();
  return absl::OkStatus();
}

// Asks for what is not known, and notes in new_accounts_ and new_subaccounts_ what is not there.
absl::Status Group::LookUp(postgres::Pool& pool, const CallContext& context) {
  std::map<std::tuple<int32_t, std::string_view, std::string_view>, const AccountType*> unknown;
  for (const GroupItem& item : items_) {
    for (const Posting& posting : item.request->postings) {
      const auto ids = ids_.Find(posting.type->id, posting.key, posting.attributes);
      if (!ids.has_value() || !ids->subaccount.has_value())
        unknown.try_emplace({posting.type->id, posting.key, posting.attributes}, posting.type);
    }
    const auto add_account = [&](const AccountType* type, std::string_view key) {
      if (!ids_.Find(type->id, key, "").has_value()) unknown.try_emplace({type->id, key, ""}, type);
    };
    for (const Opening& opening : item.request->openings) add_account(opening.type, opening.key);
    for (const Closing& closing : item.request->closings) add_account(closing.type, closing.key);
  }
  if (unknown.empty()) return absl::OkStatus();
  unknown_ = static_cast<int64_t>(unknown.size());
  std::vector<SubaccountName> names;
  names.reserve(unknown.size());
  for (const auto& [name, account_type] : unknown)
    names.push_back({std::get<0>(name), std::get<1>(name), std::get<2>(name)});
  SALDO_ASSIGN_OR_RETURN(const std::vector<SubaccountIds> found,
                         FindSubaccounts(pool, context, names));
  size_t i = 0;
  for (const auto& [name, account_type] : unknown) {
    const SubaccountIds& ids = found[i++];
    const auto& [type, key, attributes] = name;
    if (ids.subaccount.has_value()) {
      ids_.Learn(type, key, attributes, *ids.account, *ids.subaccount);
    } else if (ids.account.has_value()) {
      ids_.Learn(type, key, *ids.account);
      new_subaccounts_[{*ids.account, attributes}] = {.id = 0, .type = account_type, .key = key};
    } else {
      new_accounts_[{type, key}] = {.id = 0, .type = account_type};
      // Its subaccounts are noted when the account has its id.
    }
  }
  return absl::OkStatus();
}

void Group::PickNewIds() {
  for (auto& [name, account] : new_accounts_) account.id = new_ids_.TakeAccount();
  for (auto& [name, subaccount] : new_subaccounts_) subaccount.id = new_ids_.TakeSubaccount();
  for (const GroupItem& item : items_) {
    first_target_.push_back(targets_.size());
    for (const Posting& posting : item.request->postings) {
      Target target{};
      const auto ids = ids_.Find(posting.type->id, posting.key, posting.attributes);
      if (ids.has_value()) {
        target.account = ids->account;
      } else {
        target.account = new_accounts_.at({posting.type->id, posting.key}).id;
        target.new_account = true;
      }
      if (ids.has_value() && ids->subaccount.has_value()) {
        target.subaccount = *ids->subaccount;
      } else {
        const auto [made, fresh] = new_subaccounts_.try_emplace(
            {target.account, posting.attributes},
            NewSubaccount{.id = 0, .type = posting.type, .key = posting.key});
        if (fresh) made->second.id = new_ids_.TakeSubaccount();
        target.subaccount = made->second.id;
        target.new_subaccount = true;
      }
      targets_.push_back(target);
    }
  }
}

std::vector<int64_t> Group::AccountsToLock() const {
  std::vector<int64_t> accounts;
  size_t target = 0;
  for (const GroupItem& item : items_) {
    for (const Posting& posting : item.request->postings) {
      const Target& to = targets_[target++];
      if (posting.type->keeps_balance && !to.new_account) accounts.push_back(to.account);
    }
    for (const Closing& closing : item.request->closings) {
      const auto ids = ids_.Find(closing.type->id, closing.key, "");
      if (ids.has_value()) accounts.push_back(ids->account);
    }
  }
  std::sort(accounts.begin(), accounts.end());
  accounts.erase(std::unique(accounts.begin(), accounts.end()), accounts.end());
  return accounts;
}

absl::Status Group::Run(postgres::Transaction& tx, const outbox::Outbox& outbox) {
  std::vector<std::string_view> request_ids;
  for (const GroupItem& item : items_) request_ids.push_back(item.request->id);
  AccountsOfBatch accounts{.locked = AccountsToLock(), .new_types = {}, .new_keys = {}};
  for (const auto& [name, account] : new_accounts_) {
    if (!account.type->keeps_balance) continue;
    accounts.new_types.push_back(name.first);
    accounts.new_keys.push_back(name.second);
    book_.Open(account.id, {.amount = Decimal()});
  }
  SALDO_ASSIGN_OR_RETURN(
      const Before before,
      ReadBefore(tx, request_ids, accounts,
                 {.defer = [this](postgres::Transaction& t) { return parts_.Read(t); },
                  .take =
                      [this](absl::Span<postgres::Result> results) {
                        return parts_.TakeResults(results);
                      }}));
  for (const LockedBalance& locked : before.balances) book_.Open(locked.account_id, locked.balance);
  for (const KnownRequest& request : before.requests) known_[request.id] = &request;
  Decide(before);
  if (!repeats_.empty()) SALDO_RETURN_IF_ERROR(AnswerRepeats(tx));
  if (!writes()) return absl::OkStatus();
  AddAccountRows();
  AddBalanceRows();
  AddRequestRows();
  SALDO_RETURN_IF_ERROR(Write(tx, before, rows_));
  SALDO_RETURN_IF_ERROR(parts_.Write(tx, before.batch_id, &messages_));
  return outbox.AppendAs(tx, before.batch_id, messages_);
}

void Group::Decide(const Before& before) {
  outcomes_.reserve(items_.size());
  for (size_t i = 0; i < items_.size(); ++i) outcomes_.push_back(DecideOne(i, before));
}

absl::StatusOr<Written> Group::DecideOne(size_t index, const Before& before) {
  const WriteRequest& request = *items_[index].request;
  if (const auto known = known_.find(request.id); known != known_.end()) {
    if (known->second->fingerprint != request.fingerprint) return RequestIdReused(request.id);
    repeats_.emplace_back(index, known->second);
    return Written();  // AnswerRepeats fills it
  }
  if (const auto first = accepted_.find(request.id); first != accepted_.end()) {
    if (items_[first->second].request->fingerprint != request.fingerprint)
      return RequestIdReused(request.id);
    return outcomes_[first->second];
  }
  SALDO_RETURN_IF_ERROR(CheckDefinitions(request, before));
  SALDO_ASSIGN_OR_RETURN(const Turn turn, parts_.Check(request));
  if (turn == Turn::kNextBatch) return ForNextBatch();
  SALDO_RETURN_IF_ERROR(CheckOpenings(request));
  std::vector<BookEntry> entries;
  entries.reserve(request.postings.size());
  const Target* targets = &targets_[first_target_[index]];
  for (size_t i = 0; i < request.postings.size(); ++i) {
    const Posting& posting = request.postings[i];
    if (posting.type->opened && targets[i].new_account &&
        !new_accounts_.at({posting.type->id, posting.key}).used)
      return NoAccount(*posting.type, posting.key);
    entries.push_back(
        {posting.type, posting.key, targets[i].account, posting.is_credit, posting.amount});
  }
  SALDO_RETURN_IF_ERROR(CheckClosings(request));
  std::vector<std::optional<Decimal>> after;
  SALDO_RETURN_IF_ERROR(request.dry_run ? book_.Try(entries, &after)
                                        : book_.Apply(entries, &after));
  Written written;
  written.postings.reserve(request.postings.size());
  for (size_t i = 0; i < request.postings.size(); ++i) {
    const bool exists = !request.dry_run || !targets[i].new_subaccount;
    written.postings.push_back(
        {exists ? targets[i].subaccount : 0, after[i], request.postings[i].type->scale});
  }
  if (request.dry_run) return written;
  OpenAndClose(request);
  AddRows(index, &written, before);
  parts_.Accept(request, written, items_[index].traceparent);
  return written;
}

std::optional<int64_t> Group::IdOf(const AccountType& type, std::string_view key) const {
  if (const auto ids = ids_.Find(type.id, key, ""); ids.has_value()) return ids->account;
  const auto made = new_accounts_.find({type.id, key});
  if (made == new_accounts_.end() || !made->second.used) return std::nullopt;
  return made->second.id;
}

absl::Status Group::CheckOpenings(const WriteRequest& request) const {
  for (const Opening& opening : request.openings) {
    if (!IdOf(*opening.type, opening.key).has_value()) continue;
    const std::string account = DescribeAccount(*opening.type, opening.key);
    return rpc::WithErrorInfo(absl::AlreadyExistsError(absl::StrCat(account, " is there already")),
                              "ACCOUNT_EXISTS", "saldo", {{"account", account}});
  }
  return absl::OkStatus();
}

// What a request posts to an account that it closes is not counted: no request does both.
absl::Status Group::CheckClosings(const WriteRequest& request) const {
  for (const Closing& closing : request.closings) {
    const std::optional<int64_t> id = IdOf(*closing.type, closing.key);
    if (!id.has_value()) return NoAccount(*closing.type, closing.key);
    SALDO_RETURN_IF_ERROR(book_.CheckClose(*id, *closing.type, closing.key));
  }
  return absl::OkStatus();
}

void Group::OpenAndClose(const WriteRequest& request) {
  for (const Opening& opening : request.openings) {
    NewAccount& account = new_accounts_.at({opening.type->id, opening.key});
    account.used = true;
    book_.Open(account.id, {.amount = Decimal(), .min_balance = opening.min_balance});
  }
  for (const Closing& closing : request.closings) book_.Close(*IdOf(*closing.type, closing.key));
}

void Group::AddRows(size_t index, Written* written, const Before& before) {
  const WriteRequest& request = *items_[index].request;
  written->batch_id = before.batch_id;
  written->first_ordinal = events_ + 1;
  accepted_.emplace(request.id, index);
  const Target* targets = &targets_[first_target_[index]];
  for (size_t i = 0; i < request.postings.size(); ++i) {
    const Posting& posting = request.postings[i];
    const WrittenPosting& result = written->postings[i];
    if (targets[i].new_account) new_accounts_.at({posting.type->id, posting.key}).used = true;
    if (targets[i].new_subaccount)
      new_subaccounts_.at({targets[i].account, posting.attributes}).used = true;
    ++events_;
    rows_.events.subaccounts.push_back(result.subaccount_id);
    rows_.events.times.push_back(posting.occurred_at);
    rows_.events.types.push_back(posting.type->id);
    rows_.events.flags.push_back((posting.is_credit ? kCredit : 0) |
                                 (request.balanced ? kBalanced : 0));
    rows_.events.amounts.push_back(posting.amount);
    rows_.events.balances_after.push_back(result.balance_after);
    rows_.events.infos.push_back(posting.info);
    if (posting.message.empty()) continue;
    outbox::Message message{
        .topic = posting.type->topic,
        .key = posting.message_key.empty() ? MessageKey(posting) : posting.message_key,
        .payload = posting.message,
        .type = posting.message_type,
        .traceparent = std::string(items_[index].traceparent)};
    AppendIds({before.batch_id, events_}, result, &message.payload);
    messages_.push_back(std::move(message));
  }
}

absl::Status Group::AnswerRepeats(postgres::Transaction& tx) {
  std::vector<KnownRequest> requests;
  for (const auto& [index, known] : repeats_) requests.push_back(*known);
  SALDO_ASSIGN_OR_RETURN(std::vector<absl::StatusOr<Written>> answers, ReadAnswers(tx, requests));
  for (size_t i = 0; i < repeats_.size(); ++i) outcomes_[repeats_[i].first] = std::move(answers[i]);
  return absl::OkStatus();
}

void Group::AddAccountRows() {
  // The views of these are kept in rows_.
  assets_.reserve(new_accounts_.size());
  for (const auto& [name, account] : new_accounts_) {
    if (!account.used) continue;
    assets_.push_back(AssetOf(*account.type, name.second));
    rows_.accounts.ids.push_back(account.id);
    rows_.accounts.types.push_back(name.first);
    rows_.accounts.keys.push_back(name.second);
    rows_.accounts.assets.push_back(assets_.back());
  }
  for (const auto& [name, subaccount] : new_subaccounts_) {
    if (!subaccount.used) continue;
    rows_.subaccounts.ids.push_back(subaccount.id);
    rows_.subaccounts.accounts.push_back(name.first);
    rows_.subaccounts.attributes.push_back(name.second);
  }
}

void Group::AddBalanceRows() {
  for (const auto& [name, account] : new_accounts_) {
    if (!account.used || !account.type->keeps_balance) continue;
    const Book::Balance& balance = book_.balances().at(account.id);
    rows_.new_balances.accounts.push_back(account.id);
    rows_.new_balances.balances.push_back(balance.amount);
    rows_.new_balances.minimums.push_back(balance.min_balance);
    rows_.new_balances.closed.push_back(balance.closed ? 1 : 0);
  }
  for (const int64_t id : AccountsToLock()) {
    // One without a stored balance was refused already.
    const auto balance = book_.balances().find(id);
    if (balance == book_.balances().end() || !balance->second.changed) continue;
    rows_.changed_balances.accounts.push_back(id);
    rows_.changed_balances.balances.push_back(balance->second.amount);
    rows_.changed_balances.closed.push_back(balance->second.closed ? 1 : 0);
  }
}

void Group::AddRequestRows() {
  for (const auto& [id, index] : accepted_) {
    const WriteRequest& request = *items_[index].request;
    rows_.requests.ids.push_back(id);
    rows_.requests.fingerprints.push_back(
        {std::string_view(request.fingerprint.data(), request.fingerprint.size())});
    rows_.requests.first_ordinals.push_back(outcomes_[index]->first_ordinal);
    rows_.requests.events.push_back(static_cast<int32_t>(request.postings.size()));
  }
}

void Group::Learn() {
  for (const auto& [name, account] : new_accounts_) {
    if (account.used) ids_.Learn(name.first, name.second, account.id);
  }
  for (const auto& [name, subaccount] : new_subaccounts_) {
    if (!subaccount.used) continue;
    ids_.Learn(subaccount.type->id, subaccount.key, name.second, name.first, subaccount.id);
  }
  parts_.Committed();
}

}  // namespace saldo::accounts
