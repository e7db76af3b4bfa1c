"""What `locust -f loadtests/locustfile.py` finds: all four kinds of users."""

from loadtests.users.device import Device
from loadtests.users.guest_app import GuestApp
from loadtests.users.kiosk import Kiosk
from loadtests.users.staff import Staff

__all__ = ["Device", "GuestApp", "Kiosk", "Staff"]
