"""How many callers of each kind a hotel group has, and how often each one calls.

The weights are those of a 200-room house in the evening: every occupied room has two or three devices that look every
few seconds, a tenth of the guests has the app open, a handful of kiosks and consoles serve everyone else.
"""

DEVICE_WEIGHT = 60
GUEST_APP_WEIGHT = 25
STAFF_WEIGHT = 10
KIOSK_WEIGHT = 5

# Seconds between two calls of one caller, shortest and longest.
DEVICE_WAIT = (0.5, 2.0)
GUEST_APP_WAIT = (0.5, 3.0)
STAFF_WAIT = (0.5, 2.0)
KIOSK_WAIT = (0.5, 2.0)
