// Reads what the application sends by the vendor's own schemas: [[name, value], …] in, [{ok, kept}, …] out. `kept` is what is
// left of the value: unknown keys are stripped without a word.
import * as schemas from "@trigger.dev/core/v3/schemas";

const asked = JSON.parse(await new Response(process.stdin).text());
const out = asked.map(([name, value]) => {
  const found = schemas[name].safeParse(value);
  return found.success ? { ok: true, kept: found.data } : { ok: false, kept: found.error.issues };
});
console.log(JSON.stringify(out));
