import sys, time, pytest, asyncio
from tests.life import Life, small_workspace, DAY
from tests.truth import differences
from tests.harness import Harness
import os
N=int(os.environ.get("N","10")); SEED=int(os.environ.get("SEED","1"))
async def test_year(harness):
    harness.simulate(small_workspace(SEED), index_lag=(60.0,300.0), feed_lag=60.0)
    life=Life(harness, SEED)
    o=await harness.sync(); assert o.exit_code==0, o.error
    d=differences(harness); assert d==[], d
    ts=tl=tc=0
    for n in range(N):
        t=time.perf_counter(); life.night(); life.disturb() ; tl+=time.perf_counter()-t
        budget = 2000 if (n//30)%2==0 else 0
        t=time.perf_counter(); o=await harness.sync(full_pass_requests=budget); ts+=time.perf_counter()-t
        harness.control.clear_hooks()
        assert o.exit_code==0, (n, o.error, life.told(last=30))
        t=time.perf_counter(); d=differences(harness, began=harness.began, after_full=False); tc+=time.perf_counter()-t
        if d:
            print("\n".join(d)); print(life.told(last=60)); pytest.fail(f"night {n}")
    sizes={k:len(v) for k,v in (("contacts",harness.simulator.workspace.contacts),("companies",harness.simulator.workspace.companies),("conv",harness.simulator.workspace.conversations),("tick",harness.simulator.workspace.tickets))}
    print("life",tl/N,"sync",ts/N,"compare",tc/N, sizes, len(harness.control.truth_deleted()))
