"""The public test kit: definitions by hand, a scripted world, and the suite that every engine passes.

from treadle.testing.conformance import CASES
from treadle.testing.world import opened

async with opened(MyHarness()) as world:
    await CASES[0].run(world)
"""
