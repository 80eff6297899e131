"""The TypeScript project that calls this application: its files, made of the plan alone, the same for the same plan.

One task for each of the application's, under the same id; one file and one queue for each of its queues. A wake-up lets any run of
its queue be claimed, so what bounds a call (its longest duration) is the queue's, not the task's.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from cgk_jobs.providers.provider import Plan, PlannedTask, PlannedTick

__all__ = ["CLOCK_TASK", "MACHINES", "ProjectOptions", "project_files", "vendor_queue"]

CLOCK_TASK = "cgk-clock"
TICK_PREFIX = "cgk-tick-"
MACHINES = ("micro", "small-1x", "small-2x", "medium-1x", "medium-2x", "large-1x", "large-2x")
SLOW_CLOCK = "*/5 * * * *"
"""The clock where each schedule has a ring of its own: the relay and the overdue sweep need one, too."""
SHORTEST_DURATION = 120
"""Seconds. A call is answered within a minute as a rule; the vendor counts only the time it holds a machine."""
LONGEST_QUEUE_NAME = 128

_HEAD = "// Written by `cgk jobs trigger-dev generate`: a change made here is reported, not kept.\n"


@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """``project``: the vendor's ref, read from the environment there if it is not known. ``concurrency``: runs of a queue at a
    time for each tenant; the application's own limits hold without it. ``machine``: a call needs the smallest.
    ``schedules``: a schedule at the vendor for each of the application's, whose number its plan limits.
    """

    project: str | None = None
    concurrency: int = 25
    machine: str = "micro"
    schedules: bool = False


def project_files(plan: Plan, options: ProjectOptions) -> dict[str, str]:
    """The text of each file, by its path with slashes."""
    made = {
        "package.json": _template("package.json"),
        "tsconfig.json": _template("tsconfig.json"),
        "trigger.config.ts": _config(options),
        "README.md": _readme(plan),
        "src/cgk.ts": _template("cgk.ts"),
        "src/trigger/cgk-clock.ts": _clock(options),
    }
    queues: dict[str, list[PlannedTask]] = {}
    for task in sorted(plan.tasks, key=lambda task: task.id):
        queues.setdefault(task.queue, []).append(task)
    for queue in sorted(queues):
        made[f"src/trigger/{_file_of(queue)}.ts"] = _queue(queue, queues[queue], options)
    if options.schedules and plan.ticks:
        made["src/trigger/cgk-schedules.ts"] = _schedules(sorted(plan.ticks), options)
    return dict(sorted(made.items()))


def vendor_queue(queue: str) -> str:
    """The name of a queue at the vendor, which drops dots from names and cuts them: two never become one."""
    name = "cgk/" + queue.replace(".", "/")
    if len(name) > LONGEST_QUEUE_NAME:
        name = f"{name[:100]}-{hashlib.sha256(queue.encode()).hexdigest()[:16]}"
    return name


def _template(name: str) -> str:
    return (files("cgk_jobs.providers.trigger_dev") / "templates" / name).read_text(encoding="utf-8")


def _config(options: ProjectOptions) -> str:
    project = "process.env.TRIGGER_PROJECT_REF!" if options.project is None else _text(options.project)
    return f"""{_HEAD}import {{ defineConfig }} from "@trigger.dev/sdk";

export default defineConfig({{
  project: {project},
  dirs: ["./src/trigger"],
  maxDuration: 3_600,
  retries: {{ enabledInDev: true }},
}});
"""


def _queue(queue: str, tasks: Sequence[PlannedTask], options: ProjectOptions) -> str:
    duration = max(SHORTEST_DURATION, math.ceil(max(task.timeout for task in tasks)) + 60)
    blocks = [_task(task, name, options.machine) for task, name in zip(tasks, _names(tasks), strict=True)]
    return f"""{_HEAD}import {{ queue, task }} from "@trigger.dev/sdk";
import {{ comeAgain, RETRY, wake }} from "../cgk.js";

// Each tenant has a copy of it: wake-ups carry the tenant as concurrencyKey.
const waking = queue({{ name: {_text(vendor_queue(queue))}, concurrencyLimit: {options.concurrency} }});

// Seconds. Any run of this queue may be what a call starts, so the longest time limit among its tasks counts, and a minute.
const maxDuration = {duration};

{chr(10).join(blocks)}"""


def _task(task: PlannedTask, name: str, machine: str) -> str:
    return f"""export const {name} = task({{
  id: {_text(task.id)},
  queue: waking,
  machine: {_text(machine)},
  maxDuration,
  retry: RETRY,
  run: wake,
  catchError: comeAgain,
}});
"""


def _clock(options: ProjectOptions) -> str:
    pattern = SLOW_CLOCK if options.schedules else "* * * * *"
    return f"""{_HEAD}import {{ schedules }} from "@trigger.dev/sdk";
import {{ ringClock }} from "../cgk.js";

// The next ring does what a lost one would have done, so there is one attempt.
export const cgkClock = schedules.task({{
  id: {_text(CLOCK_TASK)},
  cron: {{ pattern: {_text(pattern)}, timezone: "UTC" }},
  machine: {_text(options.machine)},
  maxDuration: {SHORTEST_DURATION},
  queue: {{ concurrencyLimit: 1 }},
  retry: {{ maxAttempts: 1 }},
  run: ringClock,
}});
"""


def _schedules(ticks: Sequence[PlannedTick], options: ProjectOptions) -> str:
    names = _unique([_camel("tick", tick.task) for tick in ticks], [repr(tick) for tick in ticks])
    blocks = [
        f"""export const {name} = schedules.task({{
  id: {_text(TICK_PREFIX + tick.task)},
  cron: {{ pattern: {_text(tick.expression)}, timezone: {_text(tick.timezone)} }},
  machine: {_text(options.machine)},
  maxDuration: {SHORTEST_DURATION},
  retry: {{ maxAttempts: 1 }},
  run: ringClock,
}});
"""
        for tick, name in zip(ticks, names, strict=True)
    ]
    return f"""{_HEAD}// Each rings the same clock: the ledger says what is due, and fires no tick twice.
import {{ schedules }} from "@trigger.dev/sdk";
import {{ ringClock }} from "../cgk.js";

{chr(10).join(blocks)}"""


def _readme(plan: Plan) -> str:
    public = plan.public_url or "https://shop.example/jobs"
    return f"""# Trigger.dev tasks of the application {plan.app!r}

Written by `cgk jobs trigger-dev generate`. Each task here calls the Python application, which does the work; there is nothing of the
application's in this project, and no payload passes through it. Commit it, and generate it again when tasks, queues or time
limits change: `cgk jobs trigger-dev generate --check` fails in CI where that was forgotten.

```sh
npm install
npx trigger.dev login
npx trigger.dev env set JOBS_PUBLIC_URL {public} --env prod
npx trigger.dev env set JOBS_SIGNING_KEY … --env prod --secret
npm run check
npm run deploy
```

`JOBS_SIGNING_KEY` is the application's own. To exchange it, set `new,old` on both sides, in any order, then `new` alone.
"""


def _names(tasks: Sequence[PlannedTask]) -> list[str]:
    ids = [task.id for task in tasks]
    return _unique([_camel("wake", id) for id in ids], ids)


def _unique(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Names, those that several have told apart by a digest of their id: what one is called depends on no other's place."""
    counts = {name: names.count(name) for name in names}
    return [
        name if counts[name] == 1 else f"{name}_{hashlib.sha256(id.encode()).hexdigest()[:8]}"
        for name, id in zip(names, ids, strict=True)
    ]


def _camel(prefix: str, id: str) -> str:
    """With a prefix, no name is a word of the language or of this file, or begins with a digit."""
    return prefix + "".join(word[0].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", id) if word)


def _file_of(queue: str) -> str:
    """A file's name: told apart on systems that take upper and lower case for the same, and from the project's own files."""
    safe = re.sub(r"[^a-z0-9-]", "-", queue.lower())[:80]
    if safe == queue and not safe.startswith("cgk-"):
        return safe
    return f"{safe}-{hashlib.sha256(queue.encode()).hexdigest()[:8]}"


def _text(value: str) -> str:
    return json.dumps(value)
