#include "client/txn.h"

#include <memory>

#include "client/client.h"

namespace cairn::client {
namespace cmp {

Number::Number(std::string_view key, CompareTarget target) {
    compare_.key = key;
    compare_.target = target;
}

Number Number::until(std::string_view range_end) const {
    Number result = *this;
    result.compare_.range_end = range_end;
    return result;
}

Compare Number::with(CompareResult result, std::int64_t number) const {
    Compare compare = compare_;
    compare.result = result;
    compare.number = number;
    return compare;
}

Compare Number::operator==(std::int64_t number) const {
    return with(CompareResult::kEqual, number);
}
Compare Number::operator!=(std::int64_t number) const {
    return with(CompareResult::kNotEqual, number);
}
Compare Number::operator<(std::int64_t number) const { return with(CompareResult::kLess, number); }
Compare Number::operator>(std::int64_t number) const {
    return with(CompareResult::kGreater, number);
}

Value::Value(std::string_view key) {
    compare_.key = key;
    compare_.target = CompareTarget::kValue;
}

Value Value::until(std::string_view range_end) const {
    Value result = *this;
    result.compare_.range_end = range_end;
    return result;
}

Compare Value::with(CompareResult result, std::string_view value) const {
    Compare compare = compare_;
    compare.result = result;
    compare.value = value;
    return compare;
}

Compare Value::operator==(std::string_view value) const {
    return with(CompareResult::kEqual, value);
}
Compare Value::operator!=(std::string_view value) const {
    return with(CompareResult::kNotEqual, value);
}
Compare Value::operator<(std::string_view value) const { return with(CompareResult::kLess, value); }
Compare Value::operator>(std::string_view value) const {
    return with(CompareResult::kGreater, value);
}

Number version(std::string_view key) { return {key, CompareTarget::kVersion}; }
Number create(std::string_view key) { return {key, CompareTarget::kCreate}; }
Number mod(std::string_view key) { return {key, CompareTarget::kMod}; }
Number lease(std::string_view key) { return {key, CompareTarget::kLease}; }
Value value(std::string_view key) { return Value(key); }
Compare exists(std::string_view key) { return version(key) > 0; }
Compare missing(std::string_view key) { return version(key) == 0; }

}  // namespace cmp

namespace op {

GetOp get(std::string_view key, GetOptions options) {
    return {std::string(key), std::move(options)};
}

PutOp put(std::string_view key, std::string_view value, PutOptions options) {
    return {std::string(key), std::string(value), options};
}

DeleteOp del(std::string_view key, DeleteOptions options) {
    return {std::string(key), std::move(options)};
}

TxnOp txn(TxnRequest nested) { return std::make_shared<const TxnRequest>(std::move(nested)); }

}  // namespace op

Result<TxnResponse> TxnBuilder::commit() const { return client_->txn(txn_); }

}  // namespace cairn::client
