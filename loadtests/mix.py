"""Who calls how often, as on an afternoon: rooms poll, staff browse, kiosks see the few who arrive."""

WEIGHTS = {
    "guest_app": 4,  # reads often, writes now and then
    "kiosk": 1,
    "staff": 3,  # the desk and housekeeping: profiles at a glance, lists by the batch
    "device": 12,  # thermostats, televisions and lamps ask far more often than people do
}

# Seconds between two calls of one user.
WAITS = {
    "guest_app": (0.2, 1.0),
    "kiosk": (0.5, 1.5),
    "staff": (0.2, 0.8),
    "device": (0.1, 0.5),
}
