#include "sim/model.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace cairn::sim {
namespace {

constexpr std::int64_t kNewest = std::numeric_limits<std::int64_t>::max();

template <class Message>
Message parse(ByteView bytes) {
    Message message;
    CAIRN_ASSERT(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    return message;
}

bool inside(const std::string& key, const std::string& begin, const std::string& end) {
    if (end.empty()) {
        return key == begin;
    }
    return key >= begin && (end == std::string(1, '\0') || key < end);
}

}  // namespace

const Model::Version* Model::find(const std::string& key, std::int64_t revision) const {
    const auto place = keys_.find(key);
    if (place == keys_.end()) {
        return nullptr;
    }
    const std::vector<Version>& versions = place->second;
    for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
        if (it->mod <= revision) {
            return it->create == 0 ? nullptr : &*it;
        }
    }
    return nullptr;
}

etcdserverpb::RangeResponse Model::range(const etcdserverpb::RangeRequest& request,
                                         std::int64_t revision) const {
    etcdserverpb::RangeResponse response;
    const std::int64_t at = request.revision() > 0 ? request.revision() : revision;
    std::int64_t count = 0;
    for (const auto& [key, versions] : keys_) {
        const Version* version =
            inside(key, request.key(), request.range_end()) ? find(key, at) : nullptr;
        if (version == nullptr) {
            continue;
        }
        ++count;
        if (request.count_only()) {
            continue;
        }
        if (request.limit() > 0 && count > request.limit()) {
            response.set_more(true);
            continue;
        }
        mvccpb::KeyValue* kv = response.add_kvs();
        kv->set_key(key);
        kv->set_create_revision(version->create);
        kv->set_mod_revision(version->mod);
        kv->set_version(version->version);
        if (!request.keys_only()) {
            kv->set_value(version->value);
        }
    }
    response.set_count(count);
    return response;
}

etcdserverpb::PutResponse Model::put(const etcdserverpb::PutRequest& request,
                                     std::int64_t revision) {
    etcdserverpb::PutResponse response;
    const Version* before = find(request.key(), kNewest);
    Version next{.mod = revision,
                 .create = before != nullptr ? before->create : revision,
                 .version = before != nullptr ? before->version + 1 : 1,
                 .value = request.value()};
    if (before != nullptr && request.prev_kv()) {
        mvccpb::KeyValue* kv = response.mutable_prev_kv();
        kv->set_key(request.key());
        kv->set_create_revision(before->create);
        kv->set_mod_revision(before->mod);
        kv->set_version(before->version);
        kv->set_value(before->value);
    }
    keys_[request.key()].push_back(std::move(next));
    ++changes_;
    return response;
}

etcdserverpb::DeleteRangeResponse Model::remove(const etcdserverpb::DeleteRangeRequest& request,
                                                std::int64_t revision) {
    etcdserverpb::RangeRequest all;
    all.set_key(request.key());
    all.set_range_end(request.range_end());
    const etcdserverpb::RangeResponse found = range(all, kNewest);
    etcdserverpb::DeleteRangeResponse response;
    response.set_deleted(found.count());
    for (const mvccpb::KeyValue& kv : found.kvs()) {
        keys_[kv.key()].push_back(Version{.mod = revision});
        ++changes_;
        if (request.prev_kv()) {
            *response.add_prev_kvs() = kv;
        }
    }
    return response;
}

// Switches over integers: what the load never sends needs no case of its own.
bool Model::holds(const etcdserverpb::Compare& compare, std::int64_t revision) const {
    const Version* version = find(compare.key(), revision);
    int order = 0;
    const auto three_way = [](const auto& stored, const auto& wanted) {
        return stored < wanted ? -1 : (stored > wanted ? 1 : 0);
    };
    switch (static_cast<int>(compare.target())) {
        case etcdserverpb::Compare::VALUE:
            if (version == nullptr) {
                return false;  // etcd: a missing key has no value that could compare
            }
            order = three_way(version->value, compare.value());
            break;
        case etcdserverpb::Compare::CREATE:
            order = three_way(version != nullptr ? version->create : 0, compare.create_revision());
            break;
        case etcdserverpb::Compare::MOD:
            order = three_way(version != nullptr ? version->mod : 0, compare.mod_revision());
            break;
        default:
            order = three_way(version != nullptr ? version->version : 0, compare.version());
            break;
    }
    switch (static_cast<int>(compare.result())) {
        case etcdserverpb::Compare::EQUAL: return order == 0;
        case etcdserverpb::Compare::GREATER: return order > 0;
        case etcdserverpb::Compare::LESS: return order < 0;
        default: return order != 0;
    }
}

bool Model::succeeds(const etcdserverpb::TxnRequest& request, std::int64_t revision) const {
    return std::all_of(request.compare().begin(), request.compare().end(),
                       [&](const auto& compare) { return holds(compare, revision); });
}

etcdserverpb::TxnResponse Model::read_txn(const etcdserverpb::TxnRequest& request,
                                          std::int64_t revision) const {
    etcdserverpb::TxnResponse response;
    response.set_succeeded(succeeds(request, revision));
    for (const auto& op : response.succeeded() ? request.success() : request.failure()) {
        *response.add_responses()->mutable_response_range() = range(op.request_range(), revision);
    }
    return response;
}

etcdserverpb::TxnResponse Model::txn(const etcdserverpb::TxnRequest& request,
                                     std::int64_t revision) {
    etcdserverpb::TxnResponse response;
    const bool succeeded = succeeds(request, kNewest);
    response.set_succeeded(succeeded);
    for (const etcdserverpb::RequestOp& op : succeeded ? request.success() : request.failure()) {
        etcdserverpb::ResponseOp* out = response.add_responses();
        if (op.has_request_put()) {
            *out->mutable_response_put() = put(op.request_put(), revision);
        } else if (op.has_request_delete_range()) {
            *out->mutable_response_delete_range() = remove(op.request_delete_range(), revision);
        } else if (op.has_request_range()) {
            *out->mutable_response_range() = range(op.request_range(), kNewest);
        } else {
            *out->mutable_response_txn() = txn(op.request_txn(), revision);
        }
    }
    return response;
}

void Model::compact(const etcdserverpb::CompactionRequest& request, Outcome& out) {
    if (request.revision() <= compacted_) {
        out.error = Errc::kCompacted;
    } else if (request.revision() > revision_) {
        out.error = Errc::kFutureRev;
    } else {
        compacted_ = request.revision();
    }
}

Model::Outcome Model::apply(command::CommandKind kind, ByteView request) {
    Outcome out;
    changes_ = 0;
    const std::int64_t next = revision_ + 1;
    switch (static_cast<int>(kind)) {
        case command::PUT:
            out.body = put(parse<etcdserverpb::PutRequest>(request), next).SerializeAsString();
            break;
        case command::DELETE_RANGE:
            out.body =
                remove(parse<etcdserverpb::DeleteRangeRequest>(request), next).SerializeAsString();
            break;
        case command::TXN:
            out.body = txn(parse<etcdserverpb::TxnRequest>(request), next).SerializeAsString();
            break;
        case command::MEMBER_ADD:
        case command::MEMBER_REMOVE:
        case command::MEMBER_UPDATE:
        case command::MEMBER_PROMOTE: break;  // nothing to do with the keys
        case command::COMPACT: compact(parse<etcdserverpb::CompactionRequest>(request), out); break;
        default: CAIRN_UNREACHABLE();
    }
    if (changes_ > 0) {
        revision_ = next;
        out.mutated = true;
    }
    out.revision = revision_;
    return out;
}

namespace {

void clear_headers(etcdserverpb::TxnResponse& response) {
    response.clear_header();
    for (etcdserverpb::ResponseOp& op : *response.mutable_responses()) {
        if (op.has_response_put()) {
            op.mutable_response_put()->clear_header();
        } else if (op.has_response_delete_range()) {
            op.mutable_response_delete_range()->clear_header();
        } else if (op.has_response_range()) {
            op.mutable_response_range()->clear_header();
        } else if (op.has_response_txn()) {
            clear_headers(*op.mutable_response_txn());
        }
    }
}

}  // namespace

std::string Model::canonical(command::CommandKind kind, ByteView body) {
    switch (static_cast<int>(kind)) {
        case command::PUT: return parse<etcdserverpb::PutResponse>(body).SerializeAsString();
        case command::DELETE_RANGE:
            return parse<etcdserverpb::DeleteRangeResponse>(body).SerializeAsString();
        case command::TXN: {
            auto response = parse<etcdserverpb::TxnResponse>(body);
            clear_headers(response);
            return response.SerializeAsString();
        }
        default: return parse<etcdserverpb::CompactionResponse>(body).SerializeAsString();
    }
}

std::string Model::canonical_range(ByteView body) {
    return parse<etcdserverpb::RangeResponse>(body).SerializeAsString();
}

}  // namespace cairn::sim
