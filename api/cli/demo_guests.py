"""Demo guests made up from a fixed seed: the same number gives the same people with the same tastes, in any run.

Names are in the scripts of the six languages of the catalogue, since a front line that only ever saw Latin letters
would not notice what breaks with the others. Dates move with the day, or the demo would be empty a week after it was
made.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from api.cli.demo_hotels import DALLAS, HOTELS, ROOMS

SYSTEM = "demo"  # the other system that these guests are known in
SEED = "guestprefs demo 1"

MADE_AT_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z

# Given and family names by language, common ones.
NAMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "en": (
        ("Emma", "James", "Olivia", "William", "Grace", "Henry", "Ruby", "Samuel"),
        ("Carter", "Hughes", "Bennett", "Murphy", "Walker", "Fraser", "Price", "Doyle"),
    ),
    "lo": (
        ("ສົມພອນ", "ບຸນມີ", "ຄຳຫຼ້າ", "ນາງແກ້ວ", "ສຸກສະຫວັນ", "ວິໄລ", "ພອນສະຫວັນ", "ມະນີວັນ"),
        ("ພົມມະຈັນ", "ວົງສາ", "ສີສຸວັນ", "ແກ້ວມະນີ", "ໄຊຍະວົງ", "ສຸວັນນະວົງ"),
    ),
    "ka": (
        ("ნინო", "გიორგი", "თამარ", "ლევან", "მარიამ", "დავით", "ეკატერინე", "ირაკლი"),
        ("ბერიძე", "კაპანაძე", "გელაშვილი", "მაისურაძე", "ლომიძე", "ხარაიშვილი"),
    ),
    "th": (
        ("สมชาย", "สุดา", "ประเสริฐ", "มาลี", "วิชัย", "กานดา", "อนันต์", "พิมพ์ใจ"),
        ("แสงทอง", "ศรีสุข", "วงศ์ไทย", "บุญมี", "ทองดี", "รัตนกุล"),
    ),
    "vi": (
        ("Minh Anh", "Quốc Bảo", "Thu Hà", "Đức Huy", "Ngọc Lan", "Văn Long", "Thanh Mai", "Tuấn Kiệt"),
        ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Đặng"),
    ),
    "ar": (
        ("ليلى", "أحمد", "مريم", "خالد", "نور", "يوسف", "سلمى", "عمر"),
        ("الحسن", "المنصوري", "حداد", "الخطيب", "العلي", "نجار"),
    ),
}
LANGUAGES = tuple(NAMES)

NETWORKS = (
    ("espn", "sports"),
    ("cnn", "news"),
    ("bbc_news", "news"),
    ("hbo", "movies"),
    ("disney_channel", "kids"),
    ("mtv", "music"),
    ("national_geographic", "documentary"),
)


@dataclass(frozen=True, slots=True)
class DemoStay:
    id: str
    property: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoGuest:
    """One guest as the services are told about them: profile first, then what they consent to, then what they like."""

    id: str
    external_id: str
    display_name: str
    consents: tuple[str, ...]
    preferences: dict[str, Any]
    stay: DemoStay | None


def demo_guests(count: int, today: datetime) -> Iterator[DemoGuest]:
    for number in range(count):
        yield demo_guest(number, today)


def demo_guest(number: int, today: datetime) -> DemoGuest:
    """Guest `number`. The first one is in house at the first hotel, so that every surface there has someone to
    serve."""
    chance = random.Random(hashlib.sha256(f"{SEED}/{number}".encode()).digest())
    language = LANGUAGES[number % len(LANGUAGES)]
    given, family = (chance.choice(names) for names in NAMES[language])
    name = f"{family} {given}" if language == "vi" else f"{given} {family}"
    preferences = _first_guest() if number == 0 else _tastes(chance, language)
    consents: tuple[str, ...] = ()
    if number % 5 == 1:
        consents = ("food_safety",)
        allergen = chance.choice(["peanuts", "milk", "sesame", "crustaceans"])
        preferences["food.allergens"] = [{"code": allergen, "cross_contact": True}]
    if number % 9 == 4:
        consents += ("service_delivery",)
        preferences["access.bathroom"] = {"value": ["roll_in_shower", "toilet_grab_bars"], "strength": "required"}
    return DemoGuest(
        id=_guest_id(number),
        external_id=f"demo-{number + 1:06d}",
        display_name=name,
        consents=consents,
        preferences=preferences,
        stay=_stay(number, chance, today),
    )


def _guest_id(number: int) -> str:
    """A UUIDv7 like any other guest's, of one fixed moment, the rest of it from the seed."""
    random_part = hashlib.sha256(f"{SEED}/id/{number}".encode()).digest()[:10]
    as_number = int.from_bytes(MADE_AT_MS.to_bytes(6) + random_part)
    as_number = as_number & ~(0xF << 76) | (0x7 << 76)  # version
    as_number = as_number & ~(0x3 << 62) | (0x2 << 62)  # variant
    return f"gst_{as_number:032x}"


def _first_guest() -> dict[str, Any]:
    return {
        "climate.temperature.occupied": {"value": 70, "unit": "[degF]"},
        "lighting.arrival_scene": "relax",
        "lighting.brightness": 40,
        "locale.language": ["en"],
        "locale.temperature_unit": "fahrenheit",
        "tv.volume_default": 20,
    }


def _tastes(chance: random.Random, language: str) -> dict[str, Any]:
    fahrenheit = language == "en"
    day = chance.choice([19, 20, 20.5, 21, 21.5, 22, 23, 24])
    wanted: dict[str, Any] = {
        "locale.language": [language] if language == "en" else [language, "en"],
        "climate.temperature.occupied": (
            {"value": round(day * 9 / 5 + 32), "unit": "[degF]"} if fahrenheit else {"value": day, "unit": "Cel"}
        ),
    }
    optional: dict[str, Any] = {
        "climate.temperature.sleep": {"value": day - chance.choice([1, 1.5, 2]), "unit": "Cel"},
        "climate.fan_mode": chance.choice(["auto", "low", "medium"]),
        "lighting.brightness": chance.randrange(20, 90, 5),
        "lighting.arrival_scene": chance.choice(["welcome", "bright", "relax"]),
        "tv.favorite_channels": [
            {"network_id": network, "genre": genre} for network, genre in chance.sample(NETWORKS, chance.randint(1, 3))
        ],
        "tv.volume_default": chance.randrange(10, 40, 2),
        "bed.pillow_type": _pillows(chance),
        "bed.type": [chance.choice(["king", "twin", "queen"])],
        "room.floor_level": chance.choice(["high", "low"]),
        "room.quiet": {"value": True, "strength": chance.choice(["preferred", "required"])},
        "housekeeping.frequency": chance.choice(["daily", "every_2_days", "on_request"]),
        "beverage.preferred": [chance.choice(["coffee", "hot_tea", "sparkling_water", "juice"])],
        "comms.channel": chance.sample(["app", "sms", "email", "whatsapp"], 2),
        "privacy.name_display": chance.choice(["full", "first_only"]),
    }
    for key in chance.sample(sorted(optional), chance.randint(4, 9)):
        wanted[key] = optional[key]
    return wanted


def _pillows(chance: random.Random) -> dict[str, Any]:
    liked = chance.choice(["foam", "memory_foam", "hypoallergenic", "buckwheat"])
    return {
        "value": [{"type": liked, "count": chance.randint(1, 3)}],
        "not": [{"value": "feather_down", "strength": chance.choice(["avoid", "unacceptable"])}],
    }


def _stay(number: int, chance: random.Random, today: datetime) -> DemoStay | None:
    """A third are in house, a third arrive within the week, a sixth later; the rest have nothing booked."""
    hotel = DALLAS if number == 0 else list(HOTELS)[number % len(HOTELS)]
    plan = (number + number // 6) % 6  # shifted each round, or a language would always meet the same fate
    if plan == 5:
        return None
    zone = ZoneInfo(HOTELS[hotel]["time_zone"])
    if plan in (0, 3):
        start, status = -1, "in_house"
    elif plan in (1, 4):
        start, status = chance.randint(1, 6), "booked"
    else:
        start, status = chance.randint(20, 60), "booked"
    first_day = today.astimezone(zone).replace(minute=0, second=0, microsecond=0) + timedelta(days=start)
    last_day = first_day + timedelta(days=chance.randint(3, 7))
    rooms = ROOMS[hotel]
    body: dict[str, Any] = {
        "property": hotel,
        "arrival": _utc(first_day.replace(hour=15)),
        "departure": _utc(last_day.replace(hour=11)),
        "trip": chance.choice(["business", "leisure"]),
        "party": {"adults": chance.randint(1, 2), "children": chance.choice([0, 0, 0, 2])},
        "status": status,
    }
    if status == "in_house":
        # The first guests of a hotel get the rooms that are described; a demo of thousands shares them.
        body["room"] = rooms[(number // 3) % len(rooms)]
    return DemoStay(id=f"demo-stay-{number + 1:06d}", property=hotel, body=body)


def _utc(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")
