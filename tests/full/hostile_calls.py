"""A hundred thousand mutated calls at a provider's endpoints: none gets through, nothing breaks, none takes long.

python -m tests.full.hostile_calls --provider qstash        exit code 1 if anything is wrong
python -m tests.full.hostile_calls --count 1000000 --seed 7 another size, another sequence
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from time import perf_counter

from tests.providers.hostile import PROVIDERS, attack, make_target

COUNT = 100_000
LONGEST = 20.0
"""Milliseconds of the slowest hundredth."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Call a provider's endpoints as nobody should be able to.")
    parser.add_argument("--provider", choices=PROVIDERS, action="append", help="may be repeated; all of them without")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    wrong = False
    for provider in options.provider or PROVIDERS:
        began = perf_counter()
        finding = asyncio.run(attack(make_target(provider), options.count, options.seed))
        print(
            f"{provider}: {finding.tried:,} calls of {len(finding.kinds)} kinds, {finding.accepted} accepted, "
            f"{finding.crashed} crashes, answers {dict(sorted(finding.statuses.items()))}, p99 {finding.p99:.2f} ms, "
            f"{perf_counter() - began:.0f} s"
        )
        for complaint in finding.complaints[:20]:
            print(f"  {complaint}")
        wrong |= not finding.clean or finding.p99 > LONGEST
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
