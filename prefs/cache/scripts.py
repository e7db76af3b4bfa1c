"""The four steps of FENCE + LEASE that must be one step, as Lua. KEYS are always entry, lease, fences.

A fence forbids entries while someone writes: it removes entry and lease, and no fill succeeds until it is lifted or
its deadline (on the server's own clock) passes. A lease lets one reader fill: it is gone once anyone fenced, so what
was read before a write can never be put in place after it. Presence of an entry therefore proves that no fence is up,
and a hit needs no script: a plain MGET.
"""

# ARGV: token, milliseconds. {1, entry} there is one now; {2} fenced: read, do not fill; {3} granted; {4} another fills.
LEASE = """
local entry = redis.call('GET', KEYS[1])
if entry then return {1, entry} end
local fences = redis.call('HGETALL', KEYS[3])
if #fences > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local up = 0
  for i = 1, #fences, 2 do
    if tonumber(fences[i + 1]) <= now then redis.call('HDEL', KEYS[3], fences[i]) else up = up + 1 end
  end
  if up > 0 then return {2} end
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {3} end
return {4}
"""

# ARGV: token, entry, milliseconds.
FILL = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""

# ARGV: writer, milliseconds, channel, message. Published too: a local tier then keeps nothing while the fence is up,
# so that it stays right even if the message after the write is lost.
FENCE = """
redis.call('DEL', KEYS[1], KEYS[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[3], ARGV[1], string.format('%.0f', now + ARGV[2]))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""

# ARGV: writer, channel, message. A fence that is not there any more (expired, lost, never arrived) protected nothing:
# then this invalidates.
UNFENCE = """
local had = redis.call('HDEL', KEYS[3], ARGV[1])
if had == 0 then redis.call('DEL', KEYS[1], KEYS[2]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return had
"""

ALL = {"lease": LEASE, "fill": FILL, "fence": FENCE, "unfence": UNFENCE}
