"""Prints a run's distributions, the result of each check, and the history of tasks with violations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from local.telemetry import Logs
from tests.chaos.checks import CheckResult, Evidence
from tests.chaos.plan import Plan

CHOICES: dict[str, Callable[[Plan], str]] = {
    "channel": lambda plan: plan.channel,
    "submission": lambda plan: plan.submission,
    "generation": lambda plan: plan.generation,
    "callback": lambda plan: plan.callback,
    "images": lambda plan: plan.images,
    "receiver": lambda plan: plan.receiver,
}
MAX_VIOLATIONS = 60
MAX_HISTORIES = 8


def print_distributions(evidence: Evidence, logs: Logs) -> None:
    for title, choice in CHOICES.items():
        print(f"\n{title}: {_listed(Counter(choice(plan) for plan in evidence.plans.values()).items())}")
    print("\ninjected faults:")
    for kind, count in sorted(evidence.journal.faults.items()):
        print(f"{count:6}  {kind}")
    print(f"\nerrors in functions: {_listed(_errors(logs).most_common())}")
    print(f"outcomes: {_listed(Counter(item['status'] for item in evidence.items.values()).most_common())}")


def print_results(evidence: Evidence, results: list[CheckResult], seconds: float) -> None:
    listing = "can" if evidence.listing else "cannot"
    print(f"\n{len(evidence.items)} tasks, the provider {listing} list its tasks, {seconds:.0f} s")
    for result in results:
        state = "FAILED" if result.violations else "ok"
        print(f"{state:7} {result.name:72} {result.checked:6} checked, {len(result.violations)} violations")
        for name, count in sorted(result.exceptions.items()):
            print(f"{'':8}{count:5}  {name}")
    violations = [(number, text, result.name[0]) for result in results for number, text in result.violations]
    for number, text, check in violations[:MAX_VIOLATIONS]:
        print(f"check {check}, task {number}: {text}")
    if len(violations) > MAX_VIOLATIONS:
        print(f"and {len(violations) - MAX_VIOLATIONS} more")
    numbers = dict.fromkeys(number for number, _, _ in violations if number is not None)
    for number in list(numbers)[:MAX_HISTORIES]:
        plan = evidence.plans[number]
        choices = "; ".join(f"{name}: {choice(plan)}" for name, choice in CHOICES.items())
        print(f"\nhistory of task {number} ({choices})")
        print("\n".join(evidence.journal.history(number)))


def _errors(logs: Logs) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in logs.lines():
        record = line.record or {}
        if name := record.get("exception_name") or record.get("errorType"):
            found[f"{line.function} {name}"] += 1
    return found


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts) or "none"
