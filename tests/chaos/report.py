"""What a run prints: proportions, the table of the five properties, and the history of each task that broke one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from local.telemetry import Logs
from tests.chaos.checks import Evidence, Verdict
from tests.chaos.plan import Plan

CHOICES: dict[str, Callable[[Plan], str]] = {
    "asked by": lambda plan: plan.way,
    "submission": lambda plan: plan.submission,
    "generation": lambda plan: plan.generation,
    "callback": lambda plan: plan.callback,
    "pictures": lambda plan: plan.pictures,
    "receiver": lambda plan: plan.receiver,
}
NAMED = 60
HISTORIES = 8  # are printed; of the other broken tasks only the number


def print_proportions(found: Evidence, logs: Logs) -> None:
    for title, choice in CHOICES.items():
        print(f"\n{title}: {_listed(Counter(choice(plan) for plan in found.plans.values()).items())}")
    print("\ninjected:")
    for kind, count in sorted(found.journal.faults.items()):
        print(f"{count:6}  {kind}")
    print(f"\nerrors that functions met: {_listed(_errors(logs).most_common())}")
    print(f"ended as: {_listed(Counter(item['status'] for item in found.items.values()).most_common())}")


def print_verdicts(found: Evidence, verdicts: list[Verdict], seconds: float) -> None:
    print(f"\n{len(found.items)} tasks, the provider's list {'on' if found.listing else 'off'}, {seconds:.0f} s")
    for verdict in verdicts:
        state = "BROKEN" if verdict.broken else "kept"
        print(f"{state:7} {verdict.name:72} {verdict.looked_at:6} seen, {len(verdict.broken)} broken")
        for name, count in sorted(verdict.exceptions.items()):
            print(f"{'':8}{count:5}  {name}")
    broken = [(number, what, verdict.name[0]) for verdict in verdicts for number, what in verdict.broken]
    for number, what, which in broken[:NAMED]:
        print(f"property {which}, task {number}: {what}")
    if len(broken) > NAMED:
        print(f"and {len(broken) - NAMED} more")
    for number in list(dict.fromkeys(number for number, _, _ in broken if number is not None))[:HISTORIES]:
        plan = found.plans[number]
        print(f"\nhistory of task {number} ({'; '.join(f'{name}: {of(plan)}' for name, of in CHOICES.items())})")
        print("\n".join(found.journal.history(number)))


def _errors(logs: Logs) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in logs.lines():
        record = line.record or {}
        if name := record.get("exception_name") or record.get("errorType"):
            found[f"{line.function} {name}"] += 1
    return found


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts) or "none"
