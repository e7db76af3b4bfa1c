"""Three hotels for the demo, as an operator would put them: what their rooms can do, their channels and their rules."""

from typing import Any

type Body = dict[str, Any]

DALLAS, VIENTIANE, TBILISI = "dallas-plaza", "vientiane-garden", "tbilisi-terrace"

_DEVICES: Body = {
    "thermostat.mode": {"choices": ["auto", "cool", "heat", "off"]},
    "fan.mode": {"choices": ["auto", "low", "medium", "high", "off"]},
    "lights.scene": {"choices": ["welcome", "bright", "relax", "night", "off"]},
    "lights.brightness": {"min": 0, "max": 254, "step": 1, "unit": "matter.level"},
    "lights.color_temperature": {"min": 2200, "max": 5000, "step": 100, "unit": "K"},
    "tv.volume": {"min": 0, "max": 60, "step": 2, "unit": "%"},
    "tv.captions": {"choices": ["off", "on"]},
    "tv.apps": {"choices": ["netflix", "youtube", "disney_plus", "spotify"]},
    "tv.parental_lock": {"choices": ["none", "adult_blocked", "kids_only"]},
    "ui.temperature_unit": {"choices": ["celsius", "fahrenheit"]},
    "ui.hour_format": {"choices": ["12", "24", "locale"]},
}

DALLAS_PLAZA: Body = {
    "name": "Aurora Dallas Plaza",
    "brand": "aurora",
    "time_zone": "America/Chicago",
    "warm_months": [4, 5, 6, 7, 8, 9, 10],
    "capabilities": {
        **_DEVICES,
        "thermostat.setpoint": {"min": 16, "max": 30, "step": 0.5, "unit": "Cel", "deadband": 2.5},
        "pillow.menu": {"choices": ["feather_down", "foam", "memory_foam", "hypoallergenic"]},
        "bed.type": {"choices": ["king", "queen", "twin"]},
        "ui.language": {"choices": ["en", "es", "vi", "ar"]},
        "housekeeping.frequency": {"choices": ["daily", "every_2_days", "on_request"]},
        "checkin.methods": {"choices": ["mobile_key", "kiosk", "front_desk"]},
    },
    "rooms": {
        "1204": {"capabilities": {"bed.type": {"choices": ["king"]}, "room.floor_level": {"choices": ["high"]}}},
        "0310": {
            "capabilities": {
                "thermostat.setpoint": {"min": 18, "max": 26, "step": 0.5, "unit": "Cel"},
                "bed.type": {"choices": ["twin"]},
                "room.floor_level": {"choices": ["low"]},
            }
        },
    },
    "lineup": [
        {"network_id": "espn", "number": 35, "genre": "sports", "call_sign": "ESPN"},
        {"network_id": "fox_news", "number": 42, "genre": "news", "call_sign": "FNC"},
        {"network_id": "univision", "number": 23, "genre": "regional", "call_sign": "KUVN"},
        {"network_id": "hbo", "number": 50, "genre": "movies", "call_sign": "HBO"},
        {"network_id": "disney_channel", "number": 60, "genre": "kids", "call_sign": "DISN"},
    ],
    "policies": [
        {
            "id": "dallas-evening-welcome",
            "key": "lighting.arrival_scene",
            "level": "property",
            "force": "recommended",
            "basis": "comfort",
            "context": {"time_of_day": "evening"},
            "value": "welcome",
            "name": "Welcome light in the evening",
        }
    ],
}

VIENTIANE_GARDEN: Body = {
    "name": "Aurora Vientiane Garden",
    "brand": "aurora",
    "time_zone": "Asia/Vientiane",
    "warm_months": [2, 3, 4, 5, 6, 7, 8, 9, 10],
    "capabilities": {
        **_DEVICES,
        "thermostat.setpoint": {"min": 18, "max": 28, "step": 1, "unit": "Cel"},
        "thermostat.mode": {"choices": ["cool", "fan_only", "off"]},
        "pillow.menu": {"choices": ["foam", "buckwheat", "hypoallergenic"]},
        "bed.type": {"choices": ["king", "twin", "single"]},
        "ui.language": {"choices": ["lo", "en", "th", "vi"]},
        "housekeeping.frequency": {"choices": ["daily", "on_request"]},
        "checkin.methods": {"choices": ["front_desk"]},
    },
    "rooms": {"204": {"capabilities": {"bed.type": {"choices": ["king"]}}}},
    "lineup": [
        {"network_id": "lntv1", "number": 1, "genre": "regional", "call_sign": "LNTV1"},
        {"network_id": "bein_sports", "number": 12, "genre": "sports", "call_sign": "BEIN"},
        {"network_id": "bbc_news", "number": 20, "genre": "news", "call_sign": "BBC"},
        {"network_id": "thai_pbs", "number": 31, "genre": "entertainment", "call_sign": "TPBS"},
    ],
    "policies": [
        {
            "id": "vientiane-cooling-floor",
            "key": "climate.temperature.occupied",
            "level": "property",
            "force": "mandatory",
            "basis": "energy",
            "min": 20,
            "unit": "Cel",
            "name": "Cooling not below 20 °C",
        }
    ],
}

TBILISI_TERRACE: Body = {
    "name": "Meridian Tbilisi Terrace",
    "brand": "meridian",
    "time_zone": "Asia/Tbilisi",
    "warm_months": [5, 6, 7, 8, 9],
    "capabilities": {
        **_DEVICES,
        "thermostat.setpoint": {"min": 60, "max": 80, "step": 1, "unit": "[degF]"},
        "pillow.menu": {"choices": ["feather_down", "memory_foam", "body"]},
        "bed.type": {"choices": ["king", "double", "twin"]},
        "ui.language": {"choices": ["ka", "en", "ar"]},
        "housekeeping.frequency": {"choices": ["daily", "every_2_days", "every_3_days", "on_request"]},
        "checkin.methods": {"choices": ["kiosk", "front_desk"]},
    },
    "rooms": {"501": {"capabilities": {"bed.type": {"choices": ["double"]}}}},
    "lineup": [
        {"network_id": "gpb1", "number": 1, "genre": "regional", "call_sign": "1TV"},
        {"network_id": "euronews", "number": 7, "genre": "news", "call_sign": "EURO"},
        {"network_id": "setanta_sports", "number": 15, "genre": "sports", "call_sign": "SETANTA"},
        {"network_id": "mtv", "number": 18, "genre": "music", "call_sign": "MTV"},
    ],
    "policies": [],
}

HOTELS: dict[str, Body] = {DALLAS: DALLAS_PLAZA, VIENTIANE: VIENTIANE_GARDEN, TBILISI: TBILISI_TERRACE}
ROOMS: dict[str, tuple[str, ...]] = {
    DALLAS: ("1204", "0310", "0815", "1102", "0607"),
    VIENTIANE: ("204", "118", "305", "211"),
    TBILISI: ("501", "402", "313"),
}
