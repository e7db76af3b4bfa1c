"""Tells the shortest story of each mutant and of each limit: python -m tests.cache.model"""

import sys

from tests.cache.model.exploration import explore
from tests.cache.model.mutants import MORE_MUTANTS, MUTANTS
from tests.cache.model.settings import LIMITS

for mutant in MUTANTS + MORE_MUTANTS:
    found = explore(mutant.rules, mutant.setting)
    sys.stdout.write("\n".join([f"{mutant.name} ({found})", *found.story, "\n"]))
for limit in LIMITS:
    found = explore(limit.rules, limit.setting)
    sys.stdout.write("\n".join([f"limit ({found})", *found.story, "\n"]))
