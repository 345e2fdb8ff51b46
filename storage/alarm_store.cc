#include "storage/alarm_store.h"

#include <string>
#include <utility>

#include "storage/coding.h"
#include "storage/schema.h"

namespace cairn::storage {
namespace {

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;

std::string alarm_key(const AlarmMember& alarm) {
    std::string key(schema::kMetaAlarmPrefix);
    append_u64_be(key, alarm.memberid());
    append_u32_be(key, static_cast<std::uint32_t>(alarm.alarm()));
    return key;
}

bool take_alarm_key(ByteView key, AlarmMember& alarm) {
    std::uint64_t member = 0;
    std::uint32_t type = 0;
    key.remove_prefix(schema::kMetaAlarmPrefix.size());
    if (!take_u64_be(key, member) || !take_u32_be(key, type) || !key.empty()) {
        return false;
    }
    alarm.set_memberid(member);
    alarm.set_alarm(static_cast<etcdserverpb::AlarmType>(type));
    return true;
}

}  // namespace

Result<std::vector<AlarmMember>> list_alarms(const EngineReader& reader) {
    std::vector<AlarmMember> alarms;
    std::string upper(schema::kMetaAlarmPrefix);
    ++upper.back();
    auto it = reader.iterate(ColumnFamily::kMeta, schema::kMetaAlarmPrefix, upper);
    for (; it->valid(); it->next()) {
        AlarmMember alarm;
        if (!take_alarm_key(it->key(), alarm)) {
            return Error(Errc::kCorrupt, "engine: bad alarm key");
        }
        alarms.push_back(std::move(alarm));
    }
    CAIRN_TRY(it->status());
    return alarms;
}

Result<void> apply_alarm(mvcc::Overlay& overlay, const AlarmRequest& request,
                         etcdserverpb::AlarmResponse& response) {
    AlarmMember named;
    named.set_memberid(request.memberid());
    named.set_alarm(request.alarm());
    switch (static_cast<int>(request.action())) {  // any number may stand there
        case AlarmRequest::GET: {
            CAIRN_TRY(const auto alarms, list_alarms(overlay));
            for (const AlarmMember& alarm : alarms) {
                if (request.alarm() == etcdserverpb::NONE || alarm.alarm() == request.alarm()) {
                    *response.add_alarms() = alarm;
                }
            }
            return ok();
        }
        case AlarmRequest::ACTIVATE:
            // etcd 3.5: an alarm without a type is not raised.
            if (request.alarm() != etcdserverpb::NONE) {
                overlay.put(ColumnFamily::kMeta, alarm_key(named), {});
                *response.add_alarms() = named;
            }
            return ok();
        case AlarmRequest::DEACTIVATE: {
            CAIRN_TRY(const auto raised, overlay.get(ColumnFamily::kMeta, alarm_key(named)));
            if (raised) {
                overlay.remove(ColumnFamily::kMeta, alarm_key(named));
                *response.add_alarms() = named;
            }
            return ok();
        }
        default: return Errc::kMalformedRequest;
    }
}

}  // namespace cairn::storage
