"""What `doctor` asks each OpenID provider: who it is, which keys it has, and what time it is.

It asks as the service does: the same addresses, limits and reading, so that what it finds is what the service meets.
"""

import asyncio
import json
from collections.abc import Iterator

from joserfc.jwk import Key

from api.auth import LEEWAY_SECONDS
from api.cli.findings import Finding
from api.cli.first_start import shown
from api.issuers import (
    Document,
    FetchFailed,
    Look,
    configuration_of,
    looker,
    providers_of,
    read_configuration,
    trustworthy,
)
from api.keys import ALGORITHMS, RSA_BITS_MIN, algorithm_of, published_key, published_keys
from prefs.bootstrap import SystemClock
from prefs.ports import Clock
from prefs.settings import Settings

TOLD_MAX = 300
NAMES, ADDRESSES = "GUESTPREFS_OIDC_ISSUERS", "GUESTPREFS_OIDC_JWKS_URLS"


def examine(settings: Settings) -> list[Finding]:
    """A finding for each fault of each provider; one for a provider without any."""
    clock, names, urls = SystemClock(), settings.oidc_issuers, settings.oidc_jwks_urls
    try:
        providers = providers_of(names, urls, settings.oidc_claims, settings.oidc_token_seconds, clock)
    except ValueError as error:
        return [Finding(False, f"Providers: {error}. Mend {NAMES}, {ADDRESSES} or GUESTPREFS_OIDC_CLAIMS.")]
    if not providers:
        return [Finding(True, f"Providers: none; the keys of {settings.keys} speak for everybody.")]
    return asyncio.run(_ask_all(names.split(), urls.split() or [""] * len(providers), looker(), clock))


async def _ask_all(names: list[str], urls: list[str], look: Look, clock: Clock) -> list[Finding]:
    found = await asyncio.gather(*(_ask(name, url, look, clock) for name, url in zip(names, urls, strict=True)))
    return [finding for findings in found for finding in findings]


async def _ask(name: str, given_url: str, look: Look, clock: Clock) -> list[Finding]:
    """One provider; `given_url` is where its keys are, if that was set."""
    faults: list[str] = []
    url = given_url
    configuration = configuration_of(name)
    try:
        calls_itself, told_url = read_configuration((await look(configuration)).body)
    except (FetchFailed, ValueError) as failure:
        if not given_url:  # else it need not have one
            faults.append(
                f"its configuration at {shown(configuration)} cannot be read: {failure}. Its tokens are refused. Look "
                f"whether {NAMES} is right and this machine reaches it, or name its keys in {ADDRESSES}"
            )
    else:
        url = given_url or told_url
        if calls_itself != name:
            faults.append(
                f"it calls itself {_told(calls_itself)}, so that its tokens are refused. Write it exactly so in {NAMES}"
            )
        if not trustworthy(url):
            faults.append(f"it has its keys at {_told(url)}, which anybody on the way can change. It must be https")
            url = ""
    document, described = None, ""
    if url:
        try:
            document = await look(url)
            keys = published_keys(document.body)
        except (FetchFailed, ValueError) as failure:
            faults.append(
                f"its keys at {shown(url)} cannot be read: {failure}. What was read before is good for a day, then its "
                "tokens are refused"
            )
        else:
            faults += _unusable(document, keys)
            described = _described(keys)
    seconds = 0 if document is None or document.at is None else round(document.at - clock.now().timestamp())
    if abs(seconds) > LEEWAY_SECONDS:
        faults.append(
            f"its clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this machine's; beyond "
            f"{LEEWAY_SECONDS} s good tokens are refused. Set this machine's clock (NTP), or tell the provider"
        )
    if not faults:
        return [Finding(True, f"Provider {shown(name)}: {described} at {shown(url)}; clocks agree within a moment.")]
    return [Finding(False, f"Provider {shown(name)}: {fault}.") for fault in faults]


def _told(text: str) -> str:
    """What a provider said, made fit for a terminal."""
    return text if text.isprintable() and len(text) <= TOLD_MAX else repr(text[:TOLD_MAX])


def _unusable(document: Document, keys: list[Key]) -> Iterator[str]:
    members = json.loads(document.body)["keys"]
    if not keys:
        yield (
            f"of its {len(members)} keys none verifies a token here. It needs a public one for signing, of "
            f"{', '.join(ALGORITHMS)} (RSA of {RSA_BITS_MIN} bits or more)"
        )
    elif len(keys) > 1 and not any("kid" in member for member in members if published_key(member) is not None):
        yield f"its {len(keys)} keys have no key id (kid), so that no token can say which is meant"


def _described(keys: list[Key]) -> str:
    algorithms = ", ".join(sorted({algorithm_of(key) for key in keys}))
    return f"{len(keys)} usable key{'s' if len(keys) != 1 else ''} ({algorithms})"
