/*
 * The scripts. Each makes one write, or writes that Redis refuses together: of several HSETs of one
 * key only the first can meet OOM, READONLY or NOPERM. They are sent whole (EVAL) every time: a
 * kilobyte is nothing beside the objects, and there is no NOSCRIPT to handle after a restart.
 *
 * Epochs and generations are compared as numbers, exact below 2^53. Offsets are compared as decimal
 * strings, first by length: exact always.
 */
#pragma once

/* KEYS: m. ARGV: least epoch, owner, claim. Returns all of m. */
static const char script_claim[] =
    "local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')\n"
    "if not epoch or epoch >= 9007199254740991 then\n"
    "  return redis.error_reply('CORRUPT the epoch in ' .. KEYS[1] .. ' is not a number')\n"
    "end\n"
    "epoch = string.format('%.0f', math.max(epoch, tonumber(ARGV[1])) + 1)\n"
    "redis.call('HSET', KEYS[1], 'epoch', epoch, 'owner', ARGV[2], 'claim', ARGV[3])\n"
    "return redis.call('HGETALL', KEYS[1])\n";

/*
 * KEYS: m. ARGV: epoch, claim, generation acknowledged, generation, replace (0 or 1), number of
 * positions, then pairs of field and value for HSET, positions first.
 *
 * The generation in m may be above the acknowledged one: a commit of this claim whose reply was
 * lost. If it is this very one, the same write is made again, so that WAIT has something to wait
 * for.
 */
static const char script_commit[] =
    "local m = KEYS[1]\n"
    "local h = redis.call('HMGET', m, 'epoch', 'claim', 'generation', 'owner')\n"
    "local epoch, generation = tonumber(h[1] or '0'), tonumber(h[3] or '0')\n"
    "if not epoch or not generation then\n"
    "  return redis.error_reply('CORRUPT numbers expected in ' .. m)\n"
    "end\n"
    "local mine, this = tonumber(ARGV[1]), tonumber(ARGV[4])\n"
    "if epoch > mine or (epoch == mine and h[2] ~= ARGV[2]) then\n"
    "  return redis.error_reply('FENCED epoch ' .. (h[1] or '0') .. ' of ' .. (h[4] or '?') ..\n"
    "    ' took the place of epoch ' .. ARGV[1])\n"
    "end\n"
    "if epoch < mine or generation < tonumber(ARGV[3]) then\n"
    "  return redis.error_reply('ROLLBACK ' .. m .. ' is at epoch ' .. (h[1] or '0') ..\n"
    "    ' generation ' .. (h[3] or '0') .. ', acknowledged were ' .. ARGV[1] .. ' and ' .. "
    "ARGV[3])\n"
    "end\n"
    "if generation > this then\n"
    "  return redis.error_reply('REGRESS generation ' .. h[3] .. ' is stored, not ' .. ARGV[4])\n"
    "end\n"
    "for i = 7, 5 + 2 * tonumber(ARGV[6]), 2 do\n"
    "  local stored = redis.call('HGET', m, ARGV[i])\n"
    "  if generation == this and generation > 0 and stored ~= ARGV[i + 1] then\n"
    "    return redis.error_reply('REGRESS generation ' .. ARGV[4] .. ' was committed with another "
    "'\n"
    "      .. ARGV[i])\n"
    "  end\n"
    "  local old = ARGV[5] == '0' and stored and string.match(stored, '^%d+')\n"
    "  local new = string.match(ARGV[i + 1], '^%d+')\n"
    "  if old and (not new or #old > #new or (#old == #new and old > new)) then\n"
    "    return redis.error_reply('REGRESS ' .. ARGV[i] .. ' is stored up to ' .. old .. ', not '\n"
    "      .. (new or 'at all'))\n"
    "  end\n"
    "end\n"
    "if ARGV[5] == '1' then\n"
    "  redis.call('UNLINK', m)\n"
    "end\n"
    "for i = 7, #ARGV, 7000 do\n"
    "  redis.call('HSET', m, unpack(ARGV, i, math.min(i + 6999, #ARGV)))\n"
    "end\n"
    "return redis.status_reply('OK')\n";

/*
 * KEYS: m, then versions of objects. ARGV: epoch, claim, then name and version of each key. Unlinks
 * those that m does not name, and takes the tombstones of removed objects out of m.
 */
static const char script_clean[] =
    "local m = KEYS[1]\n"
    "local h = redis.call('HMGET', m, 'epoch', 'claim', 'owner')\n"
    "if tonumber(h[1] or '0') ~= tonumber(ARGV[1]) or h[2] ~= ARGV[2] then\n"
    "  return redis.error_reply('FENCED epoch ' .. (h[1] or '0') .. ' of ' .. (h[3] or '?') ..\n"
    "    ' took the place of epoch ' .. ARGV[1])\n"
    "end\n"
    "local n = 0\n"
    "for i = 2, #KEYS do\n"
    "  local field = 'o:' .. ARGV[2 * i - 1]\n"
    "  local version = redis.call('HGET', m, field)\n"
    "  if version ~= ARGV[2 * i] then\n"
    "    n = n + redis.call('UNLINK', KEYS[i])\n"
    "  end\n"
    "  if version == '0' then\n"
    "    redis.call('HDEL', m, field)\n"
    "  end\n"
    "end\n"
    "return n\n";

/*
 * KEYS: m of shard 0, alerts. ARGV: epoch, owner, then pairs of field and value. An empty value
 * stands for "deleted" until the HDEL behind it, so that one HSET carries the whole change.
 */
static const char script_fields[] =
    "local h = redis.call('HMGET', KEYS[1], 'epoch', 'owner')\n"
    "local epoch, mine = tonumber(h[1] or '0') or 0, tonumber(ARGV[1])\n"
    "if epoch > mine or (epoch == mine and h[2] ~= ARGV[2]) then\n"
    "  return redis.error_reply('FENCED epoch ' .. (h[1] or '0') .. ' of ' .. (h[2] or '?') ..\n"
    "    ' took the place of epoch ' .. ARGV[1])\n"
    "end\n"
    "if epoch < mine then\n"
    "  return redis.error_reply('ROLLBACK ' .. KEYS[1] .. ' is at epoch ' .. (h[1] or '0') ..\n"
    "    ', acknowledged was ' .. ARGV[1])\n"
    "end\n"
    "for i = 3, #ARGV, 7000 do\n"
    "  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 6999, #ARGV)))\n"
    "end\n"
    "for i = 3, #ARGV, 2 do\n"
    "  if ARGV[i + 1] == '' then\n"
    "    redis.call('HDEL', KEYS[2], ARGV[i])\n"
    "  end\n"
    "end\n"
    "return redis.status_reply('OK')\n";
