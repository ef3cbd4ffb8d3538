import os
import re
import time

import pytest

from tests.life import Life, small_workspace
from tests.truth import differences

N = int(os.environ.get("N", "10"))
SEED = int(os.environ.get("SEED", "1"))
START = int(os.environ.get("START", "0"))


async def test_year(harness):
    harness.simulate(small_workspace(SEED), index_lag=(60.0, 300.0), feed_lag=60.0)
    life = Life(harness, SEED)
    o = await harness.sync()
    assert o.exit_code == 0, o.error
    ts = tl = tc = 0
    for n in range(N):
        t = time.perf_counter()
        life.night()
        life.disturb()
        tl += time.perf_counter() - t
        budget = 2000 if (n // 30) % 2 == 0 else 0
        t = time.perf_counter()
        o = await harness.sync(full_pass_requests=budget)
        ts += time.perf_counter() - t
        harness.control.clear_hooks()
        if o.exit_code:
            print(n, o.error, life.told(last=40))
            pytest.fail("exit")
        if n < START:
            continue
        t = time.perf_counter()
        d = differences(harness, began=harness.began, after_full=False)
        tc += time.perf_counter() - t
        if d:
            print("\n".join(d))
            ids = {i for one in d for i in re.findall(r"[0-9a-f]{24}|\d{5,15}", one)}
            print(life.told(*ids, last=60))
            print("night", n, "began", harness.began, "budget", budget)
            for r in harness.query(
                "select resource,cursor,fresh_as_of,last_full_pass_at from sync_state where resource in ('leads','users','conversations','tickets','companies','contact_notes','events','contact_segments')"
            ):
                print(dict(r))
            for i in ids:
                print(
                    harness.query("select * from sync_digests where id=%s", i),
                    harness.query("select * from sync_pending where id=%s", i),
                    harness.query("select * from sync_hidden where id=%s", i),
                    harness.query("select * from sync_reads where id=%s", i),
                )
                for k in ("contacts", "conversations", "tickets", "companies"):
                    print(
                        k,
                        harness.query(
                            f"select id, updated_at, _read_at, _run_id, _deleted_at from {k} where id=%s",
                            i,
                        ),
                    )
                    print(
                        sorted(harness.control.unsettled(k, harness.began)).count(i),
                        sorted(harness.control.silent(k, 0)).count(i),
                    )
            pytest.fail(f"night {n}")
    print("life", tl / N, "sync", ts / N, "compare", tc / N, len(harness.control.truth_deleted()))
