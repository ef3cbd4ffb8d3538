"""The JavaScript that draws the charts: Vega and Vega-Lite, out of the extra ``report``."""

from __future__ import annotations

from importlib import resources

from connector.errors import SettingsError

MISSING = (
    "'report' draws with vl-convert-python, which is not installed: pip install '{name}[report]'"
)


def require() -> None:
    """Raises SettingsError where the extra is not installed."""
    try:
        import vl_convert  # noqa: F401
    except ImportError as failure:
        raise SettingsError(MISSING.format(name="intercom-warehouse")) from failure


def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, made without a network."""
    import vl_convert

    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub asks for more
    return f"(()=>{{{bundle}}})();"


def asset(name: str) -> str:
    """A file of the page that lies beside this module."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
