#include "storage/new_cluster.h"

#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "storage/coding.h"
#include "storage/conf_codec.h"
#include "storage/member_store.h"
#include "storage/schema.h"
#include "storage/state_machine.h"

namespace cairn::storage {
namespace {

void put_meta(WriteBatch& batch, ByteView key, std::string value) {
    batch.put(ColumnFamily::kMeta, std::string(key), std::move(value));
}

Result<void> replace_members(const EngineReader& reader,
                             const std::vector<command::MemberInfo>& members, WriteBatch& batch) {
    CAIRN_TRY(const auto former, list_members(reader));
    for (const command::MemberInfo& member : former) {
        batch.remove(ColumnFamily::kMembers, schema::member_key(NodeId{member.id()}));
    }
    std::string behind(schema::kMetaRemovedPrefix);
    ++behind.back();
    const auto removed = reader.iterate(ColumnFamily::kMeta, schema::kMetaRemovedPrefix, behind);
    for (; removed->valid(); removed->next()) {
        batch.remove(ColumnFamily::kMeta, std::string(removed->key()));
    }
    CAIRN_TRY(removed->status());
    for (const command::MemberInfo& member : members) {
        batch.put(ColumnFamily::kMembers, schema::member_key(NodeId{member.id()}),
                  member.SerializeAsString());
    }
    return ok();
}

}  // namespace

Result<std::int64_t> begin_new_cluster(KvEngine& engine, const NewCluster& cluster) {
    CAIRN_TRY(const AppliedState state, read_applied_state(engine));
    if (!state.applied.index) {
        return Error(Errc::kCorrupt, "engine: nothing was ever applied");
    }
    // Half of what there is stays for the revisions to come.
    constexpr std::int64_t kRevisionMax = std::numeric_limits<std::int64_t>::max() / 2;
    if (state.revision < 1 || state.revision > kRevisionMax || cluster.bump_revision < 0 ||
        cluster.bump_revision > kRevisionMax - state.revision) {
        return Error(Errc::kInvalidConfig, fmt::format("revision {} cannot grow by {}",
                                                       state.revision, cluster.bump_revision));
    }
    const std::int64_t revision = state.revision + cluster.bump_revision;
    WriteBatch batch;
    CAIRN_TRY(replace_members(engine, cluster.members, batch));
    put_meta(batch, schema::kMetaApplied, schema::encode_applied(cluster.start.last));
    put_meta(batch, schema::kMetaConf, encode_conf(cluster.start.conf));
    schema::stamp_format(batch);  // an engine of the format before has no configuration
    if (cluster.bump_revision > 0) {
        put_meta(batch, schema::kMetaRevision, schema::encode_i64(revision));
        put_meta(batch, schema::kMetaCompacted, schema::encode_i64(revision));
    }
    CAIRN_TRY(engine.write(batch));
    CAIRN_TRY(engine.flush());
    return revision;
}

}  // namespace cairn::storage
