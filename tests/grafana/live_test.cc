// Runs every query of the dashboards and the rules against a real Prometheus that scrapes the real
// programs under load.
#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/devstack/prometheus.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "saldo/v1/wallet_service.grpc.pb.h"
#include "tests/grafana/boards.h"
#include "tests/grafana/promql.h"
#include "tests/grafana/rules.h"
#include "tests/system/ledger_load.h"
#include "tests/system/load.h"
#include "tests/system/stack.h"

namespace saldo::grafana {
namespace {

using Json = nlohmann::json;
using devstack::PrometheusServer;

const std::string kRoot = SALDO_SOURCE_DIR;
// From the start of the load until every query has answered.
constexpr absl::Duration kDeadline = absl::Seconds(60);
// Panels in which the load must be seen, not only zeros.
const std::set<std::string> kMoves = {"saldo-overview/Availability",
                                      "saldo-overview/Calls",
                                      "saldo-overview/Latency",
                                      "saldo-overview/What is written",
                                      "saldo-overview/Shards",
                                      "saldo-overview/Sequencer delay",
                                      "saldo-overview/CPU",
                                      "saldo-overview/Memory",
                                      "saldo-rpc/Calls by method",
                                      "saldo-rpc/Answers by code",
                                      "saldo-rpc/Error ratio by code",
                                      "saldo-rpc/Latency",
                                      "saldo-rpc/p99 of stream messages",
                                      "saldo-rpc/p99 by method",
                                      "saldo-rpc/Messages",
                                      "saldo-rpc/Database's part",
                                      "saldo-ledger-writes/Events",
                                      "saldo-ledger-writes/Requests",
                                      "saldo-ledger-writes/Rejections by reason",
                                      "saldo-ledger-writes/Batch size",
                                      "saldo-ledger-writes/Wait time",
                                      "saldo-ledger-writes/Commit time",
                                      "saldo-ledger-writes/Who gives out numbers",
                                      "saldo-ledger-writes/Sequencer lag",
                                      "saldo-ledger-writes/Pass time",
                                      "saldo-ledger-writes/Last number",
                                      "saldo-ledger-writes/Run time",
                                      "saldo-ledger-writes/Transfers",
                                      "saldo-outbox/Sent",
                                      "saldo-outbox/Commit to acknowledgement",
                                      "saldo-outbox/Commit to acknowledgement, all of it",
                                      "saldo-outbox/Who holds the lock",
                                      "saldo-postgres/Pool use",
                                      "saldo-postgres/Transaction time",
                                      "saldo-postgres/Transactions",
                                      "saldo-postgres/Time in statements",
                                      "saldo-postgres/Slowest statements",
                                      "saldo-postgres/Shards",
                                      "saldo-postgres/Size",
                                      "saldo-postgres/Server's connections",
                                      "saldo-packages/Not found",
                                      "saldo-packages/Created, updated, removed",
                                      "saldo-packages/Calls by method",
                                      "saldo-packages/Latency"};

// A query with everything filled in, and what it must answer.
struct Ask {
  std::string where = {};
  std::string promql = {};
  bool moves = false;
  std::string answer = "not asked";
};

Json Get(const PrometheusServer& prometheus, const std::string& path,
         const std::vector<std::pair<std::string, std::string>>& parameters) {
  const auto body = prometheus.Get(path, parameters);
  INFO(path << " " << absl::StrJoin(parameters, "&", absl::PairFormatter("=")));
  INFO(body.status().ToString());
  REQUIRE(body.ok());
  return Json::parse(*body).at("data");
}

// True when there are samples, all that matter being numbers, and some above zero where the load
// must be seen. Errors fail at once: waiting mends none.
bool Answered(const PrometheusServer& prometheus, Ask& ask) {
  const auto body = prometheus.Get("/api/v1/query", {{"query", ask.promql}});
  INFO(ask.where << ": " << ask.promql);
  INFO(body.status().ToString());
  REQUIRE(body.ok());
  const Json result = Json::parse(*body).at("data").at("result");
  ask.answer = result.dump().substr(0, 300);
  bool some = false, above = false;
  for (const Json& sample : result) {
    double value = NAN;
    if (!absl::SimpleAtod(sample.at("value").at(1).get<std::string>(), &value)) continue;
    some = some || std::isfinite(value);
    above = above || (std::isfinite(value) && value > 0);
  }
  return some && (above || !ask.moves);
}

void AwaitAnswers(const PrometheusServer& prometheus, std::vector<Ask> asks) {
  testing::Eventually(kDeadline, [&] {
    std::erase_if(asks, [&](Ask& ask) { return Answered(prometheus, ask); });
    return asks.empty();
  });
  for (const Ask& ask : asks)
    FAIL_CHECK(ask.where << ": no " << (ask.moves ? "movement" : "data") << " in " << ask.promql
                         << ", answered: " << ask.answer);
}

// The values that Grafana would find, each variable seeing those before it, all of them chosen.
Variables ValuesOf(const PrometheusServer& prometheus, const Board& board) {
  Variables variables = {{"__rate_interval", "5s"}, {"__range", "60s"}, {"__interval", "1s"}};
  for (const LabelVariable& variable : LabelVariables(board)) {
    const Json values = Get(prometheus, absl::StrCat("/api/v1/label/", variable.label, "/values"),
                            {{"match[]", Fill(variable.metric, variables)}});
    INFO(board.file << ": " << variable.name);
    REQUIRE(!values.empty());
    std::vector<std::string> escaped;
    for (const Json& value : values) escaped.push_back(AsRegex(value.get<std::string>()));
    variables[variable.name] =
        escaped.size() > 1 ? absl::StrCat("(", absl::StrJoin(escaped, "|"), ")") : escaped[0];
  }
  return variables;
}

std::vector<Ask> AsksOf(const PrometheusServer& prometheus, const std::vector<Board>& boards) {
  std::vector<Ask> asks;
  for (const Board& board : boards) {
    const Variables variables = ValuesOf(prometheus, board);
    for (const PanelQuery& query : Queries(board)) {
      const std::string where = absl::StrCat(query.board, "/", query.panel);
      asks.push_back({where, Fill(query.promql, variables), kMoves.contains(where)});
      INFO(asks.back().promql);
      CHECK(!absl::StrContains(asks.back().promql, "$"));
    }
  }
  return asks;
}

std::set<std::string> MetricsIn(const std::string& page) {
  std::set<std::string> names;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (!absl::StartsWith(line, "#"))
      names.emplace(line.substr(0, std::min(line.find_first_of("{ "), line.size())));
  }
  return names;
}

// What has no such name would be answered with nothing, which `or` hides.
void CheckNames(const std::vector<Ask>& asks, std::set<std::string> known) {
  for (const Ask& ask : asks) {
    for (const Selector& selector : Selectors(ask.promql)) {
      INFO(ask.where << ": " << ask.promql);
      INFO(selector.metric);
      CHECK(known.contains(selector.metric));
    }
  }
}

// Operators look a metric up by its name.
void CheckDocumented(const std::string& pages) {
  std::ifstream in(kRoot + "/docs/operations.md");
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  for (const absl::string_view line : absl::StrSplit(pages, '\n')) {
    if (!absl::StartsWith(line, "# HELP ")) continue;
    const std::string name = std::vector<std::string>(absl::StrSplit(line, ' ')).at(2);
    INFO(name);
    CHECK(absl::StrContains(text, absl::StrCat("| `", name, "` |")));
  }
}

// Calls that the loads do not make.
class Rarities {
 public:
  explicit Rarities(const std::shared_ptr<grpc::Channel>& channel)
      : packages_(Packages::NewStub(channel)),
        wallets_(v1::WalletService::NewStub(channel)),
        thread_("rarities", [this] {
          while (stop_.WaitFor(absl::Milliseconds(50))) {
            AskForNothing();
            MoveMoney();
          }
        }) {}
  ~Rarities() { stop_.Stop(); }

 private:
  using Packages = hablof::logistic_package_api::v1::LogisticPackageApiService;

  void AskForNothing() {
    grpc::ClientContext context;
    hablof::logistic_package_api::v1::DescribePackageV1Request request;
    request.set_package_id(uint64_t{1} << 62);
    hablof::logistic_package_api::v1::DescribePackageV1Response response;
    packages_->DescribePackageV1(&context, request, &response);
  }

  // From one new wallet, which may be overdrawn, to another.
  void MoveMoney() {
    v1::TransferRequest request;
    request.set_request_id(absl::StrCat("transfer-", ++made_));
    request.set_from_wallet_id(NewWallet());
    request.set_to_wallet_id(NewWallet());
    request.set_amount("1");
    grpc::ClientContext context;
    v1::TransferResponse response;
    wallets_->Transfer(&context, request, &response);
  }
  std::string NewWallet() {
    v1::CreateWalletRequest request;
    request.set_request_id(absl::StrCat("wallet-", ++made_));
    request.set_currency("RUB");
    request.set_overdraft_limit("10");
    grpc::ClientContext context;
    v1::CreateWalletResponse response;
    wallets_->CreateWallet(&context, request, &response);
    return response.wallet_id();
  }

  std::unique_ptr<Packages::Stub> packages_;
  std::unique_ptr<v1::WalletService::Stub> wallets_;
  int made_ = 0;
  runtime::StopSignal stop_;
  runtime::Thread thread_;
};

}  // namespace

TEST_CASE("every query of the dashboards and the rules has data under a load") {
  const std::vector<Board> boards = ReadBoards(kRoot + "/grafana/dashboards");
  const std::vector<Rule> rules = ReadRules(kRoot + "/grafana/alerts");
  REQUIRE(!boards.empty());
  REQUIRE(!rules.empty());

  testing::Stack stack({.relays = 1, .account_types = testing::kLedgerTypes});
  const testing::TempDir dir;
  auto started =
      PrometheusServer::Start({.dir = dir.File("prometheus"),
                               .targets = {{"saldo-server", stack.server_metrics_port()},
                                           {"saldo-retranslator", stack.relay_metrics_port(0)}},
                               .rule_files = RuleFiles(kRoot + "/grafana/alerts"),
                               .interval = absl::Seconds(1)});
  INFO(started.status().ToString());
  REQUIRE(started.ok());
  const PrometheusServer& prometheus = **started;

  INFO("SALDO_TEST_SEED=" << testing::Seed());
  testing::Load packages(stack.server_address(), 2, testing::Seed());
  testing::LedgerLoad ledger(
      {.addresses = {stack.server_address()}, .callers = 2, .streams = 1, .seed = testing::Seed()});
  const Rarities rarities(
      grpc::CreateChannel(stack.server_address(), grpc::InsecureChannelCredentials()));

  AwaitAnswers(prometheus,
               {{"the server's target", "up{job=\"saldo-server\"}", true},
                {"the retranslator's target", "up{job=\"saldo-retranslator\"}", true},
                {"the variables' metric", "saldo_postgres_pool_connections_max", true}});

  const std::string pages = stack.ServerMetrics() + stack.RelayMetrics(0);
  CheckDocumented(pages);
  std::set<std::string> known = MetricsIn(pages);
  known.insert({"up", "ALERTS"});
  std::vector<Ask> asks = AsksOf(prometheus, boards);
  std::set<std::string> panels;
  for (const Ask& ask : asks) panels.insert(ask.where);
  CHECK(std::includes(panels.begin(), panels.end(), kMoves.begin(), kMoves.end()));
  for (const Rule& rule : rules) {
    if (!rule.record.empty()) known.insert(rule.record);
    const std::string where = absl::StrCat(rule.file, "/", rule.alert, rule.record);
    if (rule.alert.empty()) {
      asks.push_back({where, rule.record});
      asks.push_back({where, rule.promql});
      continue;
    }
    for (const std::string& part : Measured(rule.promql)) asks.push_back({where, part});
  }
  CheckNames(asks, known);
  AwaitAnswers(prometheus, asks);

  for (const Json& group : Get(prometheus, "/api/v1/rules", {}).at("groups")) {
    for (const Json& rule : group.at("rules")) {
      INFO(rule.dump());
      CHECK(rule.at("health") == "ok");
      CHECK(rule.value("state", "") != "firing");
    }
  }
}

}  // namespace saldo::grafana
