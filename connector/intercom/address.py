"""Where Intercom is and which API version is spoken; knows addresses, sends nothing."""

import ipaddress
from urllib.parse import parse_qsl, urlsplit

from connector.errors import SettingsError
from connector.settings import REGIONS

VERSIONS = ("2.16", "Preview")

# Next links name the US host, whatever the region, and in places the host of Intercom's tests.
_LINK_HOSTS = {urlsplit(url).hostname for url in REGIONS.values()} | {"api.intercom.test"}


def check_version(version: str) -> str:
    """The version if it is supported; SettingsError with the reason if not."""
    if version not in VERSIONS:
        raise SettingsError(
            f"Intercom API version {version!r} is not supported: fields and search rules differ "
            f"between versions, and this connector knows {' and '.join(VERSIONS)}"
        )
    return version


def check_base_url(url: str, allow_http: bool = False) -> str:
    """The URL without trailing slash; SettingsError if a token must not be sent there."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:  # whose words may quote a password
        raise SettingsError(
            "the base URL cannot be read: it must look like https://api.intercom.io"
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError("the base URL must look like https://api.intercom.io")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("the base URL must hold no user, password, query or fragment")
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        raise SettingsError(
            f"the token would travel unencrypted to {host}: use https, "
            "or set CONNECTOR_ALLOW_HTTP=1 for a simulator"
        )
    return url.strip().rstrip("/")


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine by name or number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL, the port spelt out."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def link_query(link: str, base_url: str) -> dict[str, str]:
    """The query of a next link; ValueError if it points anywhere but to Intercom, or has none.

    Only the query is taken: the request goes to the configured base URL in any case, so that no
    link can lead the token elsewhere.
    """
    parts = urlsplit(link)
    ours = urlsplit(base_url).hostname
    known = parts.hostname in _LINK_HOSTS or parts.hostname == ours
    if parts.netloc and not known and not (is_loopback(parts.hostname) and is_loopback(ours)):
        raise ValueError(f"the next link points to {parts.hostname}, which is not Intercom")
    query = dict(parse_qsl(parts.query))
    if not query:
        raise ValueError("the next link has no query")
    return query
