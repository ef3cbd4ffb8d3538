"""Whatever is set between two runs: nothing excluded is stored, and in the end all is right."""

from __future__ import annotations

import pytest

from connector.errors import SettingsError
from connector.sync.outcome import Outcome
from connector.warehouse.privacy import erasure, pinning
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from tests.lives.settings_nights import Settings, leaked
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.support.life.kind import DAY
from tests.support.truth.compared import differences
from tests.support.truth.figures import outdated
from tests.support.truth.past import Past, kept

FAILING = ("^/contacts/search", "^/conversations/", "^/tickets/", "^/events", "^/contacts/[^/]+/",
           "^/companies/", "^/calls", "^/macros")  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "nights"),
    [(1, 8), *(pytest.param(seed, 40, marks=pytest.mark.chaos) for seed in range(2, 14))],
)
async def test_settings_that_change_at_night_lose_and_leak_nothing(
    harness: Harness, seed: int, nights: int
) -> None:
    print(f"seed {seed}")
    space = small_workspace(seed, scale=0.5)
    harness.simulate(space, index_lag=(60.0, 300.0), feed_lag=60.0, merges_move=seed % 2 == 0)
    life, settings, past = Life(harness, seed), Settings(seed), Past(harness)
    for night in range(nights):
        life.night(12)
        settings.change()
        fails = settings.random.random() < 0.25
        if fails:
            path = settings.random.choice(FAILING)
            after = settings.random.randrange(12)
            harness.control.fail({"path": path}, times=None, after=after, status=500)
            settings.log.append(f"{path} fails after {after}")
        outcome = await _run(harness, settings)
        harness.control.clear_faults()
        told = f"seed {seed}, night {night + 1}: {settings.log[-12:]}"
        assert fails or outcome.exit_code == 0, f"{told}\n{outcome.error}"
        assert leaked(harness, settings, kept(harness)) == [], told
        assert outcome.exit_code or outdated(harness) == [], told
        assert past.broken(kept(harness, on=True)) == [], f"{told}\n{life.told()}"
    settings.calm()
    _remember_everybody(harness)
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await _run(harness, settings)
    assert outcome.exit_code == 0, f"seed {seed}: {outcome.error}\n{settings.log}"
    assert past.broken() == [], f"{settings.log}\n{life.told()}"
    cut = _past_the_newest(harness)
    found = differences(harness, began=harness.began, after_full=True)
    found = [line for line in found if not any(part in line for part in cut)]
    assert found == [], f"seed {seed}: {found}\n{settings.log}\n{life.told()}"


async def _run(harness: Harness, settings: Settings) -> Outcome:
    """A nightly run; where something is lifted it is refused first, and changes nothing."""
    settings.log.append("run")
    options, version = settings.of_a_run(), settings.version
    database = Database(harness.database_url, harness.schema)
    kept_out = settings.privacy().exclusions
    reveals = database.write(
        lambda conn: pinning.difference(conn, harness.schema, kept_out).reveals
    )
    database.close()
    if reveals:
        before = harness.text()
        with pytest.raises(SettingsError, match="CONNECTOR_EXCLUDE"):
            await harness.sync(harness.client(version=version), **options)
        assert harness.text() == before
        options["lift_exclusions"] = True
        settings.log.append("(lifted)")
    return await harness.sync(harness.client(version=version), **options)


def _remember_everybody(harness: Harness) -> None:
    """What was emptied of deleted contacts is to be read again, where it can be."""
    ids = [row["contact_id"] for row in harness.query("SELECT contact_id FROM sync_forgotten")]
    database = Database(harness.database_url, harness.schema)
    names = Names(harness.schema)
    database.write(lambda conn: erasure.remember(conn, names, ids))
    database.close()


def _past_the_newest(harness: Harness) -> list[str]:
    """Parts that Intercom shows no more: what was taken out of them cannot come back."""
    rows = harness.query(
        "SELECT p.id FROM (SELECT id, row_number() OVER (PARTITION BY conversation_id"
        " ORDER BY created_at DESC, id DESC) AS place FROM conversation_parts) p WHERE place > 500"
    )
    return [f"conversation_parts ('{row['id']}',)" for row in rows]
