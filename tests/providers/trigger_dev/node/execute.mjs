// Runs attempts of a generated task in the vendor's own executor, as its worker does:
// {project, task, payload, attempts, api, key} in, the executor's results out. A retry follows at once, whatever its time.
import { createServer } from "node:http";
import { readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { apiClientManager, lifecycleHooks, resourceCatalog, runtime, taskContext } from "@trigger.dev/core/v3";
import { TriggerTracer } from "@trigger.dev/core/v3/tracer";
import { ConsoleInterceptor, OtelTaskLogger, StandardLifecycleHooksManager, StandardResourceCatalog, TaskExecutor } from "@trigger.dev/core/v3/workers";

const asked = JSON.parse(await new Response(process.stdin).text());
Object.assign(process.env, asked.env);

// The platform suspends a run that waits for a token and resumes it with what the token was completed with.
const platform = createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ success: true }));
});
await new Promise((ready) => platform.listen(0, "127.0.0.1", ready));
apiClientManager.setGlobalAPIClientConfiguration({ baseURL: `http://127.0.0.1:${platform.address().port}`, accessToken: asked.key });
runtime.setGlobalRuntimeManager({
  disable() {},
  async waitForWaitpoint({ waitpointFriendlyId }) {
    for (;;) {
      const answer = await fetch(`${asked.api}/api/v1/waitpoints/tokens/${waitpointFriendlyId}`, { headers: { authorization: `Bearer ${asked.key}` } });
      const token = await answer.json();
      if (token.status === "COMPLETED") return { ok: true, output: token.output, outputType: "application/json" };
      await new Promise((later) => setTimeout(later, 20));
    }
  },
});
resourceCatalog.setGlobalResourceCatalog(new StandardResourceCatalog());
lifecycleHooks.setGlobalLifecycleHooksManager(new StandardLifecycleHooksManager());

const folder = join(asked.project, "src", "trigger");
for (const name of readdirSync(folder).filter((name) => name.endsWith(".js"))) {
  resourceCatalog.setCurrentFileContext(name, name);
  await import(pathToFileURL(join(folder, name)).href);
}
const task = resourceCatalog.getTask(asked.task);
const tracer = new TriggerTracer({ name: "test", version: "1" });
const executor = new TaskExecutor(task, {
  tracer,
  tracingSDK: {},
  consoleInterceptor: new ConsoleInterceptor({}, false, true, 100),
  retries: { enabledInDev: true, default: task.retry },
  isWarmStart: false,
});
const results = [];
for (let number = 1; number <= asked.attempts; number++) {
  const now = new Date();
  const run = {
    id: "run_1", payload: JSON.stringify(asked.payload), payloadType: "application/json", tags: [], isTest: false, createdAt: now, startedAt: now,
    durationMs: 0, costInCents: 0, baseCostInCents: 0, idempotencyKey: undefined,
  };
  const ctx = {
    attempt: { number, startedAt: now }, run, task: { id: asked.task, filePath: "x" }, queue: { id: "q", name: "q" },
    environment: { id: "env", slug: "prod", type: "PRODUCTION" }, organization: { id: "o", slug: "o", name: "o" },
    project: { id: "p", ref: "p", slug: "p", name: "p" }, machine: { name: "micro", cpu: 0.25, memory: 0.25, centsPerMs: 0 },
  };
  taskContext.setGlobalTaskContext({ ctx, worker: { id: "w", version: "1" } });
  const { result } = await executor.execute({ ...ctx, run, attempt: ctx.attempt }, ctx, new AbortController().signal);
  results.push(result);
  if (result.ok || result.retry === undefined) break;
}
console.log(JSON.stringify(results));
process.exit(0);
