"""What every SDK must do on a bad network, as data: `cases.json`, a server that misbehaves by script, and a runner.

An SDK takes part through an adapter: a process that reads one JSON object a line from standard input and answers each
with one line (`adapter.py` of the Python SDK is the pattern). The runner owns the server, the SDK's clock and its dice.

    {"do": "open", "url": ..., "store": FILE, "options": {...}}    a client; all clients of a case share the store
    {"do": "get" | "edit" | "update" | "prefetch" | "flush" | "waiting" | "given_up" | "wipe", ...}
    {"do": "watch", "guest": ..., "keys": [...]}  {"do": "told"}    what it tells next; null when it has ended
    {"do": "offline", "is": true}  {"do": "status"}  {"do": "pass", "seconds": 600}  {"do": "jump", "seconds": -3600}
    {"do": "pauses"}  {"do": "close"}

`pass` moves the wall clock and the steady clock, `jump` the wall clock alone. Waiting moves both and is noted, nothing
really waits; only time-outs are real. Dice always fall on the middle. Answers: `{"ok": ...}`, or `{"error": {"kind",
"status", "code", "field", "request_id", "retry_after"}}`.
"""
