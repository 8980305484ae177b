//! Counters that are counted together, in one script. Owns the script, what it is given and what it answers.

use std::sync::LazyLock;

use fred::types::Value;

use super::{Script, count, digits};
use crate::cache::tally::ENDLESS;
use crate::cache::{CacheError, Counter, Relief, Tally, stamp};

/// Keys: for each counter its own, and the one of its relief or its own again. Arguments: now, and for each counter what is
/// added, the limit, the deadline, the time to live, whether it renews, the kind of its relief and how much that earns.
///
/// Answers the place of the first counter without room, or 0, and then how that one, or all, are stored.
pub(super) static COUNT_ALL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local now = ARGV[1]
         local function kept(key)
             local stored = redis.call('GET', key)
             if not stored or string.sub(stored, 1, 20) <= now then return nil end
             return string.sub(stored, 1, 20), string.match(stored, '^%d+$', 21)
         end
         local answer, changes = {'0'}, {}
         for at = 1, #KEYS / 2 do
             local own, other, given = KEYS[at * 2 - 1], KEYS[at * 2], at * 7 - 6
             local add, limit = tonumber(ARGV[given + 1]), tonumber(ARGV[given + 2])
             local deadline, renews, relief = ARGV[given + 3], ARGV[given + 5] == '1', ARGV[given + 6]
             local since, before = kept(own)
             if since and not before then return {} end
             before = tonumber(before or '0')
             local waived = false
             if relief == 'waived' then
                 waived = kept(other) ~= nil
             elseif relief == 'earned' then
                 local there, earned = kept(other)
                 if there and not earned then return {} end
                 limit = math.max(limit, tonumber(earned or '0') * tonumber(ARGV[given + 7]))
             end
             local after = math.max(before + add, 0)
             if waived or (add < 0 and not since) then
                 answer[at + 1] = (since or deadline) .. string.format('%.0f', before)
             elseif add > 0 and after > limit then
                 return {tostring(at), (since or deadline) .. string.format('%.0f', before)}
             else
                 local keeps = since and not renews
                 local stored = (keeps and since or deadline) .. string.format('%.0f', after)
                 answer[at + 1] = stored
                 changes[#changes + 1] = {own, stored, keeps, ARGV[given + 4]}
             end
         end
         for _, change in ipairs(changes) do
             if change[3] then
                 redis.call('SET', change[1], change[2], 'KEEPTTL')
             else
                 redis.call('SET', change[1], change[2], 'PX', change[4])
             end
         end
         return answer",
    )
});

/// The keys for the script, as callers name them.
pub(super) fn keys(counters: &[Counter]) -> impl Iterator<Item = &str> {
    counters.iter().flat_map(|counter| [&counter.key, counter.relief.key().unwrap_or(&counter.key)])
}

/// The arguments for the script.
pub(super) fn arguments(counters: &[Counter], now: i64, time_to_live: impl Fn(i64) -> i64) -> Vec<Value> {
    let mut arguments = vec![Value::from(digits(now))];
    for counter in counters {
        let deadline = stamp(counter.deadline);
        let (relief, each) = match counter.relief {
            Relief::None => ("none", 0),
            Relief::Waived { .. } => ("waived", 0),
            Relief::Earned { each, .. } => ("earned", each),
        };
        arguments.extend([
            Value::from(counter.add.clamp(-ENDLESS, ENDLESS)),
            Value::from(i64::try_from(counter.limit).unwrap_or(ENDLESS).min(ENDLESS)),
            Value::from(digits(deadline)),
            Value::from(time_to_live(deadline)),
            Value::from(i64::from(counter.renews)),
            Value::from(relief),
            Value::from(i64::from(each)),
        ]);
    }
    arguments
}

/// What the script has answered.
pub(super) fn answer(answer: Value) -> Result<Tally, CacheError> {
    let mut parts = answer.into_array().into_iter();
    let at = parts.next().and_then(|at| at.as_usize()).ok_or(CacheError::NotACounter)?;
    let counts = parts.map(count).collect::<Result<Vec<_>, _>>()?;
    match (at.checked_sub(1), counts.as_slice()) {
        (None, _) => Ok(Tally::Counted(counts)),
        (Some(at), [count, ..]) => Ok(Tally::Full { at, count: *count }),
        (Some(_), []) => Err(CacheError::NotACounter),
    }
}
