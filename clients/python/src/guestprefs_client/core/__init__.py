"""What the client decides, without doing any of it: no network, no disk, no clock, no chance.

Every call is a *flow*, a generator that yields what it wants done (`effects`) and is told how it went. The two shells,
`sync` and `asynchronous`, do what flows ask for; they decide nothing, so both behave alike.
"""
