// The vendor's client, asked by a test: {url, token, destination, notBefore} in, what it was answered out.
import { Client } from "@upstash/qstash";

const asked = JSON.parse(await new Response(process.stdin).text());
const client = new Client({
  baseUrl: asked.url,
  token: asked.token,
  enableTelemetry: false,
  devMode: false,
  retry: false,
});
const message = {
  url: asked.destination,
  body: { v: 1, tenant: "rawdog" },
  deduplicationId: "w-js",
  notBefore: asked.notBefore,
  retries: 3,
  label: "tenant-rawdog",
  failureCallback: asked.destination + "/failed",
  timeout: 900,
  flowControl: { key: "tenant-rawdog", parallelism: 2 },
};
const out = {};
out.batch = await client.batchJSON([message, { ...message, deduplicationId: "w-js-2" }]);
out.again = await client.publishJSON(message);
out.single = await client.publishJSON({ ...message, deduplicationId: "w-js-3" });
out.message = await client.messages.get(out.single.messageId);
out.cancelled = await client.messages.cancel([out.batch[0].messageId, out.batch[1].messageId]);
await client.messages.cancel(out.single.messageId);
out.gone = await client.messages.get(out.single.messageId).then(
  () => "there",
  (error) => error.status,
);
out.logs = (await client.logs({ filter: { messageId: out.single.messageId } })).logs.map((line) => line.state);
out.schedule = await client.schedules.create({
  destination: asked.destination + "/clock",
  cron: "CRON_TZ=America/New_York 0 4 * * *",
  scheduleId: "cgk-js-clock",
});
out.listed = (await client.schedules.list()).map((schedule) => [schedule.scheduleId, schedule.cron]);
await client.schedules.pause({ schedule: "cgk-js-clock" });
out.paused = (await client.schedules.get("cgk-js-clock")).isPaused;
await client.schedules.resume({ schedule: "cgk-js-clock" });
await client.schedules.delete("cgk-js-clock");
out.dead = (await client.dlq.listMessages()).messages.map((dead) => [dead.dlqId, dead.responseStatus]);
out.wrong = await new Client({ baseUrl: asked.url, token: "wrong", enableTelemetry: false, devMode: false, retry: false })
  .publishJSON(message)
  .then(
    () => "taken",
    (error) => error.status,
  );
process.stdout.write(JSON.stringify(out));
