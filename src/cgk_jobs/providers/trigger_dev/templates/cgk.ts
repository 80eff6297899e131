// Calls the Python application, signed. Written by `cgk jobs trigger-dev generate`: a change made here is reported, not kept.
//
// What a call is answered, and what becomes of this run:
//   200            the ledger has the outcome, whatever it is: done
//   202            it takes longer than a request should: wait for the token, holding no machine
//   409, 429, 503  try again when Retry-After says
//   422            nobody will ever want this call: stop
//   anything else  try again, as `retry` says
//
// A task's own retries are not here: the ledger makes a new run for each.
import { createHash, createHmac, randomBytes } from "node:crypto";
import { AbortTaskRunError, wait } from "@trigger.dev/sdk";

/** Ids and names, so that the application knows what rings. No payload, unless the task shares it. */
export type Wakeup = { v: 1; wakeup: string; queue: string; tenant: string; run: string; task: string; payload?: unknown };

export type Reply = { kind: string; retryAfter?: number };

type RunParams = { signal: AbortSignal };

export const WAKE_PATH = "/providers/trigger_dev";
export const CLOCK_PATH = "/providers/trigger_dev/clock";

/** Attempts to reach the application, in all. What they do not reach, the application's own sweep finds. */
export const RETRY = { maxAttempts: 10, factor: 2, minTimeoutInMs: 1_000, maxTimeoutInMs: 60_000, randomize: true };

const LONGEST_WAIT_S = 3_600;

/** Thrown for an answer that says when to come again. */
export class ComeAgain extends Error {
  constructor(readonly seconds: number) {
    super(`the application asks to be called again in ${seconds} s`);
    this.name = "ComeAgain";
  }
}

/** The headers of a request: one signature for each key, so that either side may be given a new key first. */
export function signed(
  keys: string[], method: string, path: string, body: string, timestamp: number, nonce: string,
): Record<string, string> {
  const digest = createHash("sha256").update(body, "utf8").digest("hex");
  const message = ["v1", String(timestamp), nonce, method, path, digest].join("\n");
  const signatures = keys.map((key) => `v1=${createHmac("sha256", key).update(message, "utf8").digest("hex")}`);
  return {
    "x-cgk-timestamp": String(timestamp),
    "x-cgk-nonce": nonce,
    "x-cgk-signature": signatures.join(","),
  };
}

/** The `run` of every task. */
export async function wake(payload: Wakeup, { signal }: RunParams): Promise<Reply> {
  return settle(await call(WAKE_PATH, JSON.stringify(payload), signal));
}

/** The `run` of the clock and of schedules: the application looks at what is due. */
export async function ringClock(_payload: unknown, { signal }: RunParams): Promise<Reply> {
  return settle(await call(CLOCK_PATH, JSON.stringify({ v: 1 }), signal));
}

/** The `catchError` of every task. */
export async function comeAgain({ error }: { error: unknown }): Promise<{ retryAt: Date } | undefined> {
  return error instanceof ComeAgain ? { retryAt: new Date(Date.now() + error.seconds * 1_000) } : undefined;
}

async function call(path: string, body: string, signal: AbortSignal): Promise<Response> {
  const url = new URL(setting("JOBS_PUBLIC_URL").replace(/\/+$/, "") + path);
  const keys = setting("JOBS_SIGNING_KEY").split(",").map((key) => key.trim());
  const headers = signed(
    keys, "POST", url.pathname, body, Math.floor(Date.now() / 1_000), randomBytes(18).toString("base64url"),
  );
  return fetch(url, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
    redirect: "error",
    signal,
  });
}

async function settle(response: Response): Promise<Reply> {
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  switch (response.status) {
    case 200:
      return { kind: String(answer.kind ?? "done") };
    case 202: {
      const waited = await wait.forToken<Reply>(String(answer.waitpoint));
      if (!waited.ok) throw new Error("the application did not say how it ended");
      if (waited.output.kind === "busy") throw new ComeAgain(seconds(waited.output.retryAfter));
      if (waited.output.kind === "refused") throw new AbortTaskRunError("the application refused the call");
      if (waited.output.kind === "failed") throw new Error("the call failed in the application; its log says where");
      return { kind: waited.output.kind };
    }
    case 409:
    case 429:
    case 503:
      throw new ComeAgain(seconds(response.headers.get("retry-after")));
    case 422:
      throw new AbortTaskRunError("the application refused the call");
    default:
      throw new Error(`the application answered ${response.status}`);
  }
}

function seconds(asked: unknown): number {
  const found = asked === null || asked === undefined || asked === "" ? NaN : Number(asked);
  return Number.isFinite(found) && found >= 0 ? Math.min(found, LONGEST_WAIT_S) : 30;
}

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new AbortTaskRunError(`${name} is not set in this environment of Trigger.dev`);
  return value;
}
