"""What locust loads: the four kinds of caller, nothing else."""

from loadtests.users.device import Device
from loadtests.users.guest_app import GuestApp
from loadtests.users.kiosk import Kiosk
from loadtests.users.staff import StaffConsole

__all__ = ["Device", "GuestApp", "Kiosk", "StaffConsole"]
