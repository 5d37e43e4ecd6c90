#include "common/config/binder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config/schema.h"
#include "common/config/value.h"

namespace saldo::config {
namespace {

using internal::Node;
using internal::NodeKind;

void AddValue(Node* section, std::string_view key, std::unique_ptr<internal::Value> value,
              std::string_view help) {
  Node* node = internal::AddChild(section, key, NodeKind::kValue, help);
  if (const std::string fault = value->DescriptionFault(); !fault.empty())
    node->root->description_faults.push_back(absl::StrCat(node->path, ": ", fault));
  node->value = std::move(value);
}

}  // namespace

void Binder::Section(std::string_view key, absl::FunctionRef<void(Binder&)> bind,
                     std::string_view help) {
  Binder binder(internal::AddChild(node_, key, NodeKind::kSection, help));
  bind(binder);
}

void Binder::Duration(std::string_view key, absl::Duration* field, DurationRange range,
                      std::string_view help) {
  AddValue(node_, key, internal::MakeDuration(field, range), help);
}

void Binder::Bool(std::string_view key, bool* field, std::string_view help) {
  AddValue(node_, key, internal::MakeBool(field), help);
}

void Binder::Float(std::string_view key, double* field, FloatRange range, std::string_view help) {
  AddValue(node_, key, internal::MakeFloat(field, range), help);
}

void Binder::String(std::string_view key, std::string* field, LengthRange range,
                    std::string_view help) {
  AddValue(node_, key, internal::MakeString(field, range, /*secret=*/false), help);
}

void Binder::Secret(std::string_view key, std::string* field, LengthRange range,
                    std::string_view help) {
  AddValue(node_, key, internal::MakeString(field, range, /*secret=*/true), help);
}

void Binder::StringList(std::string_view key, std::vector<std::string>* field, CountRange range,
                        std::string_view help) {
  AddValue(node_, key, internal::MakeStringList(field, range), help);
}

void Binder::Check(std::function<absl::Status()> check) {
  node_->checks.push_back(std::move(check));
}

void Binder::Ignore(std::string_view key) { node_->ignored.emplace_back(key); }

void Binder::BindInt(std::string_view key, internal::IntField field, IntRange range,
                     std::string_view help) {
  AddValue(node_, key, internal::MakeInt(std::move(field), range), help);
}

void Binder::BindBytes(std::string_view key, internal::IntField field, ByteRange range,
                       std::string_view help) {
  AddValue(node_, key, internal::MakeBytes(std::move(field), range), help);
}

void Binder::BindEnum(std::string_view key, internal::EnumField field, std::string_view help) {
  AddValue(node_, key, internal::MakeEnum(std::move(field)), help);
}

void Binder::BindList(std::string_view key, ListField field, CountRange range,
                      std::string_view help) {
  Node* list = internal::AddChild(node_, key, NodeKind::kList, help);
  list->count = range;
  list->list = std::move(field);
  list->prototype = std::make_unique<Node>();
  list->prototype->path = absl::StrCat(list->path, ".N");
  list->prototype->root = list->root;
  Binder prototype(list->prototype.get());
  list->list->bind_prototype(prototype);
  internal::BindItems(list);
}

}  // namespace saldo::config
